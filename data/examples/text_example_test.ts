import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { createTokenizer } from "../text/tokenizer.ts";
import { toTextExample } from "./text_example.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const record = { kind: "text", prompt: "ab", completion: "cde" } as const;

Deno.test("toTextExample() learns the completion and its end, and cuts or leaves out what is too long", () => {
  const whole = {
    inputIds: Int32Array.of(97, 98, 99, 100, 101, 258),
    labels: Int32Array.of(-100, -100, 99, 100, 101, 258),
    ...{ promptLength: 2, supervised: 4, truncatedTokens: 0, terminated: true },
  };
  for (const truncation of [undefined, "right", "left", "drop", "error"] as const) {
    assert.deepEqual(toTextExample(record, { tokenizer, maxLength: 6, truncation }), whole);
  }
  const right = {
    inputIds: whole.inputIds.slice(0, 5),
    labels: whole.labels.slice(0, 5),
    ...{ promptLength: 2, supervised: 3, truncatedTokens: 1, terminated: false },
  };
  const short = { tokenizer, maxLength: 5 };
  assert.deepEqual(toTextExample(record, short), right);
  assert.deepEqual(toTextExample(record, { ...short, truncation: "left" }), {
    inputIds: whole.inputIds.slice(1),
    labels: whole.labels.slice(1),
    ...{ promptLength: 1, supervised: 4, truncatedTokens: 1, terminated: true },
  });
  let dropped = 0;
  const onDropped = (): void => void dropped++;
  assert.equal(toTextExample(record, { ...short, truncation: "drop", onDropped }), undefined);
  assert.equal(dropped, 1);
  assert.throws(() => toTextExample(record, { ...short, truncation: "error" }), {
    name: "RangeError",
    message:
      "Cannot make an example of the text: its 6 tokens exceed maxLength 5; raise that, shorten the row, or give " +
      "another truncation than error",
  });
  // A completion that says where it ends is not ended twice.
  const ended = { ...record, completion: "cde<|im_end|> " };
  assert.deepEqual(toTextExample(ended, { tokenizer, maxLength: 6 }), whole);
});

Deno.test("toTextExample() refuses a completion that the tokenizer does not give back, and reads any prompt", () => {
  const { tokenizerJson, ...files } = byteTokenizerFiles();
  const lower = createTokenizer({
    ...files,
    tokenizerJson: { ...tokenizerJson, normalizer: { type: "Lowercase" } },
  });
  const options = { tokenizer: lower, maxLength: 9 };
  const example = toTextExample({ ...record, prompt: "AB" }, options)!;
  assert.equal(lower.decode(example.inputIds), "abcde<|im_end|>");
  assert.throws(() => toTextExample({ ...record, completion: "C" }, options), {
    message:
      'Cannot make an example of the completion: the tokenizer does not give its text back, at character 0 "C" ' +
      'becomes "c"; change that text, or leave the row out',
  });
});
