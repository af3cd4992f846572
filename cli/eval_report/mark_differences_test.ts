import assert from "node:assert/strict";
import { markDifferences } from "./mark_differences.ts";

const CASES: readonly (readonly [text: string, reference: string, marked: string])[] = [
  ["the cat sat", "the cat sat", "the cat sat"],
  ["the dog sat", "the cat sat", "the <mark>dog</mark> sat"],
  ["a b", "x y", "<mark>a</mark> <mark>b</mark>"],
  // Of the longest common subsequence, so that one more word moves nothing.
  ["so the cat sat", "the cat sat down", "<mark>so </mark>the cat sat"],
  ["a b c a b", "b c a", "<mark>a </mark>b c a <mark>b</mark>"],
  ["a b a", "a", "a <mark>b a</mark>"],
  ["b a", "a b", "<mark>b </mark>a"],
  // Blanks between two marked words belong to them, those around do not.
  ["a x y b", "a b", "a <mark>x y </mark>b"],
  ["a  x", "a y", "a  <mark>x</mark>"],
  ["x", "y", "<mark>x</mark>"],
  [" x ", "y", " <mark>x </mark>"],
  // Characters of Chinese and Japanese, each for itself.
  ["发热三天", "发热五天", "发热<mark>三</mark>天"],
  ["ねこカ", "ねこキ", "ねこ<mark>カ</mark>"],
  // Signs one by one; letters and digits together.
  ["a,b.", "a,b!", "a,b<mark>.</mark>"],
  ["café2 x", "café3 x", "<mark>café2</mark> x"],
  ["🎉🎊", "🎉", "🎉<mark>🎊</mark>"],
  ["<b>&", "<b>", "&lt;b&gt;<mark>&amp;</mark>"],
  // Nothing to compare with.
  ["<x> y", "", "&lt;x&gt; y"],
  ["", "a", ""],
  ["", "", ""],
];

Deno.test("markDifferences() marks words and characters that the reference does not have there", () => {
  for (const [text, reference, marked] of CASES) {
    assert.equal(markDifferences(text, reference).text, marked, `${text} | ${reference}`);
  }
});

Deno.test("markDifferences() compares four million pairs and no more", () => {
  // A word and a blank, so many times, less the last blank.
  const words = (count: number, word: string): string => Array(count).fill(word).join(" ");
  const text = words(1000, "a");
  assert.match(markDifferences(`${text} `, `${words(999, "b")} . `).text, /^<mark>/);
  assert.equal(markDifferences(`${text} `, `${words(999, "b")} . .`).text, `${text} `);
});
