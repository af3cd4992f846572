import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";

const SIZES: Readonly<Record<string, unknown>> = {
  ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4 },
  vocab_size: 100,
};
const MULTIPLIERS = {
  ...{ attention_multiplier: 0.25, embedding_multiplier: 12 },
  ...{ logits_scaling: 8, residual_multiplier: 0.22 },
};
/** What the newer family needs besides. */
const DENSE = { num_local_experts: 0, layer_types: ["attention", "attention"] };

Deno.test("Granite's multipliers are of scores, embeddings, parts and logits, which are divided", () => {
  for (const own of [{ model_type: "granite" }, { model_type: "granitemoehybrid", ...DENSE }]) {
    const config = parseConfig({ ...SIZES, ...own, ...MULTIPLIERS });
    const { attentionScale, embeddingScale, embeddingScaleRounded, logitScale, residualScale } =
      config;
    assert.deepEqual(
      { attentionScale, embeddingScale, embeddingScaleRounded, logitScale, residualScale },
      {
        ...{ attentionScale: 0.25, embeddingScale: 12, embeddingScaleRounded: false },
        ...{ logitScale: 1 / 8, residualScale: 0.22 },
      },
    );
    for (const field of Object.keys(MULTIPLIERS)) {
      assert.throws(() => parseConfig({ ...SIZES, ...own, [field]: 0 }), {
        name: "RangeError",
        message: `Cannot read config.json: ${field} must be a number above 0, got 0`,
      });
    }
  }
});
