import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { joinExample } from "./join_example.ts";
import { formatTokenTable, tokenTable } from "./token_table.ts";
import { createTokenizer } from "../text/tokenizer.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const example = joinExample(
  tokenizer.encode(" é\n\t\x1b[31m"),
  tokenizer.encode("ok<|im_end|>"),
  { maxLength: 64, terminated: true },
);

Deno.test("tokenTable() shows control characters, edge blanks and cut characters", () => {
  const rows = tokenTable(example, tokenizer);
  assert.deepEqual(rows.map(({ text }) => text), [
    ...["␣", "\\xC3", "\\xA9", "\\n", "\\t", "\\u{1B}", "[", "3", "1", "m"],
    ...["o", "k", "<|im_end|>"],
  ]);
  assert.deepEqual(
    rows.filter(({ supervised }) => supervised).map(({ position }) => position),
    [10, 11, 12],
  );
  assert.deepEqual([...example.inputIds], rows.map(({ id }) => id));
});

Deno.test("formatTokenTable() leaves out the middle and says what it held", () => {
  const lines = formatTokenTable(tokenTable(example, tokenizer), { head: 2, tail: 1 });
  assert.deepEqual(lines, [
    "position      id  supervised  text",
    "       0      32  -           ␣",
    "       1     195  -           \\xC3",
    "       …  10 tokens left out, 2 of them supervised",
    "      12     258  yes         <|im_end|>",
  ]);
});

Deno.test("formatTokenTable() dims what is not supervised where it may colour", () => {
  const rows = tokenTable(example, tokenizer);
  const [, first, ...rest] = formatTokenTable(rows, { color: true });
  assert.equal(first, "\x1b[2m       0      32  -           ␣\x1b[0m");
  assert.equal(rest.at(-1), "      12     258  yes         <|im_end|>");
});
