import assert from "node:assert/strict";
import { PythonRandom } from "./python_random.ts";

// All values from CPython 3.11; each test names the expression.

Deno.test("shuffle() of 2407 records with seed 42 is Python's", () => {
  // >>> l = list(range(2407)); random.Random(42).shuffle(l); l[:4], l[2166:2170]
  const list = Array.from({ length: 2407 }, (_, i) => i);
  new PythonRandom(42).shuffle(list);
  assert.deepEqual(list.slice(0, 4), [765, 135, 1968, 1564]);
  assert.deepEqual(list.slice(2166, 2170), [1086, 1599, 8, 1552]);
  assert.deepEqual(list.toSorted((a, b) => a - b), Array.from({ length: 2407 }, (_, i) => i));
});

Deno.test("shuffle() leaves short lists alone and draws nothing for them", () => {
  const random = new PythonRandom(42);
  const [none, one]: [number[], number[]] = [[], [5]];
  random.shuffle(none);
  random.shuffle(one);
  assert.deepEqual([none, one], [[], [5]]);
  assert.equal(random.random(), 0.6394267984578837);
});

Deno.test("random() is Python's 53-bit float", () => {
  // >>> r = random.Random(42); [r.random() for _ in range(3)]
  const random = new PythonRandom(42);
  const floats = Array.from({ length: 3 }, () => random.random());
  assert.deepEqual(floats, [0.6394267984578837, 0.025010755222666936, 0.27502931836911926]);
});

Deno.test("randrange() is Python's, also above 32 bits", () => {
  // >>> r = random.Random(42); [r.randrange(n) for n in (1, 2, 3, 10, 1000, 2**31, 2**32, 2**40)]
  const random = new PythonRandom(42);
  const bounds = [1, 2, 3, 10, 1000, 2 ** 31, 2 ** 32, 2 ** 40];
  const drawn = bounds.map((n) => random.randrange(n));
  assert.deepEqual(drawn, [0, 0, 2, 4, 250, 958682846, 2342331444, 930249081961]);
});

Deno.test("every kind of integer seed is Python's", () => {
  // >>> r = random.Random(seed); [r.getrandbits(32) for _ in range(3)], r.random()
  const cases: [number | bigint, number[], number][] = [
    [0, [3626764237, 1654615998, 3255389356], 0.890243920837131],
    [2 ** 32, [485306839, 1508871100, 1794561286], 0.9347212762883035],
    [2n ** 64n + 12345n, [2632172, 2355889752, 3906953032], 0.42469870266083587],
    [-42, [2746317213, 478163327, 107420369], 0.7415504997598329],
    [2 ** 53 - 1, [404802386, 2407860725, 957238923], 0.7525835200499853],
  ];
  for (const [seed, words, float] of cases) {
    const random = new PythonRandom(seed);
    // Below 2^31 − 1, 31 bits are drawn: each word without its last.
    const halves = words.map((word) => Math.floor(word / 2));
    assert.deepEqual(words.map(() => random.randrange(2 ** 31 - 1)), halves);
    assert.equal(random.random(), float);
  }
});

Deno.test("a restored state goes on with the same numbers", () => {
  const random = new PythonRandom(3);
  random.randrange(100);
  const other = PythonRandom.fromState(JSON.parse(JSON.stringify(random.state())));
  for (let i = 0; i < 1000; i++) assert.equal(other.randrange(1e12), random.randrange(1e12));
});

Deno.test("bad seeds and bounds are refused", () => {
  assert.throws(
    () => new PythonRandom(0.5),
    /^RangeError: Cannot seed Python's generator: 0\.5 is/,
  );
  assert.throws(() => new PythonRandom(2 ** 53), RangeError);
  const random = new PythonRandom(1);
  for (const n of [0, -1, 1.5, NaN, 2 ** 53]) {
    assert.throws(() => random.randrange(n), /^RangeError: Cannot draw below .*Give a whole/);
  }
});
