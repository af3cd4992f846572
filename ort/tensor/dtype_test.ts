import assert from "node:assert/strict";
import {
  byteWidth,
  type DType,
  dtypeFromSafetensors,
  elementCount,
  safetensorsName,
} from "./dtype.ts";

const expected: [DType, number, string][] = [
  ["float32", 4, "F32"],
  ["float16", 2, "F16"],
  ["bfloat16", 2, "BF16"],
  ["float64", 8, "F64"],
  ["int64", 8, "I64"],
  ["int32", 4, "I32"],
  ["int16", 2, "I16"],
  ["int8", 1, "I8"],
  ["uint8", 1, "U8"],
  ["bool", 1, "BOOL"],
];

Deno.test("every dtype has its width and a safetensors name that leads back", () => {
  for (const [dtype, width, name] of expected) {
    assert.equal(byteWidth(dtype), width);
    assert.equal(safetensorsName(dtype), name);
    assert.equal(dtypeFromSafetensors(name), dtype);
  }
});

Deno.test("unknown names are undefined, also those of Object.prototype", () => {
  for (const name of ["f32", "F8_E4M3", "", "__proto__", "toString"]) {
    assert.equal(dtypeFromSafetensors(name), undefined);
  }
  assert.throws(() => byteWidth("complex64" as DType), {
    name: "RangeError",
    message: /^Cannot tell the byte width: dtype "complex64" is unknown\. Use one of float32, /,
  });
});

Deno.test("elementCount() multiplies and takes a scalar as one element", () => {
  assert.equal(elementCount([]), 1);
  assert.equal(elementCount([151936, 1024]), 155582464);
  assert.equal(elementCount([3, 0, 5]), 0);
});

Deno.test("elementCount() refuses sizes that are no counts and products beyond 2^53", () => {
  for (const size of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    assert.throws(() => elementCount([2, size]), /^RangeError: Cannot count elements of shape/);
  }
  assert.throws(() => elementCount([2 ** 30, 2 ** 30]), /the product exceeds 2\^53/);
  assert.throws(() => elementCount(Array(9).fill(2 ** 9)), /\[512, .*… 9 dimensions\]/);
});
