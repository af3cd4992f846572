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
