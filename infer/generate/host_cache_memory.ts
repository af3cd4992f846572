/** A batch's cache in the host's memory, where copies within a tensor move sequences. */

import { type CacheLayout, type CacheMemory, type CacheRows, viewPair } from "./cache_memory.ts";
import type { LayerCache } from "./kv_cache.ts";

/** A cache in the host's memory: [rows, kvHeads, capacity, D], of which any rows are a view. */
export class HostCacheMemory implements CacheMemory {
  readonly #layers: readonly LayerCache[];
  readonly #kvHeads: number;
  readonly #width: number;
  /** One head of one row, while two rows change places. */
  #spare = new Float32Array();

  /** @param width numbers of a head's key */
  constructor(layers: readonly LayerCache[], kvHeads: number, width: number) {
    this.#layers = layers;
    this.#kvHeads = kvHeads;
    this.#width = width;
  }

  resize({ capacity: before, lengths }: CacheLayout, capacity: number): void {
    // In an order in which nothing is written over before it has been moved.
    const heads = Array.from({ length: lengths.length * this.#kvHeads }, (_, head) => head);
    if (capacity > before) heads.reverse();
    for (const values of this.#values()) {
      for (const head of heads) {
        const used = lengths[Math.floor(head / this.#kvHeads)] * this.#width;
        const from = head * before * this.#width;
        values.copyWithin(head * capacity * this.#width, from, from + used);
      }
    }
  }

  swap({ capacity, lengths }: CacheLayout, row: number, other: number): void {
    const size = capacity * this.#width;
    if (this.#spare.length < size) this.#spare = new Float32Array(size);
    const [used, otherUsed] = [row, other].map((each) => lengths[each] * this.#width);
    for (const values of this.#values()) {
      for (let head = 0; head < this.#kvHeads; head++) {
        const at = (row * this.#kvHeads + head) * size;
        const otherAt = (other * this.#kvHeads + head) * size;
        this.#spare.set(values.subarray(at, at + used));
        values.copyWithin(at, otherAt, otherAt + otherUsed);
        values.set(this.#spare.subarray(0, used), otherAt);
      }
    }
  }

  *#values(): Iterable<Float32Array> {
    for (const { key, value } of this.#layers) {
      yield key.float32();
      yield value.float32();
    }
  }

  layer(index: number, { start, count, capacity }: CacheRows): LayerCache & Disposable {
    const shape = [count, this.#kvHeads, capacity, this.#width];
    const offset = start * this.#kvHeads * capacity * this.#width * Float32Array.BYTES_PER_ELEMENT;
    return viewPair(this.#layers[index], offset, shape);
  }

  [Symbol.dispose](): void {
    for (const { key, value } of this.#layers) {
      key[Symbol.dispose]();
      value[Symbol.dispose]();
    }
  }
}
