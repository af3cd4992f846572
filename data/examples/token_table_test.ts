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

/** What a tokenizer of one token knows of it. */
const single = (tokenBytes: () => Uint8Array<ArrayBuffer>) => ({
  ...tokenizer,
  tokenBytes,
  decode: (ids: ArrayLike<number>) => `text of ${ids[0]}`,
});
const textOf = (bytes: Uint8Array<ArrayBuffer>): string =>
  tokenTable(example, single(() => bytes))[0].text;
const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

Deno.test("tokenTable() cuts texts of more than 48 characters, and shows those that would not be seen", () => {
  const texts = [
    ["x".repeat(48), "x".repeat(48)],
    ["x".repeat(49), `${"x".repeat(48)}…`],
    ["   ", "␣ ␣"],
    [" a b ", "␣a b␣"],
    ["\r\u0000\u200b\u2028\u2029\ufeff", "\\r\\u{0}\\u{200B}\\u{2028}\\u{2029}\\u{FEFF}"],
    ["\ufeffa", "\\u{FEFF}a"],
    ["", ""],
  ];
  for (const [text, expected] of texts) assert.equal(textOf(utf8(text)), expected);
  assert.equal(textOf(Uint8Array.of(0xe6, 0x0a)), "\\xE6\\x0A");
  const fails = () => {
    throw new Error("not a byte-level vocabulary");
  };
  assert.equal(tokenTable(example, single(fails))[0].text, "text of 32");
});

Deno.test("formatTokenTable() shows 40 rows and 20 unless it is told otherwise, and all that are left", () => {
  const rows = Array.from(
    { length: 70 },
    (_, position) => ({ position, id: 7, text: "x", supervised: position >= 45 }),
  );
  const shown = (count: number, options?: { head?: number; tail?: number }): unknown[] =>
    formatTokenTable(rows.slice(0, count), options).slice(1).map((line) =>
      line.includes("left out") ? line : Number(line.slice(0, 8))
    );
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  assert.deepEqual(shown(60), range(0, 60));
  assert.deepEqual(shown(61), [
    ...range(0, 40),
    "       …  1 tokens left out, 0 of them supervised",
    ...range(41, 61),
  ]);
  assert.deepEqual(shown(70), [
    ...range(0, 40),
    "       …  10 tokens left out, 5 of them supervised",
    ...range(50, 70),
  ]);
  assert.deepEqual(shown(5, { head: 1, tail: 0 }), [
    0,
    "       …  4 tokens left out, 0 of them supervised",
  ]);
  assert.deepEqual(shown(0), []);
  const plain = formatTokenTable(rows.slice(0, 2));
  assert.deepEqual(plain, formatTokenTable(rows.slice(0, 2), { color: false }));
  assert.equal(plain[1], "       0       7  -           x");
});
