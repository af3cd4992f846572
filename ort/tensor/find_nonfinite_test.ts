import assert from "node:assert/strict";
import { findNonFinite } from "./find_nonfinite.ts";

const bytes = (values: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

Deno.test("every pattern of 16 bits is judged as a number of its type", () => {
  for (const [dtype, exponent] of [["bfloat16", 0x7f80], ["float16", 0x7c00]] as const) {
    for (let bits = 0; bits < 65536; bits++) {
      const wanted = (bits & exponent) === exponent;
      // In the lower and in the upper half of a word, beside ones in all other bits.
      for (const at of [0, 1]) {
        const halves = Uint16Array.of(~exponent, ~exponent);
        halves[at] = bits;
        assert.equal(findNonFinite(bytes(halves), dtype), wanted ? at : -1);
      }
    }
  }
});

Deno.test("NaN and infinities of float32 are found wherever they are", () => {
  for (const length of [1, 2, 3, 4, 5, 7, 8, 9]) {
    for (let at = 0; at < length; at++) {
      for (const value of [NaN, Infinity, -Infinity]) {
        const values = new Float32Array(length).fill(-3.4e38);
        assert.equal(findNonFinite(bytes(values), "float32"), -1);
        values[at] = value;
        assert.equal(findNonFinite(bytes(values), "float32"), at);
      }
    }
  }
});

Deno.test("an odd number of halves is searched to its end, and integers are finite", () => {
  const halves = new Uint16Array(7);
  assert.equal(findNonFinite(bytes(halves), "bfloat16"), -1);
  halves[6] = 0xffc0;
  assert.equal(findNonFinite(bytes(halves), "bfloat16"), 6);
  assert.equal(findNonFinite(bytes(halves), "int16"), -1);
});
