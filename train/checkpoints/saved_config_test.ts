import assert from "node:assert/strict";
import { parseConfig } from "../../model/config.ts";
import { QWEN3_0_6B } from "../../tests/support/model_configs.ts";
import { savedConfig } from "./saved_config.ts";

Deno.test("savedConfig() is the base's config.json but for the dtype, under the base's own key", () => {
  const saved = (raw: Readonly<Record<string, unknown>>): unknown =>
    JSON.parse(savedConfig(parseConfig(raw)));
  assert.deepEqual(saved(QWEN3_0_6B), { ...QWEN3_0_6B, torch_dtype: "float32" });
  // transformers 5 writes dtype.
  const { torch_dtype, ...rest } = QWEN3_0_6B;
  assert.deepEqual(saved({ ...rest, dtype: torch_dtype }), { ...rest, dtype: "float32" });
  // A file that has both keeps both, and they agree.
  assert.deepEqual(saved({ ...QWEN3_0_6B, dtype: "float16" }), {
    ...QWEN3_0_6B,
    dtype: "float32",
    torch_dtype: "float32",
  });
});
