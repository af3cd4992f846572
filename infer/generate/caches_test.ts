/** Caches of keys, values and states against tables of what they must hold. */

import assert from "node:assert/strict";
import type { ModelConfig } from "../../model/config.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { familyConfig, tinyConfig } from "../../tests/support/tiny_model.ts";
import { BatchCache, cacheBytesPerPosition } from "./batch_cache.ts";
import { KvCache } from "./kv_cache.ts";
import { stateBytes, StateCache } from "./state_cache.ts";

/** Heads of keys, and numbers of each. */
const [HEADS, WIDTH] = [2, 8];
const config = tinyConfig({ max_position_embeddings: 1200 });
/** The first layer carries a state, of which a row is [3, 44] and [4, 6, 5]; the second has attention. */
const stateful = familyConfig("qwen3_5_text", { num_hidden_layers: 2, head_dim: 8 });
const INPUTS = 3 * (2 * 2 * 6 + 4 * 5);
const MATRICES = 4 * 6 * 5;

/** Numbers that tell tensor, row, head, position and place apart. */
function number(tensor: number, row: number, head: number, at: number, d: number): number {
  return tensor * 1e5 + row * 1e4 + head * 5e3 + at * 8 + d + 1;
}

Deno.test("KvCache grows by doubling, in steps of 256, up to the model's positions", () => {
  using runtime = new Runtime({ threads: 1 });
  using cache = new KvCache(runtime, config);
  assert.deepEqual([cache.capacity, cache.layer(0)], [0, undefined]);
  const grown = ([positions, used]: readonly [number, number]) => [
    cache.reserve(positions, used),
    cache.capacity,
  ];
  const steps = [[1, 0], [256, 3], [257, 5], [512, 5], [513, 9], [1024, 9], [1025, 9], [
    1200,
    9,
  ]] as const;
  assert.deepEqual(steps.map(grown), [
    [true, 256],
    [false, 256],
    [true, 512],
    [false, 512],
    [true, 1024],
    [false, 1024],
    [true, 1200],
    [false, 1200],
  ]);
  assert.throws(
    () => cache.reserve(1201, 9),
    new RangeError(
      "Cannot hold 1201 tokens: the model has 1200 positions; shorten the prompt or generate fewer tokens",
    ),
  );
  const { key, value } = cache.layer(1)!;
  assert.deepEqual([key.shape, value.shape, key.dtype], [
    [1, HEADS, 1200, WIDTH],
    key.shape,
    "float32",
  ]);
  assert.equal(cache.layer(2), undefined);
  using other = new KvCache(runtime, config);
  other.reserve(300, 0);
  assert.equal(other.capacity, 512);
  other[Symbol.dispose]();
  assert.deepEqual([other.capacity, other.layer(0)], [0, undefined]);
});

Deno.test("KvCache keeps the positions that are used, and zeros behind them", () => {
  using runtime = new Runtime({ threads: 1 });
  for (const asRows of [false, true]) {
    using cache = new KvCache(runtime, config, { asRows });
    const tensors = (): Tensor[] =>
      [0, 1].flatMap((layer) => [cache.layer(layer)!.key, cache.layer(layer)!.value]);
    cache.reserve(1, 0);
    for (const tensor of tensors()) assert.ok(tensor.float32().every((each) => each === 0));
    for (const [which, tensor] of tensors().entries()) {
      const values = tensor.float32();
      for (let i = 0; i < values.length; i++) {
        const [d, at] = [i % WIDTH, Math.floor(i / WIDTH) % 256];
        values[i] = number(which, 0, Math.floor(i / WIDTH / 256), at, d);
      }
    }
    cache.reserve(600, 7);
    const capacity = 768;
    assert.equal(cache.capacity, capacity);
    for (const [which, tensor] of tensors().entries()) {
      assert.deepEqual(
        tensor.shape,
        asRows ? [HEADS * capacity, WIDTH] : [1, HEADS, capacity, WIDTH],
      );
      const expected = Float32Array.from({ length: HEADS * capacity * WIDTH }, (_, i) => {
        const [d, at] = [i % WIDTH, Math.floor(i / WIDTH) % capacity];
        return at < 7 ? number(which, 0, Math.floor(i / WIDTH / capacity), at, d) : 0;
      });
      assert.deepEqual(tensor.float32(), expected);
    }
  }
});

