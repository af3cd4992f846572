import assert from "node:assert/strict";
import { segmentBounds } from "../../ort/kernels/attention_kernels.ts";
import { parseDevice } from "../../ort/runtime/device.ts";
import { draws } from "../../tests/support/random.ts";
import { ATTENTION_CHUNK, attentionChunkOf, attentionChunks } from "./attention_chunks.ts";

/** Where segments begin that lie end to end in one row, the last of them padding. */
function startsOf(lengths: readonly number[], padding = 0): Int32Array {
  const ids = lengths.flatMap((length, i) => Array<number>(length).fill(i + 1));
  const all = Int32Array.from([...ids, ...Array<number>(padding).fill(0)]);
  return segmentBounds(all, all.length).starts;
}

const sizes = (lengths: readonly number[], heads = 16) =>
  attentionChunks(startsOf(lengths), { heads, queries: ATTENTION_CHUNK })
    .map(({ start, end, firstKey, lastKey }) => [end - start, lastKey - firstKey]);

Deno.test("attentionChunks() holds every query once, with all keys that it sees", () => {
  const draw = draws(9);
  for (let round = 0; round < 100; round++) {
    const lengths = Array.from(
      { length: 1 + Math.floor(draw(0, 8)) },
      () => 1 + Math.floor(draw(0, 90)),
    );
    const starts = startsOf(lengths, Math.floor(draw(0, 9)));
    const queries = Math.floor(draw(1, 80));
    let at = 0;
    const chunks = attentionChunks(starts, { heads: 2, queries });
    for (const chunk of chunks.toSorted((a, b) => a.start - b.start)) {
      const { start, end, firstKey, lastKey } = chunk;
      assert.equal(start, at);
      assert.ok(end > start && end - start <= Math.max(4, queries));
      for (let query = start; query < end; query++) assert.ok(starts[query] >= firstKey);
      assert.ok(firstKey % 4 === 0 && lastKey === end);
      at = end;
    }
    assert.equal(at, starts.length);
  }
});

Deno.test("a row of up to 512 tokens is one chunk, and so are short rows together", () => {
  assert.deepEqual(sizes([512]), [[512, 512]]);
  assert.deepEqual(sizes([17]), [[17, 17]]);
  assert.deepEqual(sizes([100, 200, 212]), [[512, 512]]);
  assert.deepEqual(sizes([400, 400]), [[400, 400], [400, 400]]);
});

Deno.test("a chunk of a long row has the keys up to its end, in at most 64 MiB of scores", () => {
  assert.deepEqual(sizes([2048]), [[512, 2048], [512, 1536], [512, 1024], [512, 512]]);
  for (const heads of [9, 16, 32]) {
    const chunks = sizes([300, 9000], heads);
    for (const [queries, keys] of chunks) assert.ok(queries * keys * heads * 4 <= 64 * 2 ** 20);
    // Causal: about half of all pairs.
    const pairs = chunks.reduce((sum, [queries, keys]) => sum + queries * keys, 0);
    assert.ok(pairs < 0.55 * 9000 ** 2, `${pairs}`);
  }
});

Deno.test("attention goes in chunks on webgpu alone", () => {
  const of = (device: string): number | undefined => attentionChunkOf(parseDevice(device));
  assert.deepEqual([of("webgpu"), of("cuda"), of("cpu")], [512, undefined, undefined]);
});

Deno.test("chunks begin and end at whole fours, whatever is asked for", () => {
  const chunks = (lengths: readonly number[], queries: number) =>
    attentionChunks(startsOf(lengths), { heads: 1, queries })
      .map(({ start, end, firstKey, lastKey }) => [start, end, firstKey, lastKey]);
  assert.deepEqual(chunks([10], 1), [[4, 8, 0, 8], [8, 10, 0, 10], [0, 4, 0, 4]]);
  assert.deepEqual(chunks([10], 7), [[4, 8, 0, 8], [8, 10, 0, 10], [0, 4, 0, 4]]);
  assert.deepEqual(chunks([10], 8), [[0, 8, 0, 8], [8, 10, 0, 10]]);
  // A segment from 6 on: its chunk begins at 8, and reads keys from 4 on.
  assert.deepEqual(chunks([6, 8], 8), [[0, 8, 0, 8], [8, 14, 4, 14]]);
  assert.deepEqual(chunks([], 8), []);
});

Deno.test("the scores of a chunk fill 64 MiB and no more, of four queries at least", () => {
  const first = (tokens: number, heads: number) =>
    attentionChunks(startsOf([tokens]), { heads, queries: tokens })
      .toSorted((a, b) => a.start - b.start).map(({ start, end }) => end - start).slice(0, 2);
  // 2^24 ÷ 16 scores a head: 1024 queries of 1024 keys, then of 1024 + n keys n · (1024 + n) of them.
  assert.deepEqual(first(4096, 16), [1024, 632]);
  assert.deepEqual(first(1024, 16), [1024]);
  // 2 scores a head: queries are four, whatever they take.
  assert.deepEqual(first(12, 2 ** 23), [4, 4]);
});

Deno.test("attentionChunks() counts the keys before a chunk from its segment's start", () => {
  // Segments of 4 and 24 tokens, and heads for which 64 MiB hold 200 scores each.
  const starts = Int32Array.from({ length: 28 }, (_, at) => at < 4 ? 0 : 4);
  assert.deepEqual(attentionChunks(starts, { heads: 83_886, queries: 512 }), [
    // 8 queries, as 8 · (12 + 8) scores fit and 12 · (12 + 12) do not.
    { start: 16, end: 24, firstKey: 4, lastKey: 24 },
    { start: 4, end: 16, firstKey: 4, lastKey: 16 },
    { start: 24, end: 28, firstKey: 4, lastKey: 28 },
    { start: 0, end: 4, firstKey: 0, lastKey: 4 },
  ]);
});
