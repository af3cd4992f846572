/** Rows as people write them give the tokens that transformers makes of the chats they stand for. */

import assert from "node:assert/strict";
import { toExamples } from "../data/examples/to_examples.ts";
import { parseRecord, toMessages } from "../data/records/record.ts";
import { qwen3Tokenizer } from "./support/qwen3_tokenizer.ts";

interface RowCase {
  readonly name: string;
  readonly row: Record<string, unknown>;
  readonly examples: readonly { readonly prompt: number[]; readonly reply: number[] }[];
}

const tokenizer = await qwen3Tokenizer();
const fixture = new URL("./fixtures/rows/rows.json", import.meta.url);
const cases: readonly RowCase[] = JSON.parse(await Deno.readTextFile(fixture));

for (const { name, row, examples } of cases) {
  Deno.test(`a row with ${name} gives transformers' tokens`, () => {
    const unread: string[] = [];
    const record = parseRecord(row, { file: "rows.jsonl", line: 1 }, {
      onUnread: (field) => unread.push(field),
    });
    const made = toExamples(toMessages(record), { tokenizer, maxLength: 4096 });
    const texts = made.map(({ inputIds, promptLength }) => [
      tokenizer.decode(inputIds.subarray(0, promptLength)),
      tokenizer.decode(inputIds.subarray(promptLength)),
    ]);
    const expected = examples.map(({ prompt, reply }) => [
      tokenizer.decode(prompt),
      tokenizer.decode(reply),
    ]);
    assert.deepEqual(texts, expected);
    assert.deepEqual(
      made.map(({ inputIds, promptLength, supervised, terminated }) => ({
        ids: [...inputIds],
        promptLength,
        supervised,
        terminated,
      })),
      examples.map(({ prompt, reply }) => ({
        ids: [...prompt, ...reply],
        promptLength: prompt.length,
        supervised: reply.length,
        terminated: true,
      })),
    );
    assert.deepEqual(unread, []);
  });
}
