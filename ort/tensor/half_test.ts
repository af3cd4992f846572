import assert from "node:assert/strict";
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  roundToBfloat16,
} from "./half.ts";
import { MersenneTwister } from "./mersenne_twister.ts";

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0];
const float = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0];

type Round = (src: Float32Array, dst: Uint16Array) => void;
type Widen = (src: Uint16Array, dst: Float32Array) => void;
const round = (convert: Round, ...bits: number[]): number[] => {
  const out = new Uint16Array(bits.length);
  convert(new Float32Array(Uint32Array.from(bits).buffer), out);
  return [...out];
};

Deno.test("float32ToBfloat16() rounds to nearest, ties to even", () => {
  const cases: [number, number][] = [
    [0x3f800000, 0x3f80], // 1
    [0x3f808000, 0x3f80], // a tie, down to even
    [0x3f808001, 0x3f81], // just above it
    [0x3f818000, 0x3f82], // a tie, up to even
    [0x3f817fff, 0x3f81],
    [0x80000000, 0x8000], // −0
    [0x00000001, 0x0000], // the smallest subnormal
    [0x00008001, 0x0001],
    [0x7f7fffff, 0x7f80], // the largest float32 becomes infinite
    [0xff7fffff, 0xff80],
    [0x7f800000, 0x7f80],
    [0xff800000, 0xff80],
  ];
  for (const [from, to] of cases) assert.deepEqual(round(float32ToBfloat16, from), [to]);
});

Deno.test("float32ToBfloat16() keeps every NaN a NaN with its sign", () => {
  const nans = [0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff, 0x7fc00000];
  const rounded = round(float32ToBfloat16, ...nans);
  assert.deepEqual(rounded, [0x7fc0, 0x7fff, 0xffc0, 0xffff, 0x7fc0]);
});

Deno.test("float32ToFloat16() rounds to nearest even with subnormals and infinities", () => {
  const cases: [number, number][] = [
    [1, 0x3c00],
    [-2, 0xc000],
    [1 + 2 ** -11, 0x3c00], // a tie, down to even
    [1 + 3 * 2 ** -11, 0x3c02], // a tie, up to even
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [-Infinity, 0xfc00],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000], // a tie with zero
    [1.5 * 2 ** -24, 0x0002],
    [2 ** -14, 0x0400],
    [-0, 0x8000],
  ];
  for (const [from, to] of cases) assert.deepEqual(round(float32ToFloat16, bitsOf(from)), [to]);
  const [nan] = round(float32ToFloat16, 0x7fc00000);
  assert.ok((nan & 0x7fff) > 0x7c00);
});

Deno.test("all 65536 values of both halves return from float32 unchanged", () => {
  const pairs: [Widen, Round, number][] = [
    [bfloat16ToFloat32, float32ToBfloat16, 0x7f80],
    [float16ToFloat32, float32ToFloat16, 0x7c00],
  ];
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  for (const [widen, narrow, infinity] of pairs) {
    const wide = new Float32Array(all.length);
    const back = new Uint16Array(all.length);
    widen(all, wide);
    narrow(wide, back);
    for (let i = 0; i < all.length; i++) {
      if ((i & 0x7fff) > infinity) {
        assert.ok(Number.isNaN(wide[i]) && (back[i] & 0x7fff) > infinity);
      } else assert.equal(back[i], i);
    }
  }
});

Deno.test("float32ToBfloat16() picks the nearer neighbour for random bits", () => {
  const random = MersenneTwister.fromSeed(1);
  for (let i = 0; i < 10_000; i++) {
    const value = float(random.nextUint32());
    if (!Number.isFinite(value)) continue;
    const [got] = round(float32ToBfloat16, bitsOf(value));
    const down = bitsOf(value) >>> 16;
    const low = float(down << 16);
    const high = float((down + 1) << 16); // away from zero; infinite after the largest
    if (!Number.isFinite(high)) continue;
    const [toLow, toHigh] = [Math.abs(value - low), Math.abs(value - high)];
    const nearer = toLow < toHigh || (toLow === toHigh && down % 2 === 0) ? down : down + 1;
    assert.equal(got, nearer);
  }
});

Deno.test("conversions work on views into a buffer and refuse unequal lengths", () => {
  const buffer = new ArrayBuffer(16);
  const src = new Uint16Array(buffer, 2, 2);
  src.set([0x3f80, 0x4000]);
  const dst = new Float32Array(buffer, 8, 2);
  bfloat16ToFloat32(src, dst);
  assert.deepEqual([...dst], [1, 2]);
  for (const convert of [bfloat16ToFloat32, float16ToFloat32]) {
    assert.throws(() => convert(new Uint16Array(2), new Float32Array(3)), {
      name: "RangeError",
      message: /^Cannot widen b?float16: the source has 2 elements, the destination 3\. Give/,
    });
  }
  for (const convert of [float32ToBfloat16, float32ToFloat16]) {
    assert.throws(() => convert(new Float32Array(2), new Uint16Array(1)), RangeError);
  }
});

Deno.test("every element is converted, the first and the last too", () => {
  const numbers = [1.5, -2, 0.25];
  const floats = Float32Array.from(numbers);
  for (
    const [round, widen, bits] of [
      [float32ToBfloat16, bfloat16ToFloat32, [0x3fc0, 0xc000, 0x3e80]],
      [float32ToFloat16, float16ToFloat32, [0x3e00, 0xc000, 0x3400]],
    ] as const
  ) {
    const made = new Uint16Array(3).fill(9);
    round(floats, made);
    assert.deepEqual([...made], bits);
    const back = new Float32Array(3).fill(9);
    widen(made, back);
    assert.deepEqual([...back], numbers);
  }
  assert.deepEqual([1 + 2 ** -8, 1 + 3 * 2 ** -8, -3].map(roundToBfloat16), [1, 1 + 2 ** -6, -3]);
});
