/** Rows as people write them give the tokens that transformers makes of the chats they stand for. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { encodeRecord } from "../data/examples/encode_record.ts";
import type { Example } from "../data/examples/example.ts";
import { parseRowJson } from "../data/records/parse_row_json.ts";
import { parseRecord } from "../data/records/record.ts";
import { createTokenizer } from "../data/text/tokenizer.ts";
import { qwen3Files, qwen3Tokenizer } from "./support/qwen3_tokenizer.ts";
import { realTokenizerFiles } from "./support/real_tokenizer.ts";

interface RowCase {
  readonly name: string;
  readonly row: Record<string, unknown>;
  readonly columns?: Readonly<Record<string, string>>;
  readonly unread?: readonly string[];
  readonly examples: readonly { readonly prompt: number[]; readonly reply: number[] }[];
}

/** Of a prompt its length and its digest; of a reply its ids. */
type ToolExample = readonly [length: number, digest: string, reply: readonly number[]];

interface ToolRow {
  readonly row: Record<string, unknown>;
  /** By template, of those that it is compared by; `null` where it refuses the chat, or loses some of it. */
  readonly expected: Readonly<Record<string, readonly ToolExample[] | null | undefined>>;
}

const where = { file: "rows.jsonl", line: 1 };
const maxLength = 4096;
const fixtures = new URL("./fixtures/", import.meta.url);

async function read<T>(path: string): Promise<T> {
  const text = await Deno.readTextFile(new URL(path, fixtures));
  // A row a line, each as a file of rows is read.
  const rows = text.trimEnd().split("\n").slice(1, -1);
  return rows.map((line) => parseRowJson(line.replace(/,$/, ""))) as T;
}

const tokenizer = await qwen3Tokenizer();
const cases = await read<readonly RowCase[]>("rows/rows.json");

for (const { name, row, columns, unread = [], examples } of cases) {
  Deno.test(`a row with ${name} gives transformers' tokens`, () => {
    const told: string[] = [];
    const record = parseRecord(row, where, { columns, onUnread: (field) => told.push(field) });
    const made = encodeRecord(record, { tokenizer, maxLength });
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
    assert.deepEqual(told, unread);
  });
}

const toolRows = await read<readonly ToolRow[]>("rows/tool_rows.json");
const llama3 = await realTokenizerFiles("llama3");
const templates = [
  { name: "qwen3", files: await qwen3Files() },
  { name: "qwen2_5", files: await qwen3Files() },
  { name: "llama3_1", files: llama3 },
  { name: "mistral_v3_tekken", files: llama3 },
];

for (const { name, files } of templates) {
  Deno.test(`40 rows with calls of tools give transformers' tokens by the template ${name}`, async () => {
    const path = new URL(`jinja/templates/${name}.jinja`, fixtures);
    const tokenizer = createTokenizer({ ...files, chatTemplate: await Deno.readTextFile(path) });
    const digest = (ids: Int32Array): string =>
      createHash("sha256").update(JSON.stringify([...ids])).digest("hex").slice(0, 12);
    let compared = 0;
    for (const [index, { row, expected }] of toolRows.entries()) {
      const encode = (): readonly Example[] =>
        encodeRecord(parseRecord(row, where), { tokenizer, maxLength });
      const wanted = expected[name];
      if (wanted === undefined) continue;
      if (wanted === null) {
        assert.throws(encode, /the chat template|the template refused/, `row ${index}`);
        continue;
      }
      const made = encode();
      const texts = made.map(({ inputIds, promptLength }) =>
        tokenizer.decode(inputIds.subarray(promptLength))
      );
      assert.deepEqual(texts, wanted.map(([, , reply]) => tokenizer.decode(reply)), `row ${index}`);
      assert.deepEqual(
        made.map(({ inputIds, promptLength, labels }): ToolExample => [
          promptLength,
          digest(inputIds.subarray(0, promptLength)),
          [...labels.subarray(promptLength)],
        ]),
        wanted,
        `row ${index}: ${tokenizer.decode(made[0].inputIds)}`,
      );
      compared++;
    }
    assert.equal(compared, 40);
  });
}
