import assert from "node:assert/strict";
import { appendFile } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readRun, readUpdate } from "./dashboard_data.ts";

const NONE = { figures: "", samples: "" };

/** Lines of JSON. */
function linesOf(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}

Deno.test("readUpdate() takes the figures that are shown of each line, and null for those that are not finite", async () => {
  await using folder = await tempFolder();
  const figures = {
    ...{ step: 0, epoch: 0.5, loss: 1.5, grad_norm: 2, learning_rate: 1e-4, tokens_per_second: 9 },
    ...{ memory_bytes: 7, eval_loss: 1.25, eval_token_loss: 1.125, skipped_updates: 3 },
    ...{ eval_rouge_1: 0.5, eval_reply_length: 12, eval_bleu: 0, eval_choice_accuracy: -1 },
  };
  const more = { seconds: 5, eval_runtime: 2, rouge_1: 8, "logps/chosen": 4 };
  const text = linesOf([
    { ...figures, ...more },
    { step: 1, loss: "NaN", grad_norm: "Infinity", epoch: null, learning_rate: true },
  ]);
  await folder.write("metrics.jsonl", `${text}{"step":2,"loss":1e999,"epoch":-1e999}\n`);
  const { figures: { cursor, ...found }, samples, state } = await readUpdate(folder.path, NONE);
  assert.deepEqual(found, {
    reset: false,
    more: false,
    rows: [figures, { step: 1, loss: null, grad_norm: null }, { step: 2, loss: null, epoch: null }],
  });
  assert.match(cursor, /^\d+\.\d+-\d+$/);
  assert.deepEqual(samples, { cursor: "", reset: false, more: false, rows: [] });
  assert.equal(state, undefined);
});

Deno.test("readUpdate() compares the training loss of pairs with their evaluation loss", async () => {
  await using folder = await tempFolder();
  const pairs = {
    ...{ step: 4, eval_loss: 0.5, eval_token_loss: 2, "eval_rewards/margins": 0.25 },
    ...{ "eval_rewards/accuracies": 1, "rewards/margins": 3, "rewards/accuracies": 0.75 },
  };
  const { "eval_rewards/margins": _, ...others } = pairs;
  await folder.write("metrics.jsonl", linesOf([pairs, others]));
  const { figures } = await readUpdate(folder.path, NONE);
  assert.deepEqual(figures.rows, [{ ...pairs, eval_token_loss: 0.5 }, others]);
});

Deno.test("readUpdate() passes over lines that are no rows", async () => {
  await using folder = await tempFolder();
  const steps = [-1, 1.5, "1", null, 2 ** 53, undefined];
  const rows = steps.map((step) => ({ step, question: "q", answer: "a", loss: 1 }));
  const text = `{"step":1\n\n7\n"text"\nnull\n[1]\n${linesOf(rows)}`;
  await folder.write("metrics.jsonl", `${text}{"step":${2 ** 53 - 1}}\n`);
  const good = { step: 0, question: "", answer: "" };
  const wrong = [
    { ...good, question: 1 },
    { ...good, answer: null },
    { ...good, think: 5 },
    { ...good, think: null },
    { step: 0, question: "q" },
    { step: 0, answer: "a" },
  ];
  const said = { step: 3, question: "q", think: "t", answer: "a" };
  await folder.write("samples.jsonl", text + linesOf([...wrong, good, { ...said, more: 1 }]));
  const { figures, samples } = await readUpdate(folder.path, NONE);
  assert.deepEqual(figures.rows, [{ step: 2 ** 53 - 1 }]);
  assert.deepEqual(samples.rows, [{ ...good, think: "" }, said]);
});

Deno.test("readUpdate() goes on where each file was left", async () => {
  await using folder = await tempFolder();
  const figures = await folder.write("metrics.jsonl", '{"step":1}\n');
  const said = { step: 1, question: "q", think: "", answer: "a" };
  const samples = await folder.write("samples.jsonl", linesOf([said, said]));
  const first = await readUpdate(folder.path, NONE);
  const cursors = { figures: first.figures.cursor, samples: first.samples.cursor };
  await appendFile(figures, '{"step":2}\n{"step":3}\n');
  await appendFile(samples, linesOf([{ ...said, step: 2 }]));
  const second = await readUpdate(folder.path, cursors);
  assert.deepEqual(second.figures.rows, [{ step: 2 }, { step: 3 }]);
  assert.deepEqual(second.samples.rows, [{ ...said, step: 2 }]);
  assert.deepEqual([second.figures.reset, second.samples.reset], [false, false]);
});

Deno.test("readRun() reads all of a run, however long either file is, and how it ended", async () => {
  await using folder = await tempFolder();
  const started = "2026-11-28T12:00:00.000Z";
  await folder.write("run.json", JSON.stringify({ status: "failed", started, ended: started }));
  const state = { status: "failed", started, ended: started };
  const long = ["a", "b", "c"].map((letter, step) => ({
    ...{ step, question: letter.repeat(2 ** 19), think: "", answer: "" },
  }));
  const short = { step: 9, question: "", think: "", answer: "" };
  await folder.write("samples.jsonl", linesOf(long));
  await folder.write("metrics.jsonl", linesOf([{ step: 5 }, { step: 6 }]));
  assert.deepEqual(await readRun(folder.path, "name"), {
    ...{ name: "name", state, samples: long },
    figures: [{ step: 5 }, { step: 6 }],
  });
  await folder.write("samples.jsonl", linesOf([short]));
  const padded = [1, 2, 3].map((step) => ({ step, text: "x".repeat(2 ** 19) }));
  await folder.write("metrics.jsonl", linesOf(padded));
  assert.deepEqual(await readRun(folder.path, "other"), {
    ...{ name: "other", state, samples: [short] },
    figures: [{ step: 1 }, { step: 2 }, { step: 3 }],
  });
});
