/** Whole runs of a model of 7,000 weights: what is said, told and written. */

import assert from "node:assert/strict";
import { localComms } from "../../tests/support/local_comm.ts";
import type { TempFolder } from "../../tests/support/temp_folder.ts";
import { tinyRows, tinyRunFolder } from "../../tests/support/tiny_run_folder.ts";
import type { TrainEvent } from "../events.ts";
import type { Tracker } from "../track/tracker.ts";
import { runTraining, type RunTrainingContext, type TrainingRun } from "./run_training.ts";
import type { TrainingOptions } from "./training_arguments.ts";

/** What a run came to. */
interface Outcome extends Pick<TrainingRun, "args" | "start" | "end" | "checkpoint" | "started"> {
  readonly said: readonly string[];
  readonly events: readonly TrainEvent[];
  readonly files: number;
}

/** Options of a short run, its output below the folder. */
function optionsOf({ path }: TempFolder, more: TrainingOptions = {}): TrainingOptions {
  return {
    ...{ model: path, trainFile: `${path}/rows.jsonl`, validationFile: `${path}/val.jsonl` },
    ...{ outputDir: `${path}/out`, maxLength: 64, gradientAccumulationSteps: 2, threads: 1 },
    ...{ evalSteps: 2, saveSteps: 2, loggingSteps: 1, reportTo: [], ...more },
  };
}

/** Runs to the end; `onEvent` is told of each event. */
async function runOf(
  folder: TempFolder,
  more: TrainingOptions = {},
  context: RunTrainingContext = {},
  onEvent: (event: TrainEvent) => void | Promise<void> = () => {},
): Promise<Outcome> {
  const said: string[] = [];
  const events: TrainEvent[] = [];
  const tracker: Tracker = {
    async event(event): Promise<void> {
      events.push(event);
      await onEvent(event);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const say = (line: string): void => void said.push(line.replaceAll(folder.path, "~"));
  await using run = await runTraining(optionsOf(folder, more), {
    ...{ say, trackers: [tracker], ...context },
  });
  const { args, start, end, checkpoint, started, trackers } = run;
  return { args, start, end, checkpoint, started, said, events, files: trackers.length };
}

async function manifestOf(folder: TempFolder, output = "out"): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(`${folder.path}/${output}/run.json`));
}

async function namesIn(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
}

/** Types of events with their steps, without those within an update. */
const timeline = (events: readonly TrainEvent[]): string =>
  events.filter(({ type }) => type !== "micro-step")
    .map((event) => "step" in event ? `${event.type} ${event.step}` : event.type).join(", ");

const PLAN = "plan: 4 updates, 2 an epoch; 3 examples and 93 tokens an epoch, and 0.0 % padding";
const MEMORY =
  /^memory: about .* \(weights 28\.0 KiB, gradients 28\.0 KiB, moments 54\.1 KiB, .*\); free: /;

