/** Blocks beside those of llama.cpp's own functions and of Python's `gguf`; tests/fixtures/gguf/make_blocks.py made them. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readAll, readFloat32 } from "../ort/tensor/tensor_source.ts";
import { dequantizeRows } from "./dequantize_rows.ts";
import { GGML_TYPES, type GgmlType } from "./ggml_type.ts";
import { quantizeRows, type WrittenType } from "./quantize_rows.ts";

const WRITTEN: readonly WrittenType[] = ["q4_0", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k"];

const fixture = await openSafetensors(
  new URL("../tests/fixtures/gguf/blocks.safetensors", import.meta.url).pathname,
);
const numbers = await readFloat32(fixture, "numbers");
const blocks = new Map<string, Uint8Array<ArrayBuffer>>();
for (const name of fixture.names()) blocks.set(name, await readAll(fixture, name));
await fixture[Symbol.asyncDispose]();

for (const type of WRITTEN) {
  Deno.test(`${type} blocks are llama.cpp's to the bit`, () => {
    const made = quantizeRows(numbers, type);
    const expected = blocks.get(`${type}.quantized`)!;
    const { bytes } = GGML_TYPES[type];
    assert.equal(made.byteLength, expected.byteLength);
    for (let at = 0; at < made.byteLength; at += bytes) {
      assert.deepEqual(
        made.subarray(at, at + bytes),
        expected.subarray(at, at + bytes),
        `block ${at / bytes}`,
      );
    }
  });
}

Deno.test("blocks of every type that is read are what gguf's dequantize makes of them, to the bit", () => {
  const seen = new Set<string>();
  for (const [name, sum] of fixture.metadata) {
    const type = name.split(".")[0] as GgmlType;
    const values = dequantizeRows(blocks.get(name)!, type);
    const own = createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");
    assert.equal(own, sum, name);
    seen.add(type);
  }
  assert.deepEqual([...seen, "f32"].sort(), Object.keys(GGML_TYPES).sort());
});

Deno.test("numbers that a type cannot hold are refused", () => {
  const [huge, large] = [3e38, 2.6e8].map((x) =>
    Float32Array.from({ length: 256 }, (_, i) => x - i)
  );
  for (const type of WRITTEN) {
    assert.throws(() => quantizeRows(huge, type), /number 0 is 3.*e\+38, which .* cannot hold/);
    if (type === "q6_k" || type === "q8_0") continue;
    assert.throws(() => quantizeRows(large, type), /the scale of a block is .*, beyond float16/);
  }
  assert.throws(() => quantizeRows(new Float32Array(33), "q8_0"), /33 numbers are no whole blocks/);
  assert.throws(
    () => dequantizeRows(new Uint8Array(35), "q8_0"),
    /35 bytes: q8_0 has blocks of 34/,
  );
});

Deno.test("quantizeRows() tells which number a type cannot hold, and takes the largest that it can", () => {
  for (
    const [type, most, over] of [
      ["f16", 65519, 65520],
      ["q8_0", 8e6, 2 ** 28],
      ["q4_0", 2 ** 18, 2 ** 28],
      ["f32", 3.4e38, Infinity],
      ["bf16", 3.3e38, -Infinity],
    ] as const
  ) {
    const rows = Float32Array.from({ length: 32 }, (_, i) => i === 5 ? most : 0);
    quantizeRows(rows, type);
    rows[5] = over;
    const way = Number.isFinite(over)
      ? "write bf16 or f32"
      : "the weights are not finite, as after a training run that diverged: go back to an earlier checkpoint";
    assert.throws(
      () => quantizeRows(rows, type),
      new RangeError(`number 5 is ${rows[5]}, which ${type} cannot hold; ${way}`),
    );
  }
});

Deno.test("numbers of each type that is one are copied from and to any place", () => {
  const numbers = Float32Array.of(9, 1.5, -2, 9).subarray(1, 3);
  for (
    const [type, bytes] of [
      ["f32", "0000c03f000000c0"],
      ["f16", "003e00c0"],
      ["bf16", "c03f00c0"],
    ] as const
  ) {
    const made = quantizeRows(numbers, type);
    assert.equal(made.toHex(), bytes);
    const placed = new Uint8Array(made.length + 8);
    placed.set(made, 4);
    assert.deepEqual(dequantizeRows(placed.subarray(4, 4 + made.length), type), numbers.slice());
  }
});
