import assert from "node:assert/strict";
import { missingTensorError } from "./tensor_errors.ts";

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
