import assert from "node:assert/strict";
import { MersenneTwister } from "./mersenne_twister.ts";

Deno.test("init_genrand() gives the published stream", () => {
  // The 10,000th word of the default seed is fixed by the C++ standard, [rand.predef].
  const engine = MersenneTwister.fromSeed(5489);
  for (let i = 0; i < 9999; i++) engine.nextUint32();
  assert.equal(engine.nextUint32(), 4123659995);
});

Deno.test("init_by_array() gives the stream of mt19937ar.out", () => {
  const engine = MersenneTwister.fromKey([0x123, 0x234, 0x345, 0x456]);
  const words = Array.from({ length: 5 }, () => engine.nextUint32());
  assert.deepEqual(words, [1067595299, 955945823, 477289528, 4107218783, 4228976476]);
});

Deno.test("init_by_array() takes keys longer than the state", () => {
  // >>> import random; r = random.Random(int.from_bytes(bytes(range(1, 251)) * 12, "little"))
  // >>> [r.getrandbits(32) for _ in range(3)]
  const bytes = Uint8Array.from({ length: 3000 }, (_, i) => i % 250 + 1);
  const engine = MersenneTwister.fromKey([...new Uint32Array(bytes.buffer)]);
  const words = Array.from({ length: 3 }, () => engine.nextUint32());
  assert.deepEqual(words, [3691957555, 584410903, 1765458833]);
});

Deno.test("nextFloat53() gives the numbers of CPython's random()", () => {
  // >>> import random; r = random.Random(42); [r.random() for _ in range(3)]
  const engine = MersenneTwister.fromKey([42]);
  assert.deepEqual(
    Array.from({ length: 3 }, () => engine.nextFloat53()),
    [0.6394267984578837, 0.025010755222666936, 0.27502931836911926],
  );
});

Deno.test("a restored state goes on with the same words", () => {
  for (const warmUp of [0, 1, 623, 624, 700]) {
    const engine = MersenneTwister.fromSeed(7);
    for (let i = 0; i < warmUp; i++) engine.nextUint32();
    const other = MersenneTwister.fromState(JSON.parse(JSON.stringify(engine.state())));
    for (let i = 0; i < 1300; i++) assert.equal(other.nextUint32(), engine.nextUint32());
  }
});

Deno.test("a state is a copy", () => {
  const engine = MersenneTwister.fromSeed(7);
  engine.state().key.fill(0);
  assert.equal(engine.nextUint32(), MersenneTwister.fromSeed(7).nextUint32());
});

Deno.test("bad seeds, keys and states are refused", () => {
  for (const seed of [-1, 0.5, 2 ** 32, NaN]) {
    assert.throws(() => MersenneTwister.fromSeed(seed), /^RangeError: Cannot seed a Mersenne/);
    assert.throws(() => MersenneTwister.fromKey([1, seed]), RangeError);
  }
  assert.throws(() => MersenneTwister.fromKey([]), /the key is empty/);
  const { key } = MersenneTwister.fromSeed(1).state();
  assert.throws(() => MersenneTwister.fromState({ key: key.slice(1), index: 0 }), /623 words/);
  assert.throws(() => MersenneTwister.fromState({ key, index: 625 }), /index 625/);
  assert.throws(() => MersenneTwister.fromState({ key: [-1, ...key.slice(1)], index: 0 }), /-1/);
});