Deno.test("runTraining() says what a user should know, tells trackers of each event, and writes its files", async () => {
  await using folder = await tinyRunFolder();
  await Deno.mkdir(`${folder.path}/data`);
  await Deno.rename(`${folder.path}/rows.jsonl`, `${folder.path}/data/rows.jsonl`);
  const before = Deno.cwd();
  Deno.chdir(folder.path);
  try {
    const outcome = await runOf(folder, {
      ...{ trainFile: "rows.jsonl", evalMaxNewTokens: 5, maxRows: 9, runName: "mine" },
      reportTo: ["tensorboard", "swanlab"],
    }, { command: "cmd", table: { color: false } });
    const { said, events, start, end, started, checkpoint, files } = outcome;
    assert.deepEqual(said.slice(0, 4), [
      "train file: data/rows.jsonl",
      "note: --eval-max-new-tokens has no effect without --eval-generate",
      "note: replies follow the model's own chat template and end with its end of turn, samples are drawn in " +
      "evaluation mode, updates are counted rounding up; --compat seed trains as Qwen3-Medical-SFT did",
      "rows: 3 of 3 of data/rows.jsonl are read as question and answer (question, think, answer)",
    ]);
    assert.deepEqual(said.slice(-4, -1), [
      "terminator: <|im_end|> is taught",
      "prompt: its 21 tokens are those that inference makes",
      PLAN,
    ]);
    assert.match(said.at(-1)!, MEMORY);
    assert.equal(
      timeline(events),
      "start, step 1, log 1, step 2, log 2, evaluate 2, save 2, step 3, log 3, step 4, log 4, evaluate 4, " +
        "save 4, end 4",
    );
    const rates = events.flatMap((event) => event.type === "step" ? [event.learningRate] : []);
    assert.deepEqual(rates.map((rate) => rate.toPrecision(6)), [
      ...["0.000100000", "0.0000750000", "0.0000500000", "0.0000250000"],
    ]);
    assert.deepEqual(start, events[0]);
    assert.deepEqual(end, events.at(-1));
    assert.deepEqual([end.reason, end.step, end.epoch, end.tokens], ["completed", 4, 2, 186]);
    assert.equal(checkpoint, `${folder.path}/out/checkpoint-4`);
    assert.equal(files, 4);
    assert.deepEqual(await namesIn(`${folder.path}/out`), [
      ...[".lock", "checkpoint-2", "checkpoint-4", "metrics.jsonl", "run.json", "swanlog"],
      ...["tensorboard", "tokens"],
    ]);
    assert.deepEqual(await namesIn(`${folder.path}/out/checkpoint-4`), [
      ...["chat_settings.json", "config.json", "manifest.json", "model.safetensors"],
      ...["optimizer.state", "rng_state.json", "scheduler.json", "tokenizer.json"],
      ...["tokenizer_config.json", "trainer_state.json", "training_args.json"],
    ]);
    const [board] = await namesIn(`${folder.path}/out/tensorboard/out`);
    assert.match(board, /^events\.out\.tfevents\./);
    const log = await Deno.readTextFile(`${folder.path}/out/metrics.jsonl`);
    assert.deepEqual(
      log.trimEnd().split("\n").map((line) => JSON.parse(line).step),
      [1, 2, 2, 3, 4, 4],
    );
    const manifest = await manifestOf(folder);
    assert.deepEqual(
      [manifest.command, manifest.status, manifest.started, manifest.checkpoint, manifest.rows],
      ["cmd", "completed", started, checkpoint, { training: 3, validation: 2 }],
    );
    const evaluation = events.findLast(({ type }) => type === "evaluate");
    assert.ok(evaluation?.type === "evaluate");
    const { step, epoch, tokens, seconds, trainLoss } = end;
    const { evalLoss, evalTokenLoss } = evaluation;
    assert.deepEqual(manifest.metrics, {
      ...{ step, epoch, tokens, seconds, trainLoss, evalLoss, evalTokenLoss },
    });
    assert.deepEqual(
      (manifest.files as { path: string }[]).map(({ path }) => path.replace(folder.path, "~")),
      [
        ...["data/rows.jsonl", "~/val.jsonl", "~/config.json", "~/model.safetensors"],
        ...["~/tokenizer.json", "~/tokenizer_config.json"],
      ],
    );
    assert.equal((manifest.versions as Record<string, unknown>).threads, 1);
  } finally {
    Deno.chdir(before);
  }
});

