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

Deno.test("savedConfig() keeps the point of floats, as transformers 5 refuses whole numbers there", () => {
  const text = savedConfig(parseConfig({
    ...{ ...QWEN3_0_6B, model_type: "granitemoehybrid", architectures: undefined },
    ...{ num_local_experts: 0, layer_types: Array<string>(28).fill("attention") },
    ...{ router_aux_loss_coef: 0, initializer_range: 1, embedding_multiplier: 12 },
    time_step_limit: [0, { __float__: "Infinity" }],
  }));
  assert.match(text, /^ {2}"router_aux_loss_coef": 0\.0,$/m);
  assert.match(text, /^ {2}"initializer_range": 1\.0,$/m);
  assert.match(text, /^ {2}"embedding_multiplier": 12,$/m);
  assert.match(text, /^ {2}"time_step_limit": \[\n {4}0\.0,\n {4}\{/m);
  assert.match(text, /^ {2}"rms_norm_eps": 0\.000001,$/m);
});

Deno.test("savedConfig() adds ends of replies that were taught, and a dtype where there was none", () => {
  const { torch_dtype: _, ...rest } = QWEN3_0_6B;
  const base = parseConfig({ ...rest, eos_token_id: 7 });
  assert.deepEqual(JSON.parse(savedConfig(base)), {
    ...rest,
    eos_token_id: 7,
    torch_dtype: "float32",
  });
  assert.deepEqual(JSON.parse(savedConfig(base, [7])).eos_token_id, 7);
  assert.deepEqual(JSON.parse(savedConfig(base, [9])).eos_token_id, [9, 7]);
  const { eos_token_id: _eos, ...endless } = rest as Record<string, unknown>;
  assert.ok(!("eos_token_id" in JSON.parse(savedConfig(parseConfig(endless)))));
});
