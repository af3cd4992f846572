import assert from "node:assert/strict";
import { parseRecord } from "./record.ts";

const where = { file: "r.jsonl", line: 1 };
const rows: [Record<string, unknown>, RegExp][] = [
  [{ conversations: [{ from: "human", value: "Hi" }] }, /ShareGPT's format; write messages/],
  [
    { instruction: "a", input: "b", output: "c" },
    /Alpaca's format; rename instruction to question and output to answer/,
  ],
  [{ prompt: "a", completion: "b" }, /rename prompt to question and completion to answer/],
  [{ prompt: "a", chosen: "b", rejected: "c" }, /preference data; rename prompt to question/],
  [{ Question: "a", Complex_CoT: "b", Response: "c" }, /rename response to answer/],
  [{ problem: "a", solution: "b" }, /rename the columns to question, think and answer/],
  [{ text: "a" }, /plain text, of which no reply can be told apart/],
  [{ input_ids: [1] }, /tokenized already/],
];

for (const [row, message] of rows) {
  Deno.test(`parseRecord() names a row of ${Object.keys(row).join(", ")}`, () => {
    assert.throws(() => parseRecord(row, where), { name: "JsonlError", message });
  });
}
