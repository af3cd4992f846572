import assert from "node:assert/strict";
import { type TensorSource, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { finiteSource } from "./finite_source.ts";

Deno.test("NaN is found at its element, also by reads that begin and end inside of numbers", async () => {
  const values = new Float32Array(16);
  values[9] = NaN;
  const data = new Uint8Array(values.buffer);
  const tensors = new Map([["a", { dtype: "float32" as const, shape: [16], data }]]);
  const source = finiteSource(tensorSourceFromMap(tensors), "DIR");
  const message = /from DIR: "a" holds NaN or infinity at element 9; /;
  for (const [offset, bytes] of [[0, 64], [3, 61], [35, 7], [36, 4]]) {
    await assert.rejects(source.read("a", new Uint8Array(bytes), offset), { message });
  }
  for (const [offset, bytes] of [[0, 36], [37, 20], [38, 1], [40, 24]]) {
    await source.read("a", new Uint8Array(bytes), offset);
  }
});

Deno.test("a read is over before what it gave is looked at", async () => {
  const slow: TensorSource = {
    names: () => ["a"],
    info: () => ({ dtype: "float32", shape: [1] }),
    async read(_, into) {
      await Promise.resolve();
      into.set(new Uint8Array(Float32Array.of(NaN).buffer));
    },
  };
  await assert.rejects(finiteSource(slow, "DIR").read("a", new Uint8Array(4)), /at element 0; /);
});

Deno.test("a source of finite weights is the source, and tells what is not finite whole", async () => {
  const half = Uint16Array.of(0x3f80, 0x7f80, 0x3f80); // 1, infinity, 1
  const tensors = new Map([
    ["h", { dtype: "bfloat16" as const, shape: [3], data: new Uint8Array(half.buffer) }],
    ["ids", { dtype: "int64" as const, shape: [1], data: new Uint8Array(8).fill(255) }],
  ]);
  const source = finiteSource(tensorSourceFromMap(tensors), "DIR");
  assert.deepEqual(source.names(), ["h", "ids"]);
  assert.deepEqual(source.info("h"), { dtype: "bfloat16", shape: [3] });
  const message =
    'Cannot load weights from DIR: "h" holds NaN or infinity at element 1; its training went ' +
    "wrong, take an earlier checkpoint";
  for (const [offset, bytes] of [[undefined, 6], [0, 4], [1, 3], [2, 2]] as const) {
    await assert.rejects(source.read("h", new Uint8Array(bytes), offset), {
      name: "RangeError",
      message,
    });
  }
  // No whole number of it.
  for (const [offset, bytes] of [[0, 3], [1, 2], [3, 3], [2, 1], [1, 0]] as const) {
    await source.read("h", new Uint8Array(bytes), offset);
  }
  const into = new Uint8Array(8);
  await source.read("ids", into);
  assert.deepEqual(into, new Uint8Array(8).fill(255));
});