Deno.test("KvCache has the numbers' type that is asked for, and nothing of layers with a state", () => {
  using runtime = new Runtime({ threads: 1 });
  using cache = new KvCache(runtime, stateful, { dtype: "float16" });
  cache.reserve(5, 0);
  assert.equal(cache.layer(0), undefined);
  assert.equal(cache.layer(1)!.key.dtype, "float16");
  cache.reserve(257, 5);
  assert.equal(cache.layer(0), undefined);
});

Deno.test("stateBytes() and cacheBytesPerPosition() count what sequences take", () => {
  // Float32, with the copy that a step writes.
  assert.equal(stateBytes(stateful), 2 * 4 * (INPUTS + MATRICES));
  assert.equal(stateBytes(config), 0);
  // Two layers' keys and values.
  assert.equal(cacheBytesPerPosition(config), 2 * 2 * HEADS * WIDTH * 4);
  assert.equal(
    cacheBytesPerPosition(stateful),
    2 * HEADS * WIDTH * 4 + Math.ceil(8 * (INPUTS + MATRICES) / 256),
  );
});

/** The states of some rows of the first layer: where graphs read them, and where they write. */
function statesOf(
  cache: StateCache | BatchCache,
  start: number,
  count: number,
): readonly (readonly number[])[] {
  using layer = cache instanceof StateCache
    ? cache.layer(0, start, count)
    : cache.states(0, start, count);
  return Object.values(layer.tensors).map((tensor) => [...tensor.float32()]);
}

/** Writes what a step gives for `count` rows: `value` and more for each row. */
function writeStep(cache: StateCache, start: number, count: number, value: number): void {
  using layer = cache.layer(0, start, count);
  const { tensors } = layer;
  const names = Object.keys(tensors);
  for (const [i, name] of names.entries()) {
    if (i % 2 === 0) continue;
    const values = tensors[name].float32();
    for (let at = 0; at < values.length; at++) {
      values[at] = value + Math.floor(at * count / values.length) + i / 10;
    }
  }
  cache.commit(start, count);
}

/** The first number of each row of both states; all of a row are the same. */
function firsts(cache: StateCache, rows: number): readonly number[] {
  return Array.from({ length: rows }, (_, row) => {
    const [inputs, , matrices] = statesOf(cache, row, 1);
    assert.deepEqual([inputs.length, matrices.length], [INPUTS, MATRICES]);
    for (const each of [inputs, matrices]) assert.deepEqual(new Set(each).size, 1);
    const [value, other] = [inputs[0], matrices[0]];
    // The second has 0.2 more than the first, where there is something.
    assert.ok(value === 0 ? other === 0 : Math.abs(other - value - 0.2) < 1e-4);
    return Math.floor(value);
  });
}

Deno.test("StateCache takes what a step has written only when it is done, for the rows of the step", () => {
  using runtime = new Runtime({ threads: 1 });
  using cache = new StateCache(runtime, stateful);
  assert.equal(cache.reserve(4), true);
  assert.deepEqual(firsts(cache, 4), [0, 0, 0, 0]);
  {
    using layer = cache.layer(0, 1, 2);
    assert.deepEqual(
      Object.values(layer.tensors).map(({ shape }) => shape),
      [[2, 3, 44], [2, 3, 44], [2, 4, 6, 5], [2, 4, 6, 5]],
    );
    for (const tensor of Object.values(layer.tensors).filter((_, i) => i % 2 === 1)) {
      tensor.float32().fill(9);
    }
  }
  assert.deepEqual(firsts(cache, 4), [0, 0, 0, 0]);
  writeStep(cache, 1, 2, 10);
  assert.deepEqual(firsts(cache, 4), [0, 10, 11, 0]);
  writeStep(cache, 3, 1, 50);
  writeStep(cache, 0, 1, 5);
  assert.deepEqual(firsts(cache, 4), [5, 10, 11, 50]);
  // None of a layer with attention.
  using attention = cache.layer(1, 0, 2);
  assert.deepEqual(attention.tensors, {});
});

