import assert from "node:assert/strict";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { metricNames } from "../../infer/evaluate/metrics.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { tinyRows, tinyRunFolder } from "../../tests/support/tiny_run_folder.ts";
import { createFullTrainer } from "../trainers/full_trainer.ts";
import { generatedMetrics } from "./generated_metrics.ts";
import { predict } from "./predictions.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { readTrainingData } from "./training_data.ts";

/** What replies are made with: an untrained model, and four rows to evaluate on. */
async function untrained() {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await tinyRunFolder());
  const [model, trainFile] = [folder.path, `${folder.path}/rows.jsonl`];
  const validationFile = await folder.write("val.jsonl", tinyRows(4, 5, 6, 7));
  await folder.write("generation_config.json", '{"do_sample":true,"temperature":1.5}');
  const runtime = resources.use(new Runtime({ threads: 1 }));
  const trainer = resources.use(await createFullTrainer(model, { runtime }));
  const tokenizer = await loadTokenizer(model);
  const args = {
    ...{ model, trainFile, validationFile, maxLength: 64, system: "", seed: 3 },
    ...{
      evalStrategy: "steps",
      evalMaxNewTokens: 4,
      predictionSamples: 2,
      predictionMaxNewTokens: 40,
    },
  } as const;
  const data = resources.use(await readTrainingData(args, tokenizer));
  const owned = resources.move();
  return {
    ...{ runtime, trainer, tokenizer, data, chat: { eosTokenIds: [258] } },
    args: args as unknown as TrainingArguments,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

Deno.test("generatedMetrics() measures the replies to the first rows, each process some of them", async () => {
  await using parts = await untrained();
  const measure = async (change: Partial<TrainingArguments>) =>
    (await generatedMetrics({ ...parts, args: { ...parts.args, ...change } }))!;
  const metrics = await measure({ evalGenerate: 3 });
  /** What a process sums, and what comes of it where the sums are these. */
  const run = async (rank: number, size: number, sums?: readonly number[]) => {
    let own: readonly number[] = [];
    const figures = await metrics({
      ...{ rank, size, signal: undefined },
      sum(numbers) {
        own = numbers;
        return Promise.resolve(sums ?? numbers);
      },
    });
    return { own, figures };
  };
  const whole = await run(0, 1);
  assert.equal(whole.own.length, 10 * metricNames.length);
  const [first, second, none] = [await run(0, 2), await run(1, 2), await run(3, 4)];
  // Rows 0 and 2, and row 1: sums of the same numbers.
  first.own.forEach((each, i) => assert.ok(Math.abs(each + second.own[i] - whole.own[i]) < 1e-9));
  assert.ok(none.own.every((each) => each === 0));
  assert.deepEqual((await run(1, 2, whole.own)).figures, whole.figures);
  assert.deepEqual(none.figures, {});
  const sumsOf = (name: typeof metricNames[number], { own } = whole): readonly number[] =>
    own.slice(10 * metricNames.indexOf(name), 10 * metricNames.indexOf(name) + 2);
  // No untrained reply ends within four tokens by chance here; each is of four.
  assert.deepEqual(sumsOf("reply_length"), [12, 3]);
  assert.equal(whole.figures.reply_length, 4);
  assert.deepEqual(sumsOf("stop_rate"), [0, 3]);
  assert.deepEqual([sumsOf("stop_rate", first)[1], sumsOf("stop_rate", second)[1]], [2, 1]);
  assert.ok(Object.keys(whole.figures).every((name) => metricNames.some((each) => each === name)));
  assert.ok("answer_loss" in whole.figures && !("choice_accuracy" in whole.figures));
  // Greedy, though the model's own settings sample.
  assert.deepEqual((await run(0, 1)).own, whole.own);
  const all = await measure({ evalGenerate: 9 });
  const ends = await all({ rank: 0, size: 1, signal: undefined, sum: (n) => Promise.resolve(n) });
  assert.equal(ends.reply_length, 4);
});

Deno.test("generatedMetrics() measures nothing where no replies are asked for, or nothing is evaluated", async () => {
  await using parts = await untrained();
  const { args } = parts;
  const of = (change: Partial<TrainingArguments>, data: typeof parts.data = parts.data) =>
    generatedMetrics({ ...parts, data, args: { ...args, ...change } });
  assert.equal(await of({}), undefined);
  assert.equal(await of({ evalGenerate: 0 }), undefined);
  assert.equal(await of({ evalGenerate: 2, evalStrategy: "no" }), undefined);
  const { train } = parts.data;
  const empty = { ...train, length: 0 };
  assert.equal(await of({ evalGenerate: 2 }, { ...parts.data, validation: empty }), undefined);
  assert.notEqual(await of({ evalGenerate: 1 }), undefined);
});

Deno.test("predict() answers the first questions, and writes each with its reply", async () => {
  await using parts = await untrained();
  const writes: string[] = [];
  const abort = new AbortController();
  let stopAfter = Infinity;
  const output = {
    isTty: false,
    write(text: string): Promise<void> {
      writes.push(text);
      if (writes.length === stopAfter) abort.abort();
      return Promise.resolve();
    },
  };
  const { signal } = abort;
  const said = await predict(parts, { output, signal });
  assert.deepEqual(said.map(({ question, reference }) => [question, reference]), [
    ["q4", "aaaa"],
    ["q5", "aaaaa"],
  ]);
  assert.equal(writes[0], "\nq4\n\n");
  assert.equal(writes.at(-1), "\n");
  assert.equal(writes.filter((text) => text === "\nq5\n\n").length, 1);
  for (const { answer } of said) assert.ok(writes.join("").includes(answer));
  // The same again, and something else by another seed.
  assert.deepEqual(await predict(parts, { output, signal }), said);
  const seeded = { ...parts, args: { ...parts.args, seed: 4, predictionSamples: 1 } };
  const [other] = await predict(seeded, { output, signal });
  assert.notEqual(other.answer, said[0].answer);
  // What was asked when it was ended is not kept.
  writes.length = 0;
  stopAfter = 1;
  assert.deepEqual(await predict(parts, { output, signal }), []);
  assert.deepEqual(writes.filter((text) => text.includes("q")), ["\nq4\n\n"]);
});
