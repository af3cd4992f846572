/**
 * The checkpoints of a run: what goes into them, when one is of no use, and the ways back to them.
 *
 * In: a trainer, what stays the same in a run, and where it stands. Out: `checkpoint-N` folders with
 * events that tell of them; of a folder to resume from, where that run stood.
 */

import { basename } from "node:path";
import type { WrittenFile } from "../tensor/safetensors_writer.ts";
import type { BestEvaluation } from "./best_evaluation.ts";
import {
  listCheckpoints,
  rotateCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
} from "./checkpoint.ts";
import type { SaveEvent } from "./events.ts";
import { assertSameRun, type RunFacts } from "./run_facts.ts";
import type { Schedule } from "./schedule.ts";
import type { Trainer } from "./trainer.ts";
import {
  formatTrainerState,
  type LoopState,
  parseTrainerState,
  type TrainerStateFacts,
} from "./trainer_state.ts";

/** What goes into checkpoints besides the trainer's own files. */
export interface CheckpointOptions {
  /** The output folder, to hold one `checkpoint-<step>` a save. */
  readonly directory: string;
  /** Checkpoints kept. @default all */
  readonly saveTotalLimit?: number;
  /** Files copied into each checkpoint, such as the tokenizer's. */
  readonly copyFiles?: readonly string[];
  /** What must be the same when the run is resumed; written as training_args.json. */
  readonly facts: RunFacts;
}

/** Where a run stands between two updates. */
export interface RunPosition {
  readonly state: LoopState;
  /** Epochs done, fractional. */
  readonly epochFraction: number;
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

/** Saves a run, and goes back to what was saved. */
export class RunCheckpoints {
  readonly #trainer: Trainer;
  readonly #options: RunCheckpointsOptions;
  /** What the newest checkpoint holds; see {@linkcode versionOf}. */
  #saved = "";

  /** Touches nothing yet. */
  constructor(trainer: Trainer, options: RunCheckpointsOptions) {
    this.#trainer = trainer;
    this.#options = options;
  }

  /** Saves the run, if it has not been saved as it stands, and then lets old checkpoints go. */
  async *save(
    at: RunPosition & { readonly best?: BestEvaluation },
  ): AsyncGenerator<SaveEvent, void, void> {
    const { output } = this.#options;
    const { step } = at.state;
    if (!output || this.#saved === versionOf(at.state)) return;
    const began = performance.now();
    const texts = this.#stateFiles(output.facts, at);
    const { directory, bytes } = await writeCheckpoint(
      output.directory,
      step,
      (staging) => this.#write(staging, { copyFiles: output.copyFiles, texts }),
    );
    this.#saved = versionOf(at.state);
    if (output.saveTotalLimit) {
      await rotateCheckpoints(output.directory, output.saveTotalLimit, { keep: at.best?.step });
    }
    yield { type: "save", step, directory, bytes, seconds: (performance.now() - began) / 1000 };
  }

  async #write(
    staging: string,
    { copyFiles = [], texts }: {
      readonly copyFiles?: readonly string[];
      readonly texts: ReadonlyMap<string, string>;
    },
  ): Promise<readonly WrittenFile[]> {
    for (const path of copyFiles) await Deno.copyFile(path, `${staging}/${basename(path)}`);
    for (const [name, text] of texts) await Deno.writeTextFile(`${staging}/${name}`, text);
    return await this.#trainer.save(staging);
  }

  /** The files that tell where the run stands, by name. */
  #stateFiles(
    facts: RunFacts,
    { state, epochFraction, best }: RunPosition & { readonly best?: BestEvaluation },
  ): ReadonlyMap<string, string> {
    const { output: _, seed, schedule, ...same } = this.#options;
    const { step, epoch, batch } = state;
    const json = (value: unknown): string => JSON.stringify(value, null, 2) + "\n";
    const parameters = this.#trainer.trainableParameters;
    return new Map([
      ["training_args.json", json(facts)],
      ["scheduler.json", json({ last_epoch: step, next_lr: schedule(step) })],
      // The order of an epoch comes from seed + epoch alone, so its position is the whole stream.
      ["rng_state.json", json({ seed, epoch, batch })],
      [
        "trainer_state.json",
        formatTrainerState(state, { ...same, epochFraction, parameters, best }),
      ],
    ]);
  }

  /**
   * Gives the trainer the weights and the optimizer state of a checkpoint.
   *
   * @returns where the run that made it stood
   * @throws {Error} where it is damaged, or of another run
   */
  async resume(directory: string): Promise<RunPosition> {
    await verifyCheckpoint(directory);
    const read = (name: string) => Deno.readTextFile(`${directory}/${name}`);
    const { output } = this.#options;
    if (output) {
      assertSameRun(JSON.parse(await read("training_args.json")), output.facts, directory);
    }
    const text = await read("trainer_state.json");
    const state = parseTrainerState(text, `${directory}/trainer_state.json`);
    await this.#trainer.resume(directory, state.step);
    this.#saved = versionOf(state);
    return { state, epochFraction: JSON.parse(text).epoch };
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

/** Tells states apart: an update may be evaluated, and so get another row, when it was saved before. */
function versionOf({ step, logHistory }: LoopState): string {
  return `${step}/${logHistory.length}`;
}