Deno.test("StateCache clears, swaps and keeps rows", () => {
  using runtime = new Runtime({ threads: 1 });
  using cache = new StateCache(runtime, stateful);
  cache.reserve(3);
  writeStep(cache, 0, 3, 20);
  cache.swap(0, 2);
  assert.deepEqual(firsts(cache, 3), [22, 21, 20]);
  cache.swap(1, 1);
  cache.swap(2, 1);
  assert.deepEqual(firsts(cache, 3), [22, 20, 21]);
  cache.clear(1);
  assert.deepEqual(firsts(cache, 3), [22, 0, 21]);
  cache.swap(0, 2);
  assert.deepEqual(firsts(cache, 3), [21, 0, 22]);
  cache.swap(2, 0);
  assert.equal(cache.reserve(3), false);
  assert.equal(cache.reserve(2), false);
  assert.equal(cache.reserve(5), true);
  assert.deepEqual(firsts(cache, 5), [22, 0, 21, 0, 0]);
  // A model without states replaces nothing.
  using none = new StateCache(runtime, config);
  assert.equal(none.reserve(4), false);
});

/** Fills rows of a batch's cache, as a step does, with numbers that go with an id. */
function fill(cache: BatchCache, model: ModelConfig, row: number, id: number): void {
  for (let layer = 0; layer < model.layers; layer++) {
    using pair = cache.layer(layer, row, 1);
    if (!pair) continue;
    for (const [which, tensor] of [pair.key, pair.value].entries()) {
      assert.deepEqual(tensor.shape, [1, HEADS, cache.capacity, WIDTH]);
      const values = tensor.float32();
      for (let i = 0; i < values.length; i++) {
        const [d, at] = [i % WIDTH, Math.floor(i / WIDTH) % cache.capacity];
        const head = Math.floor(i / WIDTH / cache.capacity);
        values[i] = number(2 * layer + which, id, head, at, d);
      }
    }
  }
}

/** Checks that a row holds its length of what an id was filled with. */
function assertRow(cache: BatchCache, model: ModelConfig, row: number, id: number): void {
  for (let layer = 0; layer < model.layers; layer++) {
    using pair = cache.layer(layer, row, 1);
    if (!pair) continue;
    for (const [which, tensor] of [pair.key, pair.value].entries()) {
      const values = tensor.float32();
      for (let i = 0; i < values.length; i++) {
        const [d, at] = [i % WIDTH, Math.floor(i / WIDTH) % cache.capacity];
        const head = Math.floor(i / WIDTH / cache.capacity);
        if (at >= cache.length(row)) continue;
        assert.equal(values[i], number(2 * layer + which, id, head, at, d), `${row} ${head} ${at}`);
      }
    }
  }
}

