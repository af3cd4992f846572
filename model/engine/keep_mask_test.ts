import assert from "node:assert/strict";
import { fillKeepMask, randomOdd } from "./keep_mask.ts";

Deno.test("fillKeepMask() drops at the rate asked for, in every part of the mask", () => {
  const mask = new Uint8Array(1 << 20);
  for (const rate of [0.05, 0.1, 0.5]) {
    fillKeepMask(mask, rate, [42, 0, "q_proj"]);
    assert.ok(mask.every((each) => each === 0 || each === 1));
    const part = mask.length / 8;
    // Five standard deviations of a binomial share.
    const bound = 5 * Math.sqrt(rate * (1 - rate) / part);
    for (let start = 0; start < mask.length; start += part) {
      const dropped = mask.subarray(start, start + part).filter((each) => each === 0).length / part;
      assert.ok(Math.abs(dropped - rate) <= bound, `${dropped} of ${rate}`);
    }
  }
});

Deno.test("fillKeepMask() answers the same for the same key and unrelated masks for others", () => {
  const make = (...key: (number | string)[]): Uint8Array => {
    const mask = new Uint8Array(1 << 16);
    fillKeepMask(mask, 0.5, key);
    return mask;
  };
  const first = make(1, 2, "a");
  assert.deepEqual(make(1, 2, "a"), first);
  for (const other of [make(2, 2, "a"), make(1, 3, "a"), make(1, 2, "b")]) {
    const same = first.filter((each, i) => each === other[i]).length / first.length;
    assert.ok(Math.abs(same - 0.5) < 0.01, `${same}`);
  }
});

Deno.test("fillKeepMask() draws the same wherever in memory a mask lies", () => {
  const make = (offset: number, length: number): Uint8Array => {
    const mask = new Uint8Array(new ArrayBuffer(offset + length), offset);
    fillKeepMask(mask, 0.3, ["x"]);
    return mask;
  };
  const expected = make(0, 1001);
  for (const offset of [1, 2, 3, 5]) assert.deepEqual(make(offset, 1001), expected);
  for (const length of [1, 2, 3, 6]) assert.deepEqual(make(1, length), expected.slice(0, length));
  // What the generator's first eight draws gave from the start: runs are resumed by them.
  assert.equal(expected.subarray(0, 16).join(""), "1111011111000111");
});

Deno.test("fillKeepMask() fills masks of odd length, and keeps all at rate 0", () => {
  const mask = new Uint8Array(7);
  fillKeepMask(mask, 0, ["x"]);
  assert.deepEqual([...mask], [1, 1, 1, 1, 1, 1, 1]);
  // Among a million draws of 16 bits is each of them, the least and the largest too.
  const large = new Uint8Array(1 << 20);
  fillKeepMask(large, 0, ["x"]);
  assert.ok(large.every((each) => each === 1));
  fillKeepMask(large, 1, ["x"]);
  assert.ok(large.every((each) => each === 0));
});

Deno.test("fillKeepMask() gives a token the same draws wherever it stands in a grid", () => {
  const orders = [[3, 4, 5, 11, 0, 19, 18]];
  for (let first = 0; first < 6; first++) {
    for (let second = 0; second < 6; second++) orders.push([first, second]);
  }
  for (const width of [1, 2, 3, 7, 8]) {
    const whole = new Uint8Array(20 * width);
    fillKeepMask(whole, 0.5, ["x"]);
    for (const places of orders) {
      const part = new Uint8Array(places.length * width);
      fillKeepMask(part, 0.5, ["x"], Int32Array.from(places));
      const expected = places.flatMap((at) => [...whole.subarray(at * width, (at + 1) * width)]);
      assert.deepEqual([...part], expected, `width ${width}, ${places}`);
    }
  }
});

Deno.test("randomOdd() draws odd numbers, the same for a key and others for another", () => {
  const [draws, again, other] = ["a", "a", "b"].map((key) => randomOdd(10_000, [key, 3]));
  assert.deepEqual(draws, again);
  assert.ok(draws.every((draw) => draw % 2 !== 0));
  assert.equal(new Set(draws).size, draws.length);
  assert.ok(draws.filter((draw, i) => draw === other[i]).length === 0);
  // Of both signs alike, to within four standard deviations.
  assert.ok(Math.abs(draws.filter((draw) => draw < 0).length - 5000) < 200);
});

// By a program of its own in Python: FNV-1a of the key's text and SplitMix32 with Murmur3's finalizer, of whose
// draws the lower half decides an element and the upper half the next.
Deno.test("fillKeepMask() draws what SplitMix32 draws from the hash of its key", () => {
  const mask = new Uint8Array(64);
  fillKeepMask(mask, 0.3, [42, 3, "self_attn.q_proj"]);
  assert.equal(
    mask.join(""),
    "0011011111101111100101100110110001000111100011111111101010111001",
  );
  // The first two draws of this key are 30268 and 27996, of 65536.
  const pair = (dropped: number): number[] => {
    const mask = new Uint8Array(2);
    fillKeepMask(mask, dropped / 65536, [7, "edge"]);
    return [...mask];
  };
  assert.deepEqual([30268, 30269].map(pair), [[1, 0], [0, 0]]);
  assert.deepEqual([27996, 27997].map(pair), [[1, 1], [1, 0]]);
});

Deno.test("randomOdd() draws what SplitMix32 draws, at places that are asked for", () => {
  const draws = [-681063925, 1917241559, -1662203997, -909908619, -1844782959, -1997892245];
  assert.deepEqual([...randomOdd(6, ["a", 3])], draws);
  const places = Int32Array.of(4, 0, 5);
  assert.deepEqual([...randomOdd(3, ["a", 3], places)], [draws[4], draws[0], draws[5]]);
});