Deno.test("runTraining() goes on from a checkpoint, and says how a longer run changes its schedule", async () => {
  await using folder = await tinyRunFolder();
  const unsaved = await runOf(folder, { saveStrategy: "no", maxSteps: 1 });
  assert.equal(unsaved.checkpoint, "");
  assert.equal((await manifestOf(folder)).checkpoint, null);
  const first = await runOf(folder, { maxSteps: 2, warmupSteps: 9 });
  assert.match(first.said[0], /^plan: 2 updates/);
  assert.equal(first.checkpoint, `${folder.path}/out/checkpoint-2`);
  const again = { resumeFromCheckpoint: true } as const;
  const second = await runOf(folder, { ...again, evalStrategy: "no", warmupSteps: 9 });
  assert.deepEqual(second.said.slice(0, -1), [
    PLAN,
    "note: the learning rate never reaches --learning-rate 0.0001: --warmup-steps 9 is as long as the run of 4 " +
    "updates or longer, so it ends at 0.0000333",
    "note: the run was to make 2 updates and now makes 4: the schedule linear goes on as if it had been laid " +
    "out over 4 from the start, so the learning rate stays at 2.22e-5",
  ]);
  assert.equal(timeline(second.events), "start, step 3, log 3, step 4, log 4, save 4, end 4");
  assert.equal(second.start.resumedStep, 2);
  const manifest = await manifestOf(folder);
  assert.deepEqual(
    (manifest.earlier as Record<string, unknown>[]).map(({ status, started }) => [status, started]),
    [["completed", first.started]],
  );
  // Nothing is left to do: what it went on from is what it holds.
  const third = await runOf(folder, { ...again, evalStrategy: "no", warmupSteps: 9 });
  assert.equal(timeline(third.events), "start, end 4");
  assert.equal(third.checkpoint, `${folder.path}/out/checkpoint-4`);
  const fresh = await runOf(folder, { overwriteOutputDir: true, maxSteps: 1, packing: true });
  assert.equal(fresh.end.step, 1);
  assert.deepEqual((await namesIn(`${folder.path}/out`)).filter((name) => /^check/.test(name)), [
    "checkpoint-1",
  ]);
  await assert.rejects(runOf(folder), {
    message: `Cannot start a new run in ${folder.path}/out: it holds checkpoint-1; pass ` +
      "--resume-from-checkpoint to go on, another --output-dir, or --overwrite-output-dir to delete them",
  });
});

Deno.test("runTraining() ends early where it is told to, with a checkpoint, and tells why it failed", async () => {
  await using folder = await tinyRunFolder();
  const abort = new AbortController();
  const stopped = await runOf(
    folder,
    { outputDir: `${folder.path}/a` },
    { signal: abort.signal },
    (event) => {
      if (event.type === "step" && event.step === 1) abort.abort();
    },
  );
  assert.equal(timeline(stopped.events), "start, step 1, log 1, save 1, end 1");
  assert.equal(stopped.end.reason, "aborted");
  const { status, checkpoint } = await manifestOf(folder, "a");
  assert.deepEqual([status, checkpoint], ["aborted", `${folder.path}/a/checkpoint-1`]);

  // What a tracker throws ends the run and is no failure of training.
  const broken = runOf(folder, { outputDir: `${folder.path}/b` }, {}, ({ type }) => {
    if (type === "step") throw new Error("no pen");
  });
  await assert.rejects(broken, { message: "no pen" });
  assert.equal((await manifestOf(folder, "b")).status, "started");
  const diverging = { outputDir: `${folder.path}/c`, learningRate: 1e38, numTrainEpochs: 9 };
  await assert.rejects(runOf(folder, diverging), /was not finite/);
  const failed = await manifestOf(folder, "c");
  assert.equal(failed.status, "failed");
  assert.match(`${failed.error}`, /was not finite/);
});

Deno.test("runTraining() ends with the best weights where it is asked to, and names their checkpoint", async () => {
  await using folder = await tinyRunFolder();
  const best = { loadBestModelAtEnd: true, evalSteps: 1, saveSteps: 1, learningRate: 5 };
  const { end, checkpoint } = await runOf(folder, { ...best, maxSteps: 3 });
  assert.ok(end.best!.step < 3);
  assert.equal(checkpoint, `${folder.path}/out/checkpoint-${end.best!.step}`);
  assert.equal((await manifestOf(folder)).checkpoint, checkpoint);
});

