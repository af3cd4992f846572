import assert from "node:assert/strict";
import { NgramIndex } from "./ngram_index.ts";

Deno.test("NgramIndex finds what reading all n-grams again finds", () => {
  const ids: number[] = [];
  const indexes = [1, 2, 3, 5].map((size) => ({ size, index: new NgramIndex(size) }));
  for (let step = 0; step < 300; step++) {
    for (const { size, index } of indexes) {
      const wanted: number[] = [];
      const prefix = `${ids.slice(ids.length + 1 - size)}`;
      for (let end = size; end <= ids.length; end++) {
        if (`${ids.slice(end - size, end - 1)}` === (size === 1 ? "" : prefix)) {
          wanted.push(ids[end - 1]);
        }
      }
      index.read(ids);
      const found = ids.length < size - 1 ? [] : index.followers(ids);
      assert.deepEqual(
        new Set(found),
        new Set(ids.length < size ? [] : wanted),
        `${size}, ${step}`,
      );
    }
    ids.push((step * step + 7 * step) % 11 % 4);
  }
});

Deno.test("NgramIndex tells 1, 23 from 12, 3", () => {
  const index = new NgramIndex(3);
  index.read([1, 23, 5, 12, 3, 6]);
  assert.deepEqual(index.followers([1, 23]), [5]);
  assert.deepEqual(index.followers([12, 3]), [6]);
  assert.deepEqual(index.followers([3]), []);
});