Deno.test("BatchCache keeps sequences where rows and capacity change and rows change places", () => {
  using runtime = new Runtime({ threads: 1 });
  using cache = new BatchCache(runtime, config, 60);
  assert.deepEqual([cache.positions, cache.rows, cache.capacity, cache.version], [60, 0, 0, 0]);
  const lengths = () => Array.from({ length: cache.rows }, (_, row) => cache.length(row));
  cache.reserve(3, 12);
  assert.deepEqual([cache.rows, cache.capacity, lengths()], [3, 12, [0, 0, 0]]);
  const { version } = cache;
  assert.ok(version > 0);
  for (const [row, length] of [[0, 12], [1, 3], [2, 7]]) {
    fill(cache, config, row, row + 1);
    cache.setLength(row, length);
  }
  const check = (...ids: readonly number[]): void =>
    ids.forEach((id, row) => assertRow(cache, config, row, id));
  check(1, 2, 3);
  // Another row, in the same layout.
  cache.reserve(4, 12);
  assert.deepEqual([lengths(), cache.version], [[12, 3, 7, 0], version]);
  cache.swap(0, 2);
  cache.swap(1, 1);
  assert.deepEqual(lengths(), [7, 3, 12, 0]);
  check(3, 2, 1);
  cache.reserve(4, 15);
  assert.deepEqual([lengths(), cache.version], [[7, 3, 12, 0], version + 1]);
  check(3, 2, 1);
  cache.swap(3, 0);
  assert.deepEqual(lengths(), [0, 3, 12, 7]);
  check(0, 2, 1, 3);
  cache.swap(3, 0);
  cache.reserve(3, 12);
  check(3, 2, 1);
  // A shorter capacity, for those that stay.
  cache.reserve(2, 7);
  assert.deepEqual([lengths(), cache.capacity, cache.version], [[7, 3], 7, version + 3]);
  check(3, 2);
  cache.reserve(2, 30);
  check(3, 2);
  // A row that comes again is empty.
  cache.reserve(4, 15);
  assert.deepEqual(lengths(), [7, 3, 0, 0]);
  check(3, 2);
});

Deno.test("BatchCache gives views of a layer's rows, and says what it has no memory for", () => {
  using runtime = new Runtime({ threads: 1 });
  using cache = new BatchCache(runtime, config, 60);
  cache.reserve(3, 20);
  fill(cache, config, 1, 5);
  fill(cache, config, 2, 6);
  using both = cache.layer(1, 1, 2)!;
  assert.deepEqual(both.key.shape, [2, HEADS, 20, WIDTH]);
  assert.deepEqual(both.value.shape, both.key.shape);
  const size = HEADS * 20 * WIDTH;
  assert.deepEqual([both.key.float32()[0], both.key.float32()[size]], [
    number(2, 5, 0, 0, 0),
    number(2, 6, 0, 0, 0),
  ]);
  assert.equal(both.value.float32()[0], number(3, 5, 0, 0, 0));
  assert.throws(
    () => cache.reserve(3, 21),
    new RangeError(
      "Cannot hold 3 sequences of 21 tokens: the cache has 60 positions; run fewer or give it more memory",
    ),
  );
  cache.setLength(2, 20);
  cache.setLength(1, 9);
  assert.throws(
    () => cache.reserve(3, 19),
    new RangeError("Cannot hold a sequence of 20 tokens in 19 positions"),
  );
  // Only of rows that stay.
  cache.reserve(2, 9);
  assert.deepEqual([cache.rows, cache.capacity], [2, 9]);
});

Deno.test("BatchCache carries states with their rows", () => {
  using runtime = new Runtime({ threads: 1 });
  using cache = new BatchCache(runtime, stateful, 60);
  const first = (row: number): number => statesOf(cache, row, 1)[0][0];
  cache.reserve(2, 20);
  const before = cache.version;
  assert.equal(cache.layer(0, 0, 1), undefined);
  fill(cache, stateful, 0, 4);
  assertRow(cache, stateful, 0, 4);
  {
    using step = cache.states(0, 0, 2);
    const written = Object.values(step.tensors)[1].float32();
    written.fill(3, 0, INPUTS);
    written.fill(4, INPUTS);
  }
  cache.commitStates(0, 2);
  cache.setLength(0, 1);
  cache.setLength(1, 2);
  assert.deepEqual([first(0), first(1)], [3, 4]);
  cache.swap(0, 1);
  assert.deepEqual([first(0), first(1)], [4, 3]);
  // A row more is another layout of states.
  cache.reserve(3, 20);
  assert.equal(cache.version, before + 1);
  assert.deepEqual([first(0), first(1), first(2)], [4, 3, 0]);
  // A sequence that begins anew, and a row that leaves and comes again.
  cache.setLength(0, 0);
  assert.deepEqual([first(0), first(1)], [0, 3]);
  cache.reserve(1, 20);
  cache.reserve(2, 20);
  assert.deepEqual([first(1), cache.length(1)], [0, 0]);
});
