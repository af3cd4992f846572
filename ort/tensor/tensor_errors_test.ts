import assert from "node:assert/strict";
import { checkTensorRange, missingTensorError, quoteName, quoteNames } from "./tensor_errors.ts";

const hint = (name: string, ...names: string[]): string =>
  missingTensorError(name, names, "model.safetensors").message.replace(
    /^.* does not hold it\. /s,
    "",
  );

Deno.test("a tensor that is missing is told with names near it: a third of its length in edits", () => {
  // A letter left out, put in, exchanged; two neighbours exchanged are two edits.
  assert.equal(hint("norm.weight", "nrm.weight"), 'Did you mean "nrm.weight"?');
  assert.equal(hint("norm.weight", "norms.weight"), 'Did you mean "norms.weight"?');
  assert.equal(hint("norm.weight", "form.weight"), 'Did you mean "form.weight"?');
  assert.equal(hint("abc", "acb"), 'It holds "acb"');
  assert.equal(hint("abcdef", "abdcef"), 'Did you mean "abdcef"?');
  assert.equal(hint("abcdef", "fedcba", "abc"), 'It holds "fedcba", "abc"');
  // Names that share their letters in another order are far apart.
  assert.equal(hint("abcabcabc", "bcabcabca"), 'Did you mean "bcabcabca"?');
  assert.equal(hint("aabbcc", "ccbbaa"), 'It holds "ccbbaa"');
  // A name of one letter may differ in it.
  assert.equal(hint("a", "b"), 'Did you mean "b"?');
});

Deno.test("the nearest names come first, three at most", () => {
  const names = [
    "layers.9.norms",
    "layer.0.norms",
    "layers.0.norm",
    "layers.0.nor",
    "layers.0.norms",
  ];
  assert.equal(
    hint("layers.0.norm", ...names),
    'Did you mean "layers.0.norm", "layers.0.nor", "layers.0.norms"?',
  );
  assert.equal(hint("x".repeat(30), "a", "b", "c", "d"), 'It holds "a", "b", "c" and 1 more');
  assert.equal(hint("x"), "It holds no tensors");
});

Deno.test("names are quoted as JSON, cut at 120 characters, and listed up to ten", () => {
  const long = "n".repeat(120);
  assert.equal(quoteName(long), `"${long}"`);
  assert.equal(quoteName(`${long}n`), `"${"n".repeat(119)}…"`);
  assert.equal(quoteName('a"\n'), '"a\\"\\n"');
  const names = Array.from({ length: 12 }, (_, i) => `t${i}`);
  const listed = names.slice(0, 10).map((name) => `"${name}"`).join(", ");
  assert.equal(quoteNames(names.slice(0, 10)), listed);
  assert.equal(quoteNames(names), `${listed} and 2 more`);
  assert.equal(quoteNames(names, 1), '"t0" and 11 more');
  assert.equal(quoteNames([]), "");
});

Deno.test("bytes outside of a tensor are refused, to the last one", () => {
  const check = (length: number, offset: number) =>
    checkTensorRange("t", 10, new Uint8Array(length), offset);
  for (const [length, offset] of [[10, 0], [1, 9], [0, 10], [0, 0]]) check(length, offset);
  for (const [length, offset] of [[11, 0], [1, 10], [2, 9], [0, 11], [1, -1], [1, 0.5]]) {
    assert.throws(
      () => check(length, offset),
      new RangeError(
        `Cannot read ${length} bytes of tensor "t" from byte ${offset} on: it has 10 bytes. Ask for bytes inside it`,
      ),
    );
  }
});

Deno.test("near names are looked for among the first 10,000, of 200 characters at most", () => {
  const long = "x".repeat(200);
  assert.equal(hint(long, `${"x".repeat(199)}y`), `Did you mean "${"x".repeat(119)}…"?`);
  assert.equal(hint(`${long}x`, long).slice(0, 9), "It holds ");
  assert.equal(hint(long, `${long}x`).slice(0, 9), "It holds ");
  const others = (count: number) => Array.from({ length: count }, (_, i) => `${i}`.padStart(30));
  assert.equal(hint("norm", ...others(9_999), "nor"), 'Did you mean "nor"?');
  assert.match(hint("norm", ...others(10_000), "nor"), /^It holds .* and 9998 more$/);
  // A third of the length, and no more.
  assert.equal(hint("abcdef", "abcd"), 'Did you mean "abcd"?');
  assert.equal(hint("abcdef", "abc"), 'It holds "abc"');
  assert.equal(hint("abcde", "abcdefg"), 'It holds "abcdefg"');
  const error = missingTensorError("a", ["c"], "model");
  assert.deepEqual([error.name, error.message], [
    "RangeError",
    'Cannot find tensor "a": model does not hold it. Did you mean "c"?',
  ]);
});
