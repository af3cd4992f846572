import assert from "node:assert/strict";
import { assertSameRun, parseRunFacts } from "./run_facts.ts";

Deno.test("parseRunFacts() takes names with plain values", () => {
  const facts = { seed: 42, bf16: true, lr_scheduler_type: "linear", packing: null, none: "" };
  assert.deepEqual(parseRunFacts(JSON.stringify(facts), "training_args.json"), facts);
  assert.deepEqual(parseRunFacts("{}", "training_args.json"), {});
});

Deno.test("parseRunFacts() refuses what is no list of names and plain values", () => {
  for (
    const text of ["", "{", "null", "3", "[]", '["a"]', '{"a":1,"b":[]}', '{"a":{},"b":1}']
  ) {
    assert.throws(() => parseRunFacts(text, "c/training_args.json"), {
      message:
        "Cannot resume from c/training_args.json: it is no list of names and plain values; " +
        "give a checkpoint that ortune wrote, or start from its weights with --model",
    }, text);
  }
});

Deno.test("assertSameRun() lets a run change its length and its logs alone", () => {
  const saved = { num_train_epochs: 3, max_steps: 7, logging_steps: 10, seed: 42, packing: null };
  assertSameRun(saved, saved, "c");
  assertSameRun(saved, { seed: 42, max_steps: 9, num_train_epochs: 1, packing: null }, "c");
  assertSameRun(saved, { ...saved, logging_steps: 1 }, "c");
  const message = (lines: string): { readonly message: string } => ({
    message: `Cannot resume from out/checkpoint-8: it is of another run\n${lines}\nGive the same ` +
      "arguments and data, or start a new run from its weights with --model",
  });
  const current = { max_steps: 7, seed: 43, packing: "rows", toString: true };
  assert.throws(
    () => assertSameRun(saved, current, "out/checkpoint-8"),
    message(
      "  seed: 42 there, 43 here\n" +
        '  packing: null there, "rows" here\n' +
        "  toString: not set there, true here",
    ),
  );
  assert.throws(
    () => assertSameRun({ seed: 1, lora: "a" }, { seed: 1 }, "out/checkpoint-8"),
    message('  lora: "a" there, not set here'),
  );
});
