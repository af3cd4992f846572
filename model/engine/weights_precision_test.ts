import assert from "node:assert/strict";
import { type Device, parseDevice } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import { BASE_STORAGES, type BaseStorage } from "../base_storage.ts";
import {
  computingOf,
  decodeOptions,
  devicePrecision,
  inPrecision,
  precisionOf,
} from "./weights_precision.ts";

/** Weights of which only types are looked at. */
function weightsOf(norm: DType, matrices: DType, storage?: BaseStorage) {
  const tensors = { "model.norm.weight": norm, "model.embed_tokens.weight": matrices };
  return {
    storage,
    tensor: (name: string) => ({ dtype: tensors[name as keyof typeof tensors] }) as never,
  };
}

Deno.test("what graphs compute with is shown by the last norm, and how matrices are stored by the embedding", () => {
  const { fp32, fp16, int4 } = BASE_STORAGES;
  assert.deepEqual(computingOf(weightsOf("float32", "float32")), {
    ...{ precision: "float32", storage: fp32 },
  });
  assert.deepEqual(computingOf(weightsOf("bfloat16", "bfloat16")), {
    ...{ precision: "bfloat16", storage: fp32 },
  });
  assert.deepEqual(computingOf(weightsOf("float32", "float16")), {
    ...{ precision: "float32", storage: fp16 },
  });
  // Weights that know it are asked.
  assert.deepEqual(computingOf(weightsOf("float32", "int8", int4)), {
    ...{ precision: "float32", storage: int4 },
  });
  assert.throws(() => precisionOf(weightsOf("float16", "float16")), {
    name: "RangeError",
    message: "Cannot run a model in float16: expected float32 or bfloat16",
  });
});

Deno.test("a device computes in bfloat16 where it has kernels for it, and decodes by one of attention", () => {
  const on = (name: string): Device => parseDevice(name);
  assert.deepEqual(["cpu", "cuda", "webgpu"].map((name) => devicePrecision(on(name))), [
    ...["float32", "bfloat16", "float32"],
  ]);
  const attention = (name: string, precision: "float32" | "bfloat16") =>
    decodeOptions({ device: on(name) } as Runtime, weightsOf(precision, precision));
  assert.deepEqual(attention("cpu", "float32"), {
    ...{ attention: "fused", precision: "float32", storage: BASE_STORAGES.fp32 },
  });
  assert.equal(attention("cpu", "bfloat16").attention, "plain");
  assert.equal(attention("cuda", "bfloat16").attention, "fused");
  assert.equal(attention("cuda", "float32").attention, "plain");
  assert.equal(attention("webgpu", "float32").attention, "plain");
});

Deno.test("numbers are rounded to bfloat16 where a tensor takes that", () => {
  const values = Float32Array.of(1, -2, 1 + 2 ** -9);
  assert.equal(inPrecision(values, "float32"), values);
  assert.deepEqual(inPrecision(values, "bfloat16"), Uint16Array.of(0x3f80, 0xc000, 0x3f80));
});
