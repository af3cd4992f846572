import assert from "node:assert/strict";
import { readFloat32, type TensorData, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { fromPeft, toPeft } from "./peft_source.ts";

/** Tensors of two numbers each: the number of the name, and its negative. */
function sourceOf(...names: readonly string[]) {
  const tensor = (i: number): TensorData => {
    const data = new Uint8Array(Float32Array.of(i + 1, -i - 1).buffer);
    return { dtype: "float32", shape: [1, 2], data };
  };
  return tensorSourceFromMap(new Map(names.map((name, i) => [name, tensor(i)])));
}

const A = "model.layers.0.self_attn.q_proj.lora_A.weight";
const B = "model.layers.0.self_attn.q_proj.lora_B.weight";

Deno.test("toPeft() puts PEFT's prefix before names, and reads what is behind them", async () => {
  const source = toPeft(sourceOf(A, B));
  const names = [`base_model.model.${A}`, `base_model.model.${B}`];
  assert.deepEqual(source.names(), names);
  assert.deepEqual(source.info(names[1]), { dtype: "float32", shape: [1, 2] });
  assert.deepEqual([...await readFloat32(source, names[1])], [2, -2]);
  const last = new Uint8Array(4);
  await source.read(names[0], last, 4);
  assert.deepEqual([...new Float32Array(last.buffer)], [-1]);
  await assert.rejects(source.read("other", last), RangeError);
});

Deno.test("fromPeft() undoes toPeft()", async () => {
  const source = fromPeft(toPeft(sourceOf(A, B)));
  assert.deepEqual(source.names(), [A, B]);
  assert.deepEqual([...await readFloat32(source, B)], [2, -2]);
});

Deno.test("fromPeft() understands the names of PEFT's memory, of compiled modules and without a prefix", () => {
  const m = "layers.0.q.lora_magnitude_vector";
  const cases: Readonly<Record<string, string>> = {
    "base_model.model.x.lora_A.weight": "x.lora_A.weight",
    "base_model.model.base_model.model.x": "base_model.model.x",
    "x.base_model.model.lora_B.weight": "x.base_model.model.lora_B.weight",
    "x.lora_A.default.weight": "x.lora_A.weight",
    "x.lora_B.my-name_2.weight": "x.lora_B.weight",
    "x.lora_C.default.weight": "x.lora_C.default.weight",
    "x.lora_A.a.b.weight": "x.lora_A.a.b.weight",
    "x.lora_A.default.bias": "x.lora_A.default.bias",
    "_orig_mod.base_model.model._orig_mod.x.lora_A.weight": "x.lora_A.weight",
    [m]: m,
    [`${m}.weight`]: m,
    [`${m}.default`]: m,
    [`base_model.model.${m}.default.weight`]: m,
    [`${m}.a.b.c`]: `${m}.a.b.c`,
  };
  for (const [held, plain] of Object.entries(cases)) {
    assert.deepEqual(fromPeft(sourceOf(held)).names(), [plain], held);
  }
});

Deno.test("fromPeft() refuses two tensors of one name, and names that it does not hold", async () => {
  assert.throws(() => fromPeft(sourceOf("x.lora_A.one.weight", "y", "x.lora_A.two.weight")), {
    name: "RangeError",
    message: 'Cannot tell "x.lora_A.one.weight" from "x.lora_A.two.weight": both are ' +
      '"x.lora_A.weight", as of two adapters in one file; save one adapter by itself',
  });
  const source = fromPeft(sourceOf(`base_model.model.${A}`));
  const message = `Cannot find tensor "base_model.model.${A}": the adapter does not hold it. ` +
    `Did you mean "${A}"?`;
  assert.throws(() => source.info(`base_model.model.${A}`), { name: "RangeError", message });
  await assert.rejects(source.read(`base_model.model.${A}`, new Uint8Array(8)), { message });
});