Deno.test("runTraining() does not write into a folder that has taken the place of its own", async () => {
  await using folder = await tinyRunFolder();
  const moved = async ({ type }: TrainEvent): Promise<void> => {
    if (type !== "end") return;
    await Deno.rename(`${folder.path}/out`, `${folder.path}/moved`);
    await Deno.mkdir(`${folder.path}/out`);
  };
  const rest = "which went with it; run.json and the report are not written";
  const start =
    `Cannot finish in ${folder.path}/out: the folder was moved, removed or replaced after the last`;
  await assert.rejects(runOf(folder, { maxSteps: 1 }, {}, moved), {
    message: `${start} checkpoint, ${folder.path}/out/checkpoint-1, ${rest}`,
  });
  assert.deepEqual(await namesIn(`${folder.path}/out`), []);
  assert.equal((await manifestOf(folder, "moved")).status, "started");
  await Deno.remove(`${folder.path}/moved`, { recursive: true });
  await assert.rejects(runOf(folder, { maxSteps: 1, saveStrategy: "no" }, {}, moved), {
    message: `${start} checkpoint, of which there is none, ${rest}`,
  });
});

Deno.test("runTraining() warns where it cannot write down that it has ended", async () => {
  await using folder = await tinyRunFolder();
  const path = `${folder.path}/out/run.json`;
  const inTheWay = async ({ type }: TrainEvent): Promise<void> => {
    if (type !== "end") return;
    await Deno.remove(path);
    await Deno.mkdir(`${path}/x`, { recursive: true });
  };
  const warnings = async (more: TrainingOptions): Promise<string[]> => {
    const { said } = await runOf(folder, { ...more, maxSteps: 1 }, {}, inTheWay);
    await Deno.remove(path, { recursive: true });
    return said.filter((line) => line.startsWith("warning"))
      .map((line) => line.replace(/^warning: Cannot write ~\/out\/run\.json: .*; free/, "free"));
  };
  const told = "free space or give another --output-dir; it tells of a run that has not ended";
  assert.deepEqual(await warnings({ saveStrategy: "no" }), [told]);
  assert.deepEqual(await warnings({}), [`${told}, and all is saved in ~/out/checkpoint-1`]);
});

Deno.test("runTraining() compares an int8 base with float32, and tells what it is rounded by", async () => {
  await using folder = await tinyRunFolder();
  const lora = { rank: 2, baseDtype: "int8", baseBlockSize: 32 } as const;
  const { said, checkpoint } = await runOf(folder, { maxSteps: 1, lora, evalStrategy: "no" });
  assert.equal(checkpoint, `${folder.path}/out/checkpoint-1`);
  const [rounded, compared] = said.filter((line) => line.startsWith("base: "));
  assert.match(
    rounded,
    /^base: matrices take [\d.]+ KiB in int8 with blocks of 32, two copies, products in int8, in place of 26\.8 KiB in float32; \d+ of 6864 weights are rounded from float32, /,
  );
  assert.match(
    compared,
    /^base: loss of 3 rows before training \d\.\d{4} in int8, \d\.\d{4} in fp?\w*32 \([+-]\d\.\d\d %\), which took \d+\.\d s to find out$/,
  );
  // On an adapter that was trained there is nothing to compare, nor where a run goes on.
  const more = { maxSteps: 2, lora, evalStrategy: "no", resumeFromCheckpoint: true } as const;
  const resumed = await runOf(folder, more);
  assert.deepEqual(resumed.said.filter((line) => /^base: loss/.test(line)), []);
});

