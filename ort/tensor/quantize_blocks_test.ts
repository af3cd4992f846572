import assert from "node:assert/strict";
import { TorchGenerator } from "./torch_random.ts";
import { dequantizeBlocks, quantizeBlocks } from "./quantize_blocks.ts";

const SEED = 1;

for (const bits of [4, 8] as const) {
  Deno.test(`quantizeBlocks() in ${bits} bits errs by half a step, a whole one where it is cut off`, () => {
    const numbers = new Float32Array(64 * 32);
    new TorchGenerator(SEED).normal(numbers, 0, 1);
    const { data, scales } = quantizeBlocks(numbers, { bits, block: 32, scaleDtype: "float32" });
    assert.equal(data.length, numbers.length * bits / 8);
    const zero = 2 ** (bits - 1);
    let [cut, steps] = [0, new Set<number>()];
    numbers.forEach((x, i) => {
      const q = bits === 8 ? data[i] : (data[i >> 1] >> (4 * (i % 2))) & 15;
      steps.add(q);
      const scale = scales[Math.floor(i / 32)];
      const error = Math.abs(x - scale * (q - zero));
      if (q === 2 * zero - 1) cut++;
      assert.ok(error <= Math.abs(scale) * (q === 2 * zero - 1 ? 1 : 0.5) * (1 + 1e-5), `${i}`);
    });
    // The lowest step is the largest number's; of the others only rare ones may be missing.
    assert.ok(steps.has(0) && steps.size > 0.9 * 2 ** bits, `${steps.size} steps`);
    assert.ok(cut < numbers.length / 16);
  });
}

Deno.test("quantizeBlocks() keeps zeros, and the sign of the largest number", () => {
  const numbers = new Float32Array(96);
  numbers[32 + 5] = 4;
  numbers[64 + 5] = -4;
  const { data, scales } = quantizeBlocks(numbers, { bits: 4, block: 32, scaleDtype: "float32" });
  assert.deepEqual([...scales].map((scale) => scale + 0), [0, -0.5, 0.5]);
  assert.ok(data.subarray(0, 16).every((byte) => byte === 0x88));
  assert.equal(data[16 + 2] >> 4, 0);
  assert.equal(data[32 + 2] >> 4, 0);
});

Deno.test("quantizeBlocks() rounds scales to float16 before it rounds numbers by them", () => {
  const numbers = new Float32Array(32).fill(0.1);
  numbers[0] = -1 / 3;
  const { scales } = quantizeBlocks(numbers, { bits: 4, block: 32, scaleDtype: "float16" });
  assert.equal(scales[0], new Float16Array([1 / 24])[0]);
});

Deno.test("dequantizeBlocks() takes each block by its own scale, the lower half of a byte first", () => {
  const scales = Float32Array.of(2, 0.5);
  const four = { data: Uint8Array.of(0x21, 0x43, 0x65, 0xf0), scales };
  assert.deepEqual(
    [...dequantizeBlocks(four, { bits: 4, block: 4 })],
    [-14, -12, -10, -8, -1.5, -1, -4, 3.5],
  );
  const eight = { data: Uint8Array.of(128, 129, 127, 0, 255, 128, 1, 2), scales };
  assert.deepEqual(
    [...dequantizeBlocks(eight, { bits: 8, block: 4 })],
    [0, 2, -2, -256, 63.5, 0, -63.5, -63],
  );
});

Deno.test("quantizeBlocks() refuses parts of blocks and numbers that are none", () => {
  const options = { bits: 4, block: 32, scaleDtype: "float32" } as const;
  assert.throws(() => quantizeBlocks(new Float32Array(33), options), /33 numbers.*blocks of 32/);
  const numbers = new Float32Array(32);
  numbers[7] = Infinity;
  assert.throws(() => quantizeBlocks(numbers, options), /number 7: it is Infinity/);
  numbers[7] = 1e6;
  assert.doesNotThrow(() => quantizeBlocks(numbers, options));
  assert.throws(
    () => quantizeBlocks(numbers, { bits: 4, block: 32, scaleDtype: "float16" }),
    /^RangeError: Cannot quantize 1000000: .* is beyond float16$/,
  );
});
