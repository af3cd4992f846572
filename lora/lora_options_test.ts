import assert from "node:assert/strict";
import { DEFAULT_LORA, loraScale } from "./lora_options.ts";

Deno.test("an adapter's default settings are those of Qwen3-Medical-SFT", () => {
  assert.deepEqual(DEFAULT_LORA, {
    ...{ rank: 8, alpha: 32, dropout: 0.1, targetModules: "all-linear" },
    ...{ rslora: false, dora: false },
  });
});

Deno.test("the factor on B·A·x is alpha ÷ rank, or alpha ÷ √rank with rsLoRA", () => {
  for (
    const [rank, alpha, rslora, scale] of [
      [8, 32, false, 4],
      [16, 4, false, 0.25],
      [16, 4, true, 1],
      [1, 3, true, 3],
    ] as const
  ) assert.equal(loraScale({ rank, alpha, rslora }), scale);
});
