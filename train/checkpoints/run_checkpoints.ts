/**
 * The checkpoints of a run: what goes into them, one save at a time, and the ways back to them.
 *
 * In: a trainer, what stays the same in a run, and where it stands. Out: `checkpoint-N` folders with
 * events that tell of them; of a folder to resume from, where that run stood.
 *
 * A trainer that can copy itself to the host's memory is trained on while its copy is written. What
 * such a save writes and keeps is settled when it begins, so it leaves the bytes of one that is
 * waited for.
 */

import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isAbsent } from "../../internal/regular_file.ts";
import { TRAINING_ARGS } from "../../lora/trained_base.ts";
import type { BestEvaluation } from "../best_evaluation.ts";
import {
  listCheckpoints,
  rotateCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
} from "./checkpoint.ts";
import { assertHeld, rescue } from "./rescue.ts";
import type { SaveEvent } from "../events.ts";
import { assertSameRun, parseRunFacts, type RunFacts } from "./run_facts.ts";
import type { Schedule } from "../schedule.ts";
import type { WrittenFile } from "../../ort/tensor/safetensors_writer.ts";
import type { Trainer } from "../trainer.ts";
import {
  formatTrainerState,
  type LoopState,
  parseTrainerState,
  type SavedState,
  type TrainerStateFacts,
} from "./trainer_state.ts";

/** How often, and after how long, a save begins anew whose files were removed while it wrote. */
const VANISHED_TRIES = 5;
const VANISHED_DELAY_MS = 200;

/** The file of the data's stand, which a checkpoint without what resuming takes lacks. */
const RNG_STATE = "rng_state.json";

/** What goes into checkpoints besides the trainer's own files. */
export interface CheckpointOptions {
  /** The output folder, to hold one `checkpoint-<step>` a save. */
  readonly directory: string;
  /** Checkpoints kept. @default all */
  readonly saveTotalLimit?: number;
  /** Files copied into each checkpoint, such as the tokenizer's. */
  readonly copyFiles?: readonly string[];
  /** Texts written into each checkpoint by their names, in place of copied files of these names. */
  readonly texts?: Readonly<Record<string, string>>;
  /**
   * Leaves out what only a resumed run reads: the optimizer's state and the stand of schedule and data.
   * @default false
   */
  readonly modelOnly?: boolean;
  /** What must be the same when the run is resumed; written as training_args.json. */
  readonly facts: RunFacts;
  /**
   * Goes on training while a checkpoint is written, where the trainer is on a device: from a copy of
   * weights and optimizer state in the host's memory, which it keeps for the next one.
   * @default true
   */
  readonly whileTraining?: boolean;
  /**
   * Whether `directory` is still the folder that the run began with; asked before and after a
   * checkpoint is written. Where it is not, the checkpoint goes into a folder beside it.
   * @default it is made where it is missing
   */
  readonly isHeld?: () => Promise<boolean>;
}

/** Where a run stands. */
export interface RunPosition {
  readonly state: LoopState;
  /** Epochs done, fractional. */
  readonly epochFraction: number;
  /** The best evaluation so far. */
  readonly best?: BestEvaluation;
}

/** What stays the same in a run. */
export interface RunCheckpointsOptions
  extends Omit<TrainerStateFacts, "epochFraction" | "parameters" | "best"> {
  /** Where checkpoints go. @default nowhere: nothing is saved */
  readonly output?: CheckpointOptions;
  /** Decides the order of the examples. */
  readonly seed: number;
  /** The learning rate by update. */
  readonly schedule: Schedule;
}

/** A save under way. */
interface Saving {
  /** What it came to, and when, in milliseconds. */
  readonly done: Promise<{ readonly event: Omit<SaveEvent, "waitedSeconds">; readonly at: number }>;
  /** Whether it is done, or has failed. */
  ended: boolean;
  /** Milliseconds that training stood still for it, the present wait left out. */
  waited: number;
  /** When the present wait began, if training stands still. */
  waitingSince?: number;
}

/** Saves a run, and goes back to what was saved. */
export class RunCheckpoints {
  readonly #trainer: Trainer;
  readonly #options: RunCheckpointsOptions;
  /** What the newest checkpoint holds, or will hold; see {@linkcode versionOf}. */
  #saved = "";
  #saving: Saving | undefined;

