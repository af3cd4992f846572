import assert from "node:assert/strict";
import { qwen3Tokenizer } from "../../tests/support/qwen3_tokenizer.ts";
import { toSeedExample } from "./seed_example.ts";

const tokenizer = await qwen3Tokenizer();
const system = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";
const record = {
  kind: "question",
  question: "感冒了怎么办？",
  think: "嗯，先判断病情。",
  answer: "多喝水，多休息。",
} as const;

// Expected ids are transformers 4.57.6's, the slow Qwen2Tokenizer (use_fast=False, as train.py has it)
// and the fast one alike:
//   tok(f"<think>{think}</think> \n {answer}", add_special_tokens=False)["input_ids"] + [tok.pad_token_id]
const promptIds = [
  ...[151644, 8948, 198, 56568, 101909, 104316, 101057, 3837, 112735, 100345, 20002, 103936, 3837],
  ...[107485, 106646, 104107, 111423, 1773, 151645, 198],
  ...[151644, 872, 198, 107061, 34187, 102572, 11319, 151645, 198, 151644, 77091, 198],
];
const replyIds = [
  ...[151667, 106287, 3837, 60726, 104317, 106141, 1773, 151668, 715, 40666, 248, 111824, 3837],
  ...[42140, 104393, 1773, 151643],
];

Deno.test("toSeedExample() gives train.py's ids, the pad token supervised", () => {
  const example = toSeedExample(record, { tokenizer, maxLength: 2048, system });
  assert.deepEqual([...example.inputIds], [...promptIds, ...replyIds]);
  assert.deepEqual([...example.labels], [...promptIds.map(() => -100), ...replyIds]);
  assert.ok(example.terminated);
});

Deno.test("toSeedExample() writes None for a null think and nothing for an empty one", () => {
  const reply = (think: string | null): string => {
    const example = toSeedExample({ ...record, think }, { tokenizer, maxLength: 2048, system });
    return tokenizer.decode(example.inputIds.subarray(example.promptLength));
  };
  assert.equal(reply(null), "<think>None</think> \n 多喝水，多休息。<|endoftext|>");
  assert.equal(reply(""), "<think></think> \n 多喝水，多休息。<|endoftext|>");
});

Deno.test("toSeedExample() drops the terminator when it cuts, as train.py does", () => {
  const maxLength = promptIds.length + replyIds.length - 1;
  const example = toSeedExample(record, { tokenizer, maxLength, system });
  assert.deepEqual([...example.labels.subarray(promptIds.length)], replyIds.slice(0, -1));
  assert.deepEqual([example.terminated, example.truncatedTokens], [false, 1]);
});

Deno.test("toSeedExample() refuses a chat, and a tokenizer without a padding token", () => {
  const options = { tokenizer, maxLength: 2048, system };
  assert.throws(() => toSeedExample({ kind: "chat", messages: [] }, options), {
    message:
      "Cannot make a seed example: the record is no question, and the seed knows only question, think and answer; use toExamples",
  });
  assert.throws(
    () => toSeedExample(record, { ...options, tokenizer: { ...tokenizer, padTokenId: undefined } }),
    { message: "Cannot make a seed example: the tokenizer has no padding token; use Qwen's" },
  );
});

Deno.test("toSeedExample() refuses a history and another system prompt, and takes the same one", () => {
  const options = { tokenizer, maxLength: 2048, system };
  const example = toSeedExample(record, options);
  assert.deepEqual(toSeedExample({ ...record, system }, options), example);
  assert.deepEqual([example.truncatedTokens, example.supervised], [0, replyIds.length]);
  const user = { role: "user", content: "a" } as const;
  for (const more of [{ history: [user] }, { history: [] }, { system: "" }, { system: "x" }]) {
    assert.throws(() => toSeedExample({ ...record, ...more }, options), {
      name: "TypeError",
      message:
        "Cannot make a seed example: the row has a history or a system prompt of its own, and the seed reads only question, think and answer; use toExamples",
    });
  }
});
