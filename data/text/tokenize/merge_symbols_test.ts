import assert from "node:assert/strict";
import { mergeInSlices, mergeSymbols } from "./merge_symbols.ts";
import { MergeTable } from "./merge_table.ts";

/** All merges of two tokens of a small alphabet, in a shuffled order. */
function table(): MergeTable {
  const merges = new MergeTable(60);
  let rank = 0;
  for (const [left, right] of [[0, 1], [1, 0], [4, 0], [0, 0], [4, 4], [7, 1], [5, 5], [2, 0]]) {
    merges.set(left, right, rank, 4 + rank++);
  }
  return merges;
}

/** The definition: again and again the pair of the lowest rank, the leftmost first. */
function slow(symbols: readonly number[], merges: MergeTable): number[] {
  const word = [...symbols];
  for (;;) {
    const ranks = word.slice(1).map((right, at) => merges.rank(word[at], right));
    const best = ranks.reduce(
      (lead, rank, at) => rank !== -1 && (lead === -1 || rank < ranks[lead]) ? at : lead,
      -1,
    );
    if (best === -1) return word;
    word.splice(best, 2, merges.merged(word[best], word[best + 1]));
  }
}

Deno.test("mergeSymbols() merges by rank and from the left, short words and long ones", () => {
  const merges = table();
  let state = 7;
  for (let round = 0; round < 400; round++) {
    const word = Array.from({ length: 1 + round % 120 }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state >>> 24) % 3;
    });
    assert.deepEqual([...mergeSymbols([...word], merges)], slow(word, merges));
  }
});

Deno.test("mergeSymbols() merges a word of a million symbols", () => {
  const merged = mergeSymbols(new Array<number>(1_000_001).fill(0), table());
  // 0 0 becomes 7, from the left, and nothing more: 7 7 is no merge.
  assert.equal(merged.length, 500_001);
  assert.deepEqual(merged.slice(-2), [7, 0]);
});

Deno.test("MergeTable gives a pair that comes twice its later rank", () => {
  const merges = new MergeTable(2);
  merges.set(1, 2, 0, 3);
  merges.set(1, 2, 1, 4);
  assert.deepEqual([merges.rank(1, 2), merges.merged(1, 2), merges.rank(2, 1)], [1, 4, -1]);
});

Deno.test("MergeTable holds as many merges as it is made for, and tells pairs apart", () => {
  for (const count of [0, 1, 2, 3, 7, 8, 100, 1000]) {
    const merges = new MergeTable(count);
    // Ids of all sizes, 0 and the highest among them; each left one with its own right one.
    const pair = (at: number): [number, number] => [at * 16_777 % (1 << 24), (1 << 24) - at];
    for (let at = 0; at < count; at++) merges.set(...pair(at), at, 2 * at + 1);
    for (let at = 0; at < count; at++) {
      const [left, right] = pair(at);
      assert.deepEqual([merges.rank(left, right), merges.merged(left, right)], [at, 2 * at + 1]);
      assert.equal(merges.rank(right, left), -1);
      assert.equal(merges.rank(left, right - count), -1);
    }
    assert.equal(merges.rank(0, 0), -1);
  }
});

Deno.test("mergeInSlices() pauses after 4096 pairs that it looks at, and not in a short word", () => {
  const merges = table();
  const run = (count: number): [number, number] => {
    const work = mergeInSlices(new Array<number>(count).fill(0), merges);
    let pauses = 0;
    for (let step = work.next();; step = work.next(), pauses++) {
      if (step.done) return [step.value.length, pauses];
    }
  };
  // Once for 4096 symbols, and once for 4096 pairs; each symbol but the last begins a pair.
  assert.deepEqual(run(48), [24, 0]);
  assert.deepEqual(run(4095), [2048, 0]);
  assert.deepEqual(run(4096), [2048, 1]);
  assert.deepEqual(run(4097), [2049, 2]);
  assert.deepEqual(run(8192), [4096, 3]);
  assert.deepEqual(run(8193), [4097, 4]);
});
