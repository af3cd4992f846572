/** Sequences moved by graphs, against a table of where each key is. */

import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { draws } from "../../tests/support/random.ts";
import { DeviceCacheMemory } from "./device_cache_memory.ts";

const KV_HEADS = 3;
const WIDTH = 2;
const POSITIONS = 40;

Deno.test("rows stay whole where they change places and get another capacity", () => {
  const runtime = new Runtime({ threads: 2 });
  const shape = [POSITIONS * KV_HEADS, WIDTH];
  const tensor = () => Tensor.from(runtime, "float32", shape, new Float32Array(shape[0] * WIDTH));
  const layers = [{ key: tensor(), value: tensor() }, { key: tensor(), value: tensor() }];
  using memory = new DeviceCacheMemory(runtime, layers, KV_HEADS, WIDTH);
  const tensors = layers.flatMap(({ key, value }) => [key, value]);

  let capacity = 10;
  /** A name for each row, and its length. */
  const rows = [{ id: 1, length: 10 }, { id: 2, length: 0 }, { id: 3, length: 4 }, {
    id: 4,
    length: 1,
  }];
  const number = (tensor: number, id: number, head: number, at: number): number =>
    id * 1e4 + tensor * 1e3 + head * 100 + at + 0.5;
  const each = (visit: (tensor: number, index: number, expected: number) => void): void => {
    for (const [row, { id, length }] of rows.entries()) {
      for (let i = 0; i < tensors.length * KV_HEADS * length; i++) {
        const [at, head] = [i % length, Math.floor(i / length) % KV_HEADS];
        const which = Math.floor(i / length / KV_HEADS);
        const start = ((row * KV_HEADS + head) * capacity + at) * WIDTH;
        for (let d = 0; d < WIDTH; d++) {
          visit(which, start + d, number(which, id, head, at) * (d + 1));
        }
      }
    }
  };
  each((which, index, expected) => tensors[which].float32()[index] = expected);
  const check = (): void =>
    each((which, index, expected) => assert.equal(tensors[which].float32()[index], expected));
  const layout = () => ({ capacity, lengths: rows.map(({ length }) => length) });

  const draw = draws(5);
  for (let step = 0; step < 60; step++) {
    const [row, other] = [0, 1].map(() => Math.floor(draw(0, rows.length)));
    if (step % 3 > 0 && row !== other) {
      memory.swap(layout(), row, other);
      [rows[row], rows[other]] = [rows[other], rows[row]];
    } else {
      if (rows.length > 2 && step > 30) rows.pop();
      const longest = Math.max(1, ...rows.map(({ length }) => length));
      const wanted = Math.floor(draw(longest, POSITIONS / rows.length + 1));
      memory.resize(layout(), wanted);
      capacity = wanted;
    }
    check();
  }
  using pair = memory.layer(1, { start: 1, count: 1, capacity });
  assert.deepEqual(pair.value.shape, [2 * KV_HEADS * capacity, WIDTH]);
  assert.equal(pair.value.address, tensors[3].address);
});
