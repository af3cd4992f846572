import assert from "node:assert/strict";
import { TorchGenerator } from "./torch_random.ts";
import { dequantizeBlocks, quantizeBlocks, resizeRows } from "./quantize_blocks.ts";

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

Deno.test("quantizeBlocks() divides by a scale that makes the largest number the lowest step", () => {
  // Scales −8 / −8 and 4 / −8; of the second all signs turn.
  const numbers = Float32Array.of(-8, 3, 7.6, -2.5, 4, -4, 1, 0.2);
  assert.deepEqual(quantizeBlocks(numbers, { bits: 4, block: 4, scaleDtype: "float32" }), {
    // −8 + 8, 3 + 8, 8 + 8 cut off at 15, −2 + 8; −8 + 8, 8 + 8 cut off, −2 + 8, −0 + 8.
    data: Uint8Array.of(0xb0, 0x6f, 0xf0, 0x86),
    scales: Float32Array.of(1, -0.5),
  });
  assert.deepEqual(
    quantizeBlocks(Float32Array.of(-128, 127, 1, 0), { bits: 8, block: 2, scaleDtype: "float32" }),
    { data: Uint8Array.of(0, 255, 0, 128), scales: Float32Array.of(1, -1 / 128) },
  );
  // Of two numbers as large as each other the first one decides.
  const { scales } = quantizeBlocks(Float32Array.of(2, -2), {
    bits: 8,
    block: 2,
    scaleDtype: "bfloat16",
  });
  assert.deepEqual([...scales], [-2 / 128]);
});

Deno.test("quantizeBlocks() rounds scales to what they are stored as", () => {
  // −1/8 of 1.01 in each type: 2^−4·(1 + 0.01·2^10 → 10, of 2^7 → 1 eighths of a bit each).
  const scaleOf = (scaleDtype: "float32" | "float16" | "bfloat16") =>
    quantizeBlocks(Float32Array.of(-1.01), { bits: 8, block: 1, scaleDtype }).scales[0];
  const exact = Math.fround(1.01) / 128;
  assert.equal(scaleOf("float32"), exact);
  assert.equal(scaleOf("float16"), (1 + 10 / 1024) / 128);
  assert.equal(scaleOf("bfloat16"), (1 + 1 / 128) / 128);
});

Deno.test("quantizeBlocks() tells which number is none, and what it cannot store", () => {
  const options = { bits: 8, block: 2, scaleDtype: "float16" } as const;
  assert.throws(() => quantizeBlocks(Float32Array.of(1, 2, 3, NaN), options), {
    name: "RangeError",
    message:
      "Cannot quantize number 3: it is NaN; the weights are not finite, as after a training run that diverged: " +
      "go back to an earlier checkpoint",
  });
  assert.throws(() => quantizeBlocks(Float32Array.of(0, 128e6), options), {
    message: "Cannot quantize 128000000: the scale of its block, -1000000, is beyond float16",
  });
  assert.throws(() => quantizeBlocks(new Float32Array(3), options), {
    message: "Cannot quantize 3 numbers: expected blocks of 2",
  });
});

Deno.test("resizeRows() cuts rows, or fills them up with zeros", () => {
  const rows = Float32Array.of(1, 2, 3, 4, 5, 6);
  assert.equal(resizeRows(rows, 3, 3), rows);
  assert.deepEqual([...resizeRows(rows, 3, 2)], [1, 2, 4, 5]);
  assert.deepEqual([...resizeRows(rows, 2, 3)], [1, 2, 0, 3, 4, 0, 5, 6, 0]);
});
