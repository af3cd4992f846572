import assert from "node:assert/strict";
import { spmMerges } from "./spm_merges.ts";
import { CONTROL, NORMAL, USER_DEFINED } from "./token_types.ts";

Deno.test("spmMerges() lists each split into tokens, best scores first, then longer parts, then lower ids", () => {
  const tokens: readonly (readonly [text: string, score: number, type: number])[] = [
    ["a", -9, NORMAL],
    ["b", -9, NORMAL],
    ["🎉", -9, NORMAL],
    ["ba", -2, NORMAL],
    ["ab", -2, NORMAL],
    ["aba", -1, NORMAL],
    ["🎉a", -2, NORMAL],
    // Its parts are no tokens, or no split of it.
    ["ac", 0, NORMAL],
    ["<s>", 0, CONTROL],
    ["abab", -5, USER_DEFINED],
    ["bb", -1, CONTROL],
  ];
  const merges = spmMerges(tokens.map(([text]) => text), {
    scores: tokens.map(([, score]) => score),
    types: tokens.map(([, , type]) => type),
  });
  assert.deepEqual(merges.map((pair) => pair.join(" ")), [
    "aba b",
    "ab ab",
    "ab a",
    "a ba",
    "b a",
    "a b",
    "🎉 a",
  ]);
});
