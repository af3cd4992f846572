import assert from "node:assert/strict";
import { SPLIT_BEHAVIORS, type SplitBehavior, splitText } from "./split_text.ts";

// The pieces of tokenizers 0.23.3 for "the-final--countdown", from the documentation of its Split.
const EXPECTED: Readonly<Record<SplitBehavior, readonly string[]>> = {
  Removed: ["the", "final", "countdown"],
  Isolated: ["the", "-", "final", "-", "-", "countdown"],
  MergedWithPrevious: ["the-", "final-", "-", "countdown"],
  MergedWithNext: ["the", "-final", "-", "-countdown"],
  Contiguous: ["the", "-", "final", "--", "countdown"],
};
const FOUND = [3, 4, 9, 10, 10, 11];

for (const behavior of SPLIT_BEHAVIORS) {
  Deno.test(`splitText() cuts as the Rust library does: ${behavior}`, () => {
    assert.deepEqual(splitText("the-final--countdown", FOUND, behavior), {
      pieces: EXPECTED[behavior],
      fromStart: true,
    });
  });
}

Deno.test("splitText() takes what lies between matches for matches where it is inverted", () => {
  const words = [0, 3, 4, 9, 11, 20];
  assert.deepEqual(splitText("the-final--countdown", words, "Removed", true).pieces, [
    ...["the", "final", "countdown"],
  ]);
  assert.deepEqual(splitText("the-final--countdown", words, "MergedWithPrevious", true).pieces, [
    ...["the-", "final--", "countdown"],
  ]);
});

Deno.test("splitText() says whether the first piece begins where the text does", () => {
  assert.deepEqual(splitText("-a", [0, 1], "Removed"), { pieces: ["a"], fromStart: false });
  assert.deepEqual(splitText("-a", [0, 1], "MergedWithNext"), { pieces: ["-a"], fromStart: true });
  assert.deepEqual(splitText("-", [0, 1], "Removed"), { pieces: [], fromStart: false });
  assert.deepEqual(splitText("a-", [1, 2], "Removed"), { pieces: ["a"], fromStart: true });
  assert.deepEqual(splitText("", [], "Isolated"), { pieces: [], fromStart: false });
  assert.deepEqual(splitText("ab", [], "Isolated"), { pieces: ["ab"], fromStart: true });
});
