/** `--eval-generate`: replies are measured at evaluations, and training goes on to the same bits. */

import assert from "node:assert/strict";
import type { EvaluateEvent } from "../train/events.ts";
import { runTraining } from "../train/runs/run_training.ts";
import type { TrainingOptions } from "../train/runs/training_arguments.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";

async function evaluations(options: TrainingOptions): Promise<readonly EvaluateEvent[]> {
  const events: EvaluateEvent[] = [];
  const tracker = {
    event: (event: { readonly type: string }) => {
      if (event.type === "evaluate") events.push(event as EvaluateEvent);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await using _run = await runTraining(options, { trackers: [tracker] });
  return events;
}

Deno.test("--eval-generate measures replies and changes no bit of the run, cut or not", async () => {
  await using folder = await quickstartFolder();
  const options = (outputDir: string): TrainingOptions => ({
    model: `${folder.path}/models/tiny`,
    trainFile: `${folder.path}/data/train.jsonl`,
    validationFile: `${folder.path}/data/val.jsonl`,
    outputDir: `${folder.path}/output/${outputDir}`,
    maxLength: 512,
    maxSteps: 4,
    evalSteps: 2,
    saveSteps: 2,
    learningRate: 0.003,
    reportTo: [],
    threads: THREADS,
    lora: { rank: 2, dropout: 0.1 },
  });
  const generate = { evalGenerate: 3, evalMaxNewTokens: 12 };
  await evaluations(options("plain"));
  const told = await evaluations({ ...options("whole"), ...generate });
  const names = Object.keys(told[0].figures!);
  for (const name of ["rouge_l", "bleu", "form", "answer_loss", "repetition", "reply_length"]) {
    assert.ok(names.includes(name), `${name} is not among ${names}`);
  }
  const { think_loss, answer_loss } = told[1].figures!;
  const [low, high] = [think_loss, answer_loss].toSorted((a, b) => a - b);
  // Of three rows of four: about the loss of all.
  assert.ok(low - 0.5 < told[1].evalTokenLoss && told[1].evalTokenLoss < high + 0.5);

  const files = async (run: string): Promise<Record<string, string>> => {
    const hashes = await folderHashes(`${folder.path}/output/${run}/checkpoint-4`);
    return Object.fromEntries(Object.entries(hashes).filter(([name]) => name !== "manifest.json"));
  };
  const whole = await files("whole");
  const { "trainer_state.json": _with, ...rest } = whole;
  const { "trainer_state.json": _without, ...plain } = await files("plain");
  assert.deepEqual(rest, plain);

  await Deno.rename(`${folder.path}/output/whole/checkpoint-4`, `${folder.path}/output/gone`);
  const resumed = await evaluations({
    ...options("whole"),
    ...generate,
    resumeFromCheckpoint: `${folder.path}/output/whole/checkpoint-2`,
  });
  assert.deepEqual(resumed.map(({ figures }) => figures), [told[1].figures]);
  assert.deepEqual(await files("whole"), whole);
  const log = await Deno.readTextFile(`${folder.path}/output/whole/metrics.jsonl`);
  assert.match(log, /"eval_rouge_l":/);
});

Deno.test("--metric-for-best-model takes measures of replies, of which higher may be better", async () => {
  await using folder = await quickstartFolder();
  const options: TrainingOptions = {
    model: `${folder.path}/models/tiny`,
    trainFile: `${folder.path}/data/train.jsonl`,
    validationFile: `${folder.path}/data/val.jsonl`,
    outputDir: `${folder.path}/output/best`,
    maxLength: 512,
    maxSteps: 3,
    evalSteps: 1,
    learningRate: 0.003,
    reportTo: [],
    threads: THREADS,
    loadBestModelAtEnd: true,
    metricForBestModel: "eval_rouge_1",
    evalGenerate: 2,
    evalMaxNewTokens: 24,
  };
  await using run = await runTraining(options);
  const state = JSON.parse(
    await Deno.readTextFile(`${options.outputDir}/checkpoint-3/trainer_state.json`),
  );
  const values = state.log_history.flatMap((row: Record<string, number>) => row.eval_rouge_1 ?? []);
  assert.equal(values.length, 3);
  assert.equal(run.end.best?.value, Math.max(...values));
  assert.equal(run.end.best?.metric, "eval_rouge_1");
  const { evalGenerate: _, ...without } = options;
  await assert.rejects(runTraining(without), {
    message:
      "Cannot choose the best checkpoint by eval_rouge_1 without replies: give --eval-generate",
  });
  await assert.rejects(
    runTraining({
      ...options,
      metricForBestModel: "eval_choice_accuracy",
      outputDir: `${folder.path}/output/none`,
    }),
    {
      message:
        /^Cannot choose the best evaluation by eval_choice_accuracy: no row that was answered/,
    },
  );
});
