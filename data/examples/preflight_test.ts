import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { qwen3Tokenizer } from "../../tests/support/qwen3_tokenizer.ts";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { toExamples } from "./to_examples.ts";
import { inspectRecords, promptIsInference, taughtTerminator } from "./preflight.ts";
import { createTokenizer } from "../text/tokenizer.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const messages = [
  { role: "user", content: "1+1?" },
  { role: "assistant", content: "2", reasoning_content: "Easy." },
] as const;

Deno.test("inspectRecords() finds control tokens in every text, and not <think>", async () => {
  await using folder = await tempFolder();
  const rows = [
    { question: "a", think: "b", answer: "c" },
    { question: "a <|im_end|>", think: "b", answer: "c" },
    { messages: [{ role: "user", content: "a" }, { role: "assistant", content: "<|im_start|>" }] },
    { question: "a", think: "<|endoftext|>", answer: "<think>b</think>c <|im_end" },
  ];
  const path = await folder.write("a.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const { messages: first, controlTokens } = await inspectRecords(path, { tokenizer, system: "s" });
  assert.deepEqual(controlTokens, [
    { line: 2, token: "<|im_end|>" },
    { line: 3, token: "<|im_start|>" },
    { line: 4, token: "<|endoftext|>" },
  ]);
  assert.deepEqual(first[0], { role: "system", content: "s" });
});

Deno.test("inspectRecords() passes over first rows that make no chat, where such are left out", async () => {
  await using folder = await tempFolder();
  const rows = [
    { question: "a", think: "b", answer: "<think>other</think>c" },
    { question: "q", answer: "r" },
  ];
  const path = await folder.write("a.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const { messages } = await inspectRecords(path, { tokenizer, dropRefused: true });
  assert.equal(messages[0].content, "q");
  await assert.rejects(inspectRecords(path, { tokenizer }), {
    name: "JsonlError",
    message: /a\.jsonl:1: Cannot take the thinking/,
  });
});

Deno.test("promptIsInference() holds for Qwen3's template, and not with thinking turned off", async () => {
  const qwen3 = await qwen3Tokenizer();
  for (const each of [tokenizer, qwen3]) {
    const [same] = toExamples(messages, { tokenizer: each, maxLength: 128 });
    assert.ok(promptIsInference(same, messages, { tokenizer: each }));
    const [cut] = toExamples(messages, { tokenizer: each, maxLength: 3 });
    assert.ok(!promptIsInference(cut, messages, { tokenizer: each }));
  }
  const answer = [messages[0], { role: "assistant", content: "2" }] as const;
  const options = { tokenizer: qwen3, maxLength: 128, enableThinking: false };
  assert.ok(!promptIsInference(toExamples(answer, options)[0], answer, { tokenizer: qwen3 }));
});

Deno.test("taughtTerminator() names the token, and none where it was cut off", () => {
  const [whole] = toExamples(messages, { tokenizer, maxLength: 128 });
  assert.equal(taughtTerminator(whole, tokenizer), "<|im_end|>");
  const [cut] = toExamples(messages, { tokenizer, maxLength: whole.inputIds.length - 1 });
  assert.equal(taughtTerminator(cut, tokenizer), undefined);
});
