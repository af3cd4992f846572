import assert from "node:assert/strict";
import { type Merge, mergeParts, spmScores } from "./spm_scores.ts";

function scoresOf(
  merges: readonly Merge[],
  vocabulary: string,
  added = "",
): Readonly<Record<string, number>> {
  const set = (words: string): ReadonlySet<string> => new Set(words.split(" "));
  const options = { vocabulary: set(vocabulary), added: set(added), path: "a.json" };
  return Object.fromEntries(spmScores(merges, options));
}

function fails(merges: readonly Merge[], vocabulary: string, why: string): void {
  assert.throws(
    () => scoresOf(merges, vocabulary),
    new RangeError(
      `Cannot score the tokens of a.json for llama.cpp: ${why}; SentencePiece's merges go by the token ` +
        "that they make, so no scores give the same tokens. Export with --format onnx",
    ),
  );
}

Deno.test("mergeParts() reads pairs and texts, of which the first character is no blank between", () => {
  assert.deepEqual(mergeParts(["a b", "c"]), ["a b", "c"]);
  assert.deepEqual(mergeParts("ab c"), ["ab", "c"]);
  assert.deepEqual(mergeParts("  a"), [" ", "a"]);
  assert.deepEqual(mergeParts("a b c"), ["a", "b c"]);
});

Deno.test("spmScores() numbers tokens in the order in which merges make them", () => {
  const vocabulary = "a b c ab bc abc";
  const merges: readonly Merge[] = ["b c", ["a", "b"], ["ab", "c"], ["a", "bc"]];
  assert.deepEqual(scoresOf(merges, vocabulary), { bc: -0, ab: -1, abc: -2 });
  assert.deepEqual(scoresOf([], "a"), {});
  // What is cut out of texts before any merge needs no score.
  assert.deepEqual(
    scoresOf(["b c", ["a", "b"], ["x", "y"], ["ab", "c"], ["a", "bc"]], vocabulary, "bc xy"),
    {
      ab: -0,
      abc: -1,
    },
  );
});

Deno.test("spmScores() fails where merges of a token lie apart, or one of its pairs is missing", () => {
  fails(
    ["a b", "b c", ["ab", "c"], "b d", ["a", "bc"]],
    "a b c d ab bc abc bd",
    'merge 4 makes "abc" again, after others',
  );
  fails(
    ["a b", "b c", ["ab", "c"]],
    "a b c ab bc abc",
    '"abc" has 1 merges of the 2 pairs that make it',
  );
  // A pair of which one part is no token does not count.
  assert.deepEqual(scoresOf(["a b", ["ab", "c"]], "a b c ab abc"), { ab: -0, abc: -1 });
});
