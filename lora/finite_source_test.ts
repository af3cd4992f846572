import assert from "node:assert/strict";
import { tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
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
