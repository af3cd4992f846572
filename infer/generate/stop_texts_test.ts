import assert from "node:assert/strict";
import { StopTextMatcher } from "./stop_texts.ts";

const TOKENS = ["a", "b", "ab", "aba", "", "\u5934", "END"];

function matcher(texts: readonly string[], prompt: readonly string[] = []): {
  push(...tokens: readonly string[]): boolean[];
} {
  const tokenBytes = (id: number): Uint8Array => new TextEncoder().encode(TOKENS[id]);
  const ids = (tokens: readonly string[]) => tokens.map((token) => TOKENS.indexOf(token));
  const made = new StopTextMatcher({ texts, tokenBytes }, ids(prompt));
  return { push: (...tokens) => ids(tokens).map((id) => made.push(id)) };
}

Deno.test("StopTextMatcher finds a text over tokens, within one, and with more behind it", () => {
  assert.deepEqual(matcher(["abb"]).push("a", "a", "b", "b", "b"), [
    ...[false, false, false, true],
    // It ended in the token before.
    false,
  ]);
  assert.deepEqual(matcher(["b"]).push("a", "aba"), [false, true]);
  assert.deepEqual(matcher(["aab", "ba"]).push("ab", "aba"), [false, true]);
  assert.deepEqual(matcher(["aaa"]).push("ab", "aba", "aba", "a", "a"), [
    ...[false, false, false, false, true],
  ]);
});

Deno.test("StopTextMatcher counts the prompt's end, but no text that ended there", () => {
  assert.deepEqual(matcher(["ENDa"], ["b", "END"]).push("a", "b"), [true, false]);
  assert.deepEqual(matcher(["END"], ["END"]).push("", "a"), [false, false]);
  assert.deepEqual(matcher(["ENDa"], ["END"]).push("a"), [true]);
  assert.deepEqual(matcher(["ENDa"]).push("a"), [false]);
});

Deno.test("StopTextMatcher compares bytes, so that a character may come in parts", () => {
  const bytes = new TextEncoder().encode("\u5934");
  const made = new StopTextMatcher(
    { texts: ["\u5934"], tokenBytes: (id) => bytes.subarray(id, id + 1) },
    [2],
  );
  assert.deepEqual([0, 1, 2].map((id) => made.push(id)), [false, false, true]);
});
