import assert from "node:assert/strict";
import { cpu, parseDevice } from "../../ort/runtime/device.ts";
import { chunkElements, chunksOf } from "./layout_chunks.ts";

const CHUNK = 2 ** 19;

/** Of two and a half chunks two decay, but for a gap of a quarter at their end. */
const layout = {
  specs: [],
  offsets: new Map([["a", 0], ["b", 1.5 * CHUNK], ["norm", 2 * CHUNK]]),
  decaying: 2 * CHUNK,
  length: 2.5 * CHUNK,
};

Deno.test("chunks fit a core's cache on the host, and fill a device", () => {
  assert.equal(chunkElements(cpu), 524_288);
  for (const device of ["cuda", "webgpu"]) {
    assert.equal(chunkElements(parseDevice(device)), 16_777_216);
  }
});

Deno.test("chunksOf() cuts a layout into equal chunks, where decay ends and at its end", () => {
  assert.deepEqual(chunksOf(layout, cpu), [
    { start: 0, length: CHUNK, decays: true, rate: 1 },
    { start: CHUNK, length: CHUNK, decays: true, rate: 1 },
    { start: 2 * CHUNK, length: CHUNK / 2, decays: false, rate: 1 },
  ]);
  assert.deepEqual(chunksOf(layout, parseDevice("cuda")), [
    { start: 0, length: 2 * CHUNK, decays: true, rate: 1 },
    { start: 2 * CHUNK, length: CHUNK / 2, decays: false, rate: 1 },
  ]);
  const all = { ...layout, decaying: layout.length };
  assert.deepEqual(chunksOf(all, parseDevice("cuda")), [
    { start: 0, length: 2.5 * CHUNK, decays: true, rate: 1 },
  ]);
  assert.deepEqual(chunksOf({ ...layout, decaying: 0 }, parseDevice("cuda")), [
    { start: 0, length: 2.5 * CHUNK, decays: false, rate: 1 },
  ]);
});

Deno.test("chunksOf() takes ranges alone, in their order", () => {
  const ranges = [
    { start: 2 * CHUNK - 512, length: 1024 },
    { start: 256, length: CHUNK + 256 },
    { start: 2.25 * CHUNK, length: 0 },
    { start: 2.25 * CHUNK, length: 256 },
  ];
  assert.deepEqual(chunksOf(layout, cpu, { ranges }), [
    { start: 2 * CHUNK - 512, length: 512, decays: true, rate: 1 },
    { start: 2 * CHUNK, length: 512, decays: false, rate: 1 },
    { start: 256, length: CHUNK, decays: true, rate: 1 },
    { start: CHUNK + 256, length: 256, decays: true, rate: 1 },
    { start: 2.25 * CHUNK, length: 256, decays: false, rate: 1 },
  ]);
});

Deno.test("chunksOf() keeps tensors of another rate apart, with the gaps behind them", () => {
  const small = {
    specs: [],
    // In no order: c lies before b.
    offsets: new Map([["a", 0], ["b", 512], ["c", 256], ["norm", 1024]]),
    decaying: 1024,
    length: 1280,
  };
  const of = (rates: Readonly<Record<string, number>>) =>
    chunksOf(small, cpu, { rates: new Map(Object.entries(rates)) });
  assert.deepEqual(of({ c: 16, b: 16 }), [
    { start: 0, length: 256, decays: true, rate: 1 },
    { start: 256, length: 768, decays: true, rate: 16 },
    { start: 1024, length: 256, decays: false, rate: 1 },
  ]);
  assert.deepEqual(of({ a: 2, b: 3, norm: 3 }), [
    { start: 0, length: 256, decays: true, rate: 2 },
    { start: 256, length: 256, decays: true, rate: 1 },
    { start: 512, length: 512, decays: true, rate: 3 },
    { start: 1024, length: 256, decays: false, rate: 3 },
  ]);
  const ranges = [{ start: 128, length: 256 }];
  assert.deepEqual(chunksOf(small, cpu, { ranges, rates: new Map([["c", 5]]) }), [
    { start: 128, length: 128, decays: true, rate: 1 },
    { start: 256, length: 128, decays: true, rate: 5 },
  ]);
});
