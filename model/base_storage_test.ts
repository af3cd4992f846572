import assert from "node:assert/strict";
import { BASE_STORAGES, type BaseStorage, storedSpecs, storedTypes } from "./base_storage.ts";
import { parameter } from "./parts/parameter_spec.ts";

const EMBEDDING = "model.embed_tokens.weight";
const SPECS = [parameter(EMBEDDING, [10, 40]), parameter("w", [6, 40]), parameter("norm", [40])];

Deno.test("bases are kept in floats, or in 8 or 4 bits in blocks of 128", () => {
  assert.deepEqual(BASE_STORAGES, {
    fp32: { name: "fp32" },
    fp16: { name: "fp16", matrices: "float16" },
    int8: { name: "int8", quantization: { bits: 8, block: 128, compute: "int8" } },
    int4: { name: "int4", quantization: { bits: 4, block: 128, compute: "int8" } },
  });
});

Deno.test("what is stored in a type of its own is told by the tensors' names", () => {
  assert.deepEqual([...storedTypes(SPECS, BASE_STORAGES.fp32)], []);
  assert.deepEqual([...storedTypes(SPECS, BASE_STORAGES.fp16)], [
    [EMBEDDING, "float16"],
    ["w", "float16"],
  ]);
  const exact: BaseStorage = {
    name: "int4",
    quantization: { bits: 4, block: 32, compute: "fp32" },
  };
  assert.deepEqual([...storedTypes(SPECS, exact)], [
    [EMBEDDING, "int8"],
    [`${EMBEDDING}.scales`, "float32"],
    ["w", "uint8"],
    ["w.scales", "float32"],
  ]);
  // Scales of a device's matrices are of the model's precision.
  const blocks: BaseStorage = {
    ...exact,
    quantization: { ...exact.quantization!, layout: "blocks" },
  };
  assert.deepEqual([...storedTypes(SPECS, blocks)], [[EMBEDDING, "uint8"], ["w", "uint8"]]);
});

Deno.test("a quantized matrix is kept as its numbers and scales, or in products alone", () => {
  assert.equal(storedSpecs(SPECS, BASE_STORAGES.fp16), SPECS);
  const kept = (name: string, shape: readonly number[], decays = true) => ({ name, shape, decays });
  const norm = kept("norm", [40], false);
  const table = [kept(EMBEDDING, [10, 40]), kept(`${EMBEDDING}.scales`, [10, 1])];
  assert.deepEqual(storedSpecs(SPECS, BASE_STORAGES.int8), [...table, norm]);
  const exact: BaseStorage = {
    name: "int4",
    quantization: { bits: 4, block: 64, compute: "fp32" },
  };
  assert.deepEqual(storedSpecs(SPECS, exact), [
    ...[...table, kept("w", [6, 20]), kept("w.scales", [6, 1]), norm],
  ]);
});
