import assert from "node:assert/strict";
import { formatPreview } from "./preview_table.ts";
import type { PreviewExample, PreviewRow } from "./preview_rows.ts";
import { previewText, type PreviewWords } from "./preview_words.ts";
import type { BlockToken } from "./token_blocks.ts";

const token = (text: string, taught = false): BlockToken => ({
  id: 1,
  text,
  taught,
  special: false,
});

const EXAMPLE: PreviewExample = {
  blocks: [
    { role: "user", tokens: [token("How"), token(" so?\n")] },
    {
      role: "assistant",
      tokens: ["<think>", "hm", "</think>", "It", " is."].map((text) =>
        token(text, text !== "<think>")
      ),
      thinking: [0, 3],
    },
  ],
  tokens: 7,
  taught: 4,
  truncatedTokens: 0,
  end: "<|im_end|>",
};

const row = (line: number, changes: Partial<PreviewRow> = {}): PreviewRow => ({
  line,
  examples: [EXAMPLE],
  unread: [],
  ...changes,
});

const plain = { width: 80, color: false };

Deno.test("formatPreview() shows a row's examples, who speaks in them, and what there is in all", () => {
  const shape = { name: "question and answer", columns: ["question", "answer"] };
  const rows = [row(3, { shape, unread: ["a", "b"] } as Partial<PreviewRow>)];
  assert.deepEqual(formatPreview([{ path: "a.jsonl", rows, more: false }], plain), [
    "Line 3: question and answer (question, answer)",
    "  not read: a; b",
    "  7 tokens, 4 taught; ends with <|im_end|>",
    "  role        tokens  taught  text",
    "  user             2       -  How so?↵",
    "  assistant        5       4  [thinking: 3 tokens]It is.",
    "",
    "a.jsonl: all rows: 1 row, 1 example, 7 tokens, 4 taught, 0 rows refused",
  ]);
});

Deno.test("formatPreview() tells of refused rows, and of rows of which nothing is learned", () => {
  const rows = [
    row(1, { examples: [], refused: "answer: is missing", file: "b.json", unit: "row" }),
    row(2, { examples: [] }),
    row(3, {
      examples: [EXAMPLE, { ...EXAMPLE, half: "rejected", end: undefined, truncatedTokens: 1200 }],
    }),
  ];
  const lines = formatPreview([{ path: "a", rows, more: true }], plain);
  assert.deepEqual(lines.filter((line) => !/^ {2}(role|user|assistant) /.test(line)), [
    "b.json, row 1",
    "  refused: answer: is missing",
    "",
    "Line 2",
    "  nothing of it is learned",
    "",
    "Line 3",
    "  7 tokens, 4 taught; ends with <|im_end|>",
    "  rejected: 7 tokens, 4 taught; its end is not taught; 1,200 tokens are cut",
    "",
    "a: the first 3 rows; --preview-rows shows more: 3 rows, 2 examples, 14 tokens, 8 taught, 1 row refused",
  ]);
});

Deno.test("formatPreview() shows five rows of all sources together, but one of each", () => {
  const rows = [1, 2, 3, 4, 5, 6].map((line) => row(line));
  const shown = (sources: number): number =>
    formatPreview(Array(sources).fill({ path: "a", rows, more: false }), plain)
      .filter((line) => line.startsWith("Line ")).length;
  assert.deepEqual([1, 2, 3, 5, 6].map(shown), [5, 4, 3, 5, 6]);
});

Deno.test("formatPreview() shows the last twelve blocks of an example", () => {
  const lines = (count: number): string[] => {
    const blocks = Array.from(
      { length: count },
      (_, i) => ({ role: `r${i}`, tokens: [token("x")] }),
    );
    return formatPreview([{
      path: "a",
      rows: [row(1, { examples: [{ ...EXAMPLE, blocks }] })],
      more: false,
    }], plain)
      .slice(3, -2);
  };
  assert.equal(lines(12).length, 12);
  assert.deepEqual(lines(14).slice(0, 2), [
    "  …           2 before it",
    "  r2               1       -  x",
  ]);
  assert.equal(lines(14).length, 13);
});

Deno.test("formatPreview() colors what is taught, and keeps to the width", () => {
  const long = {
    ...EXAMPLE,
    blocks: [{ role: "user", tokens: [token("abcdefghij".repeat(9))] }, EXAMPLE.blocks[1]],
  };
  const rows = [row(1, { examples: [long], refused: "r".repeat(400) })];
  const lines = formatPreview([{ path: "a", rows, more: false }], { width: 50, color: true });
  // Four lines of 50.
  assert.equal(lines[1].length, 200);
  const parts = (line: string): readonly string[] => line.split("\x1b");
  const [before, user, after] = parts(lines[4]);
  assert.deepEqual([before, user.slice(0, 40), user.at(-1), after], [
    "",
    "[2m  user             1       -  abcdefg",
    "j",
    "[0m",
  ]);
  assert.ok(user.includes(" … "));
  assert.equal(user.length, "[2m".length + 50);
  assert.deepEqual(parts(lines[5]).map((part) => part.slice(0, 15)), [
    "",
    "[32m  assistant",
    "[0m",
  ]);
  // Of a narrow one, 16 characters of text.
  const narrow = formatPreview([{ path: "a", rows, more: false }], { width: 20, color: false });
  assert.equal(narrow[4].length, "  user             1       -  ".length + 16);
});

Deno.test("the words of a preview fit both languages", () => {
  const words = (say: (words: PreviewWords) => string): readonly string[] => {
    const { en, zh } = previewText(say);
    return [en, zh];
  };
  const preview = { path: "a", rows: [row(1)], more: true };
  assert.deepEqual(words(({ first }) => first(preview)), [
    "the first row; --preview-rows shows more",
    "前 1 行；--preview-rows 可以显示更多",
  ]);
  assert.deepEqual(words(({ first }) => first({ ...preview, more: false })), [
    "all rows",
    "全部数据",
  ]);
  const shape = { name: "chat", columns: ["a", "b"] } as PreviewRow["shape"];
  assert.deepEqual(words((say) => say.row(row(2, { file: "x", shape }))), [
    "x, line 2: chat (a, b)",
    "x，第 2 行：chat（a、b）",
  ]);
  assert.deepEqual(words((say) => say.row(row(2, { unit: "row" }))), ["Row 2", "第 2 行"]);
  assert.deepEqual(words(({ example }) => example({ ...EXAMPLE, half: "chosen" })), [
    "chosen: 7 tokens, 4 taught; ends with <|im_end|>",
    "偏好的回复：7 个词元，学习 4 个；以 <|im_end|> 结束",
  ]);
  const cut = { ...EXAMPLE, half: "rejected", end: undefined, truncatedTokens: 1 } as const;
  assert.deepEqual(words(({ example }) => example(cut)), [
    "rejected: 7 tokens, 4 taught; its end is not taught; 1 tokens are cut",
    "被拒绝的回复：7 个词元，学习 4 个；没有学习结束符；截去 1 个词元",
  ]);
  assert.deepEqual(words(({ block }) => block("user", 1)), ["user · 1 token", "用户 · 1 个词元"]);
  assert.deepEqual(words(({ block }) => block("judge", 2)), [
    "judge · 2 tokens",
    "judge · 2 个词元",
  ]);
});