  /** Touches nothing yet. */
  constructor(trainer: Trainer, options: RunCheckpointsOptions) {
    this.#trainer = trainer;
    this.#options = options;
  }

  /**
   * Saves the run, if it has not been saved as it stands, and then lets old checkpoints go; first it
   * waits for the save under way. Where the run goes on, the trainer may be used again as soon as it
   * was copied: {@linkcode RunCheckpoints.told} tells of the rest.
   *
   * @throws {Error} where this save failed, or the one under way
   */
  async *save(
    at: RunPosition,
    { goesOn }: { readonly goesOn: boolean },
  ): AsyncGenerator<SaveEvent, void, void> {
    yield* this.told({ wait: true });
    const { output } = this.#options;
    if (this.#saved === versionOf(at.state)) return;
    this.#saved = versionOf(at.state);
    // It may be another process that saves, and needs a part of this one's.
    if (!output) return await this.#trainer.settleSave?.();
    const { whileTraining = true } = output;
    const { deferred } = this.#trainer;
    if (!goesOn || !whileTraining || !deferred?.snapshot) {
      this.#begin(at, output, () => this.#trainer);
      return yield* this.told({ wait: true });
    }
    const copied = Promise.withResolvers<void>();
    const saving = this.#begin(at, output, async () => {
      const copy = await deferred.snapshot!();
      copied.resolve();
      return copy;
    });
    await Promise.race([copied.promise, saving.done]).catch(() => this.finish());
    saving.waited = performance.now() - saving.waitingSince!;
    saving.waitingSince = undefined;
  }

  /** Tells of the save under way once it has ended, or waits for that. */
  async *told({ wait = false } = {}): AsyncGenerator<SaveEvent, void, void> {
    const event = wait || this.#saving?.ended ? await this.finish() : undefined;
    if (event) yield event;
  }

  /**
   * Waits for the save under way, if there is one.
   *
   * @throws {Error} where it failed; this is told once
   */
  async finish(): Promise<SaveEvent | undefined> {
    const saving = this.#saving;
    if (!saving) return undefined;
    const since = saving.waitingSince ?? performance.now();
    try {
      const { event, at } = await saving.done;
      return { ...event, waitedSeconds: (saving.waited + Math.max(0, at - since)) / 1000 };
    } finally {
      this.#saving = undefined;
    }
  }

  /** Starts a save of the run as it stands now. */
  #begin(
    position: RunPosition,
    output: CheckpointOptions,
    source: () => Pick<Trainer, "save"> | Promise<Pick<Trainer, "save">>,
  ): Saving {
    const began = performance.now();
    const { state: { step }, best } = position;
    const texts = new Map([
      ...Object.entries(output.texts ?? {}),
      ...this.#stateFiles(output, position),
    ]);
    const { directory, saveTotalLimit, copyFiles = [], modelOnly } = output;
    const isHeld = output.isHeld ?? (async () => {
      await Deno.mkdir(directory, { recursive: true });
      return true;
    });
    // A copy is made once, for a second try as well.
    let made: ReturnType<typeof source> | undefined;
    const fill = async (staging: string): Promise<readonly WrittenFile[]> => {
      const trainer = await (made ??= source());
      for (const path of copyFiles) {
        if (!texts.has(basename(path))) await Deno.copyFile(path, `${staging}/${basename(path)}`);
      }
      for (const [name, text] of texts) await Deno.writeTextFile(`${staging}/${name}`, text);
      return await trainer.save(staging, { modelOnly });
    };
    const save = async (triesLeft = VANISHED_TRIES): ReturnType<typeof writeCheckpoint> => {
      try {
        await assertHeld(isHeld);
        return await writeCheckpoint(directory, step, async (staging) => {
          const files = await fill(staging);
          await assertHeld(isHeld);
          return files;
        });
      } catch (cause) {
        if (!await isHeld()) throw await rescue(directory, step, fill);
        if (triesLeft === 0 || !hasVanished(cause)) throw cause;
        // Who removes the folder takes its files first, the staged ones too.
        await delay(VANISHED_DELAY_MS);
        return await save(triesLeft - 1);
      }
    };
    const write = async (): Promise<Awaited<Saving["done"]>> => {
      const written = await save();
      if (saveTotalLimit) await rotateCheckpoints(directory, saveTotalLimit, { keep: best?.step });
      await this.#trainer.settleSave?.();
      const at = performance.now();
      return { event: { type: "save", step, ...written, seconds: (at - began) / 1000 }, at };
    };
    const saving: Saving = { done: write(), ended: false, waited: 0, waitingSince: began };
    const end = () => void (saving.ended = true);
    // Somebody asks for the result later, perhaps when it has failed long since.
    saving.done.then(end, end);
    return this.#saving = saving;
  }

  /** The files that tell where the run stands, by name. */
  #stateFiles(
    { facts, modelOnly = false }: CheckpointOptions,
    { state, epochFraction, best }: RunPosition,
  ): ReadonlyMap<string, string> {
    const { output: _output, seed, schedule, ...same } = this.#options;
    const { step, epoch, batch } = state;
    const json = (value: unknown): string => JSON.stringify(value, null, 2) + "\n";
    const parameters = this.#trainer.trainableParameters;
    return new Map([
      [TRAINING_ARGS, json(facts)],
      ...modelOnly ? [] : [
        ["scheduler.json", json({ last_epoch: step, next_lr: schedule(step) })] as const,
        // The order of an epoch comes from seed + epoch alone, so its position is the whole stream.
        [RNG_STATE, json({ seed, epoch, batch })] as const,
      ],
      [
        "trainer_state.json",
        formatTrainerState(state, { ...same, epochFraction, parameters, best }),
      ],
    ]);
  }

  /**
   * Gives the trainer the weights and the optimizer state of a checkpoint.
   *
   * @returns where the run that made it stood, and how many updates it was to make
   * @throws {Error} where it is damaged, cannot be resumed, or is of another run
   */
  async resume(directory: string): Promise<SavedState> {
    const step = await verifyCheckpoint(directory);
    const path = (name: string) => `${directory}/${name}`;
    if (!await exists(path(RNG_STATE))) {
      throw new Error(
        `Cannot resume from ${directory}: it was saved without the state of optimizer and data ` +
          "(--save-only-model); start from its weights with --model",
      );
    }
    const { output } = this.#options;
    if (output) {
      const saved = await readState(path(TRAINING_ARGS));
      assertSameRun(parseRunFacts(saved, path(TRAINING_ARGS)), output.facts, directory);
    }
    const text = await readState(path("trainer_state.json"));
    const position = parseTrainerState(text, path("trainer_state.json"));
    const { state } = position;
    if (state.step !== step) {
      throw new Error(
        `Cannot resume from ${path("trainer_state.json")}: it is of step ${state.step}, the ` +
          `checkpoint of step ${step}; resume from another one`,
      );
    }
    if (step > this.#options.totalSteps) {
      throw new Error(
        `Cannot resume from ${directory}: it is of update ${step}, and the run is to make ` +
          `${this.#options.totalSteps}; give more with --max-steps or --num-train-epochs`,
      );
    }
    await this.#trainer.resume(directory, state.step);
    this.#saved = versionOf(state);
    return position;
  }

  /** The checkpoint of an update, where there is one. */
  async find(step: number): Promise<string | undefined> {
    const { output } = this.#options;
    return output &&
      (await listCheckpoints(output.directory)).find((each) => each.step === step)?.directory;
  }

  /**
   * Gives the trainer the weights of a checkpoint, for what follows training.
   *
   * @throws {Error} where it is damaged
   */
  async goBack(directory: string): Promise<void> {
    await verifyCheckpoint(directory);
    await this.#trainer.load(directory);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (cause) {
    if (isAbsent(cause)) return false;
    throw cause;
  }
}

/** A file that a checkpoint of a run has. */
async function readState(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(
      `Cannot resume from ${path}: it is missing; give a checkpoint that ortune wrote, or start ` +
        "from its weights with --model",
      { cause },
    );
  }
}

/** Whether a save failed for a file that was no longer there. */
function hasVanished(error: unknown): boolean {
  return isAbsent(error) || error instanceof Error && hasVanished(error.cause);
}

/** Tells states apart: an update may be evaluated, and so get another row, when it was saved before. */
function versionOf({ step, logHistory }: LoopState): string {
  return `${step}/${logHistory.length}`;
}