Deno.test("runTraining() tells how far PiSSA is, and how long it took", async () => {
  await using folder = await tinyRunFolder();
  const lora = { rank: 2, dropout: 0, initLoraWeights: "pissa" } as const;
  // Each look at the clock takes ten seconds; each interval is over at once, and again when something is said.
  const { setInterval } = globalThis;
  let tick = (): void => {};
  Object.assign(globalThis, {
    setInterval(call: () => void): number {
      tick = call;
      call();
      return 0;
    },
  });
  const writes: string[] = [];
  const said: string[] = [];
  let now = 0;
  try {
    await runOf(folder, { maxSteps: 1, lora, evalStrategy: "no" }, {
      say(line): void {
        said.push(line);
        tick();
      },
      progress: {
        ...{ write: (text) => writes.push(text), isTty: true, columns: () => 200 },
        now: () => now += 10_000,
      },
    });
  } finally {
    Object.assign(globalThis, { setInterval });
  }
  const [pissa] = said.filter((line) => line.startsWith("pissa"));
  assert.match(pissa, /^pissa: singular values of 7 matrices took \d+\.\d s$/);
  const lines = writes.map((text) => text.replace("\r\x1b[K", "").replaceAll(folder.path, "~"))
    .filter((text) => text.includes(" … ")).map((text) => text.split(" … ")[0]);
  assert.deepEqual([...new Set(lines)], [
    "loading ~",
    "PiSSA: computing singular values",
    "PiSSA: computing singular values, 7 of 7 matrices",
    "hashing ~",
    "hashing data and model",
  ]);
});

Deno.test("runTraining() computes what pairs are compared with once, and trains on them", async () => {
  await using folder = await tinyRunFolder();
  const pair = (n: number): string =>
    JSON.stringify({ prompt: `p${n}`, chosen: "b", rejected: "cc" }) + "\n";
  const trainFile = await folder.write("pairs.jsonl", pair(1) + pair(2));
  const options = { trainFile, validationFile: trainFile, loss: "dpo", maxSteps: 1, evalSteps: 1 };
  const { events } = await runOf(folder, options);
  const evaluated = events.find(({ type }) => type === "evaluate");
  assert.ok(evaluated?.type === "evaluate" && "rewards/margins" in evaluated.figures!);
  const { train, validation } = JSON.parse(
    await Deno.readTextFile(`${folder.path}/out/reference.json`),
  );
  assert.equal(train.length, 4);
  assert.deepEqual(validation, train);
});

// The number of processors is asked of the C library, which stays open.
Deno.test(
  "runTraining() of two processes tells and writes once, and learns as one of both batches",
  { sanitizeResources: false },
  async () => {
    await using folder = await tinyRunFolder();
    await folder.write("rows.jsonl", tinyRows(1, 2, 3, 4));
    const run = (outputDir: string, more: TrainingOptions = {}, context: RunTrainingContext = {}) =>
      runOf(folder, {
        ...{ outputDir: `${folder.path}/${outputDir}`, maxSteps: 2, evalStrategy: "no" },
        ...more,
      }, context);
    const alone = await run("alone", { gradientAccumulationSteps: 2 });
    const comms = localComms(2);
    const [first, second] = await Promise.all(
      comms.map((comm) => run("both", { gradientAccumulationSteps: 2 }, { comm })),
    );
    assert.match(first.said[0], /^2 processes by .*: 1 thread each, all state on each$/);
    assert.deepEqual(second.said, []);
    assert.deepEqual([first.files, second.files], [2, 0]);
    assert.deepEqual(second.events, []);
    assert.equal(timeline(first.events), timeline(alone.events));
    assert.deepEqual([second.started, second.checkpoint], [first.started, first.checkpoint]);
    assert.equal(second.end.step, 2);
    const losses = [alone, first].map(({ end }) => end.trainLoss!.toFixed(4));
    assert.equal(losses[0], losses[1]);
    const others = localComms(2);
    const unlike = await Promise.allSettled(
      others.map((comm, rank) => run(`unlike${rank}`, { seed: rank }, { comm })),
    );
    for (const result of unlike) {
      assert.ok(result.status === "rejected");
      assert.match(result.reason.message, /seed/);
    }
  },
);
