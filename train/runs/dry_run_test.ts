import assert from "node:assert/strict";
import { fakeClock } from "../../tests/support/fake_clock.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { tinyRunFolder } from "../../tests/support/tiny_run_folder.ts";
import { folderHashes } from "../../tests/support/folder_hashes.ts";
import { toExampleList } from "../../data/examples/example_list.ts";
import type { Trainer } from "../trainer.ts";
import { dryRun, timeUpdates } from "./dry_run.ts";
import { planRun } from "./run_plan.ts";
import type { TrainingArguments, TrainingOptions } from "./training_arguments.ts";
import type { TrainingData } from "./training_data.ts";

/** What two updates are timed as, each token taking a hundredth of a second and the first update two more. */
async function timed(
  lengths: readonly number[],
  more: Partial<TrainingArguments> = {},
  trainer: Partial<Trainer> = {},
): Promise<{ line: string; updates: number[][]; rate: number | undefined }> {
  using clock = fakeClock();
  const updates: number[][] = [];
  let rate: number | undefined;
  const stub: Trainer = {
    ...trainerStub(),
    trainStep(batches, { learningRate }) {
      clock.pass(updates.length === 0 ? 2000 : 0);
      for (const { tokens } of batches) clock.pass(10 * tokens);
      updates.push(batches.map(({ tokens }) => tokens));
      rate = learningRate;
      return Promise.resolve({ loss: 1, gradNorm: 1, skipped: false });
    },
    ...trainer,
  };
  const args = {
    ...{ perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 1, numTrainEpochs: 3, maxSteps: 0 },
    ...{ maxLength: 9, seed: 42, learningRate: 0.5, ...more },
  } as TrainingArguments;
  const train = toExampleList(
    lengths.map((length, n) => stubExample(n, new Array(length - 1).fill(1))),
  );
  const { signal } = new AbortController();
  const line = await timeUpdates(stub, {
    ...{ args, data: { train } as TrainingData, padId: 0, plan: planRun(args, train), signal },
  });
  return { line, updates, rate };
}

Deno.test("timeUpdates() scales the second update to the tokens of the run", async () => {
  // Five rows of 4 tokens, three times: 15 updates of 0.04 s.
  assert.deepEqual(await timed([4, 4, 4, 4, 4]), {
    line:
      "time: 2.04 s the first update, 0.04 s the second (100 tokens/s); about 0:00:01 for 15 updates, " +
      "evaluation and checkpoints left out",
    updates: [[4], [4]],
    rate: 0.5,
  });
  const hundred = await timed(new Array(100).fill(5), { gradientAccumulationSteps: 4 });
  assert.deepEqual(hundred.updates, [[5, 5, 5, 5], [5, 5, 5, 5]]);
  assert.match(
    hundred.line,
    /^time: 2\.20 s .* 0\.20 s .* \(100 tokens\/s\); about 0:00:15 for 75 updates,/,
  );
  const two = await timed([5, 5, 5, 5], {
    gradientAccumulationSteps: 2,
    perDeviceTrainBatchSize: 2,
  });
  assert.deepEqual(two.updates, [[10, 10], [10, 10]]);
});

Deno.test("timeUpdates() makes the only update of an epoch twice", async () => {
  const { line, updates } = await timed([4, 4], { gradientAccumulationSteps: 2 });
  assert.deepEqual(updates, [[4, 4], [4, 4]]);
  assert.match(line, /^time: 2\.08 s .* 0\.08 s .* about 0:00:00 for 3 updates,/);
});

Deno.test("timeUpdates() packs rows, and counts updates of a number of tokens", async () => {
  const packed = await timed([4, 4, 4, 4], { packing: true });
  assert.deepEqual(packed.updates, [[8], [8]]);
  const counted = await timed(new Array(8).fill(4), { packing: true, tokensPerStep: 16 });
  assert.deepEqual(counted.updates, [[8, 8], [8, 8]]);
});

Deno.test("timeUpdates() keeps pairs together, and needs nothing that they are compared with", async () => {
  const pairs = { reference: true } as Trainer["pairs"];
  const { updates } = await timed([4, 5, 4, 5], { loss: "dpo" }, { pairs });
  assert.deepEqual(updates, [[9], [9]]);
});

Deno.test("dryRun() says all that a run would, times it, and writes nothing", async () => {
  await using folder = await tinyRunFolder();
  const { path } = folder;
  await folder.write("rows.csv", "question,think,answer\nq1,t,a\nq2,t,aa\n");
  const before = await folderHashes(path);
  const said: string[] = [];
  const options: TrainingOptions = {
    ...{ model: path, trainFile: `${path}/rows.csv`, outputDir: `${path}/out`, maxLength: 64 },
    ...{ gradientAccumulationSteps: 2, warmupSteps: 9, evalMaxNewTokens: 3, threads: 1 },
    lora: { rank: 2, baseDtype: "int8", baseBlockSize: 32 },
  };
  const { signal } = new AbortController();
  await dryRun(options, {
    ...{ signal, say: (line) => said.push(line.replaceAll(path, "~")), color: false },
  });
  assert.deepEqual(await folderHashes(path), before);
  const table = said.findIndex((line) => line.startsWith("position"));
  const end = said.findIndex((line) => line.startsWith("terminator"));
  const expected = [
    /^note: --eval-max-new-tokens has no effect without --eval-generate$/,
    /^note: ~\/rows\.csv: read as CSV with , between cells; /,
    /^note: replies follow the model's own chat template/,
    /^rows: 2 of 2 of ~\/rows\.csv are read as question and answer/,
    /^first row \(line 2\), as the chat that it becomes:$/,
    ...[/^ {2}user /, /^ {2}assistant /],
    /^terminator: <\|im_end\|> is taught$/,
    /^prompt: its \d+ tokens are those that inference makes$/,
    /^plan: 2 updates, 1 an epoch; 2 examples and 61 tokens an epoch, and 0\.0 % padding$/,
    /^note: the learning rate never reaches --learning-rate 0\.0001: --warmup-steps 9 /,
    /^memory: about .* at the peak /,
    /^memory: about .* with --no-gradient-checkpointing: there is room for it/,
    /^base: matrices take .* in int8 with blocks of 32, /,
    /^time: [\d.]+ s the first update, [\d.]+ s the second \(\d+ tokens\/s\); about \d:\d\d:\d\d for 2 updates, /,
    /^dry run: nothing was written$/,
  ];
  const lines = [...said.slice(0, table), ...said.slice(end)].filter((line) =>
    !/^room|^hint/.test(line)
  );
  assert.equal(lines.length, expected.length, lines.join("\n"));
  expected.forEach((line, i) => assert.match(lines[i], line));
});
