/** The test at the start of a run on WebGPU. */

import assert from "node:assert/strict";
import { adoptReport, checkWebGpu } from "../../model/engine/check_webgpu.ts";
import type { Device } from "../../ort/runtime/device.ts";
import type { Place, Runtime } from "../../ort/runtime/runtime.ts";
import type { TensorMemory } from "../../ort/runtime/tensor_memory.ts";
import { runtime } from "../support/webgpu_runtime.ts";

Deno.test("a driver that computes rightly passes and is named", () => {
  const { driver, tellsNonFinite } = checkWebGpu(runtime);
  if (Deno.build.os === "linux") assert.match(driver, /^.+, driver \d+\.\d+\.\d+/);
  assert.equal(tellsNonFinite, true);
});

/** The runtime, with a device that does some things otherwise. */
function changed(changes: (real: TensorMemory) => Partial<TensorMemory>): Runtime {
  const place = (device: Device): Place => {
    const real = runtime.place(device);
    const { tensors } = real;
    if (!tensors) return real;
    const memory: TensorMemory = {
      viewsAtOffset: tensors.viewsAtOffset,
      allocate: (dtype, shape, what) => tensors.allocate(dtype, shape, what),
      free: (address) => tensors.free(address),
      upload: (to, bytes) => tensors.upload(to, bytes),
      download: (from, into) => tensors.download(from, into),
      copy: (to, from, bytes) => tensors.copy(to, from, bytes),
      zero: (address, bytes) => tensors.zero(address, bytes),
      throwErrors: (what, refusal) => tensors.throwErrors(what, refusal),
      ...changes(tensors),
    };
    return { ...real, tensors: memory };
  };
  return new Proxy(runtime, {
    get: (target, name) => name === "place" ? place : Reflect.get(target, name, target),
  });
}

/** The same, with a device that lets `change` at the numbers that are read back. */
function faulty(change: (values: Float32Array) => void): Runtime {
  return changed((real) => ({
    download: (from, into) => {
      real.download(from, into);
      change(new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4));
    },
  }));
}

Deno.test("float16 weights are tried where they are needed, and a driver without the type is named", () => {
  assert.equal(checkWebGpu(runtime, { float16: true }).tellsNonFinite, true);
  const without = changed((real) => ({
    allocate: (dtype, shape, what) => {
      if (dtype === "float16") throw new Error("no such type");
      return real.allocate(dtype, shape, what);
    },
  }));
  assert.equal(checkWebGpu(without).tellsNonFinite, true);
  assert.throws(
    () => checkWebGpu(without, { float16: true }),
    /Cannot use device webgpu: .+ refuses a product with float16 weights: no such type/,
  );
});

Deno.test("weights in 4 and 8 bits are tried where they are needed, and a driver that gets them wrong is named", () => {
  assert.equal(checkWebGpu(runtime, { quantized: true }).tellsNonFinite, true);
  const wrong = faulty((values) => values[0] *= 1.001);
  adoptReport(wrong, checkWebGpu(runtime));
  assert.throws(
    () => checkWebGpu(wrong, { quantized: true }),
    /computes products with weights in 4 bits wrongly/,
  );
});

Deno.test("a driver that computes wrongly is named, with what it gets wrong", () => {
  for (const wrong of [1.001, NaN]) {
    const change = (values: Float32Array): void => void (values[0] *= wrong);
    assert.throws(
      () => checkWebGpu(faulty(change)),
      /^Error: Cannot use device webgpu: .+ computes a product of matrices wrongly \(.* of the largest\); update the driver/,
    );
  }
});

Deno.test("a device that was checked is not checked again, but for what was not asked for before", () => {
  const report = checkWebGpu(runtime);
  let reads = 0;
  const counted = faulty((values) => {
    reads++;
    values[0] *= 1.001;
  });
  const told = { ...report, writesInPlace: false, tellsNonFinite: false };
  adoptReport(counted, told);
  assert.deepEqual([counted.writesInPlace, counted.tellsNonFinite], [false, false]);
  assert.equal(checkWebGpu(counted), told);
  assert.equal(reads, 0);
  assert.throws(
    () => checkWebGpu(counted, { float16: true }),
    /computes a product with float16 weights wrongly/,
  );
  adoptReport(runtime, report);
  assert.deepEqual([runtime.writesInPlace, runtime.tellsNonFinite], [
    report.writesInPlace,
    report.tellsNonFinite,
  ]);
});

Deno.test("a driver that refuses a graph is named, with what it says", () => {
  const refuse = (): void => {
    throw new Error("no such thing");
  };
  assert.throws(
    () => checkWebGpu(faulty(refuse)),
    /Cannot use device webgpu: .+ refuses a product of matrices: no such thing/,
  );
});
