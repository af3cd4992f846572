import assert from "node:assert/strict";
import { tinyConfig } from "../tests/support/tiny_model.ts";
import { embeddingScaleIn } from "./embedding_scale.ts";

Deno.test("the embedding's scale is rounded to bfloat16 only where the family has it so", () => {
  // √640 = 25.2982…; of bfloat16's numbers, 1/8 apart there, 25.25 is next to it.
  const scaled = (embeddingScaleRounded: boolean) => ({
    ...{ ...tinyConfig(), embeddingScale: Math.sqrt(640), embeddingScaleRounded },
  });
  const single = Math.fround(Math.sqrt(640));
  assert.equal(embeddingScaleIn(scaled(true), "bfloat16"), 25.25);
  assert.equal(embeddingScaleIn(scaled(true), "float32"), single);
  assert.equal(embeddingScaleIn(scaled(false), "bfloat16"), single);
  assert.equal(embeddingScaleIn(scaled(false), "float32"), single);
});
