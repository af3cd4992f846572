/**
 * Keys and values of several sequences at once, within a fixed amount of memory.
 *
 * In: a config and a number of positions. Out: for each layer, tensors [rows, kvHeads, capacity, D]
 * over any run of rows, that the decode graph writes in place. Rows and capacity change as sequences
 * join and leave; rows · capacity never exceeds the positions there is memory for.
 */

import { cacheHeadDim } from "../../model/graphs/decode_graphs.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { LayerCache } from "./kv_cache.ts";

/** Capacity is a multiple of this, so that sequences of about the same length share a layout. */
export const CAPACITY_STEP = 256;

const FLOAT_BYTES = 4;

/** Bytes of keys and values that one position of one sequence takes, in all layers. */
export function cacheBytesPerPosition(config: ModelConfig): number {
  return config.layers * 2 * config.kvHeads * cacheHeadDim(config) * FLOAT_BYTES;
}

/** The cache of a batch. */
export class BatchCache implements Disposable {
  /** The most that rows · capacity may be. */
  readonly positions: number;
  readonly #kvHeads: number;
  readonly #width: number;
  /** A pair a layer, [positions · kvHeads · D] each. */
  readonly #layers: readonly LayerCache[];
  /** One head of one row, while two rows change places. */
  #spare = new Float32Array();
  #rows = 0;
  #capacity = 0;
  #lengths: number[] = [];
  #version = 0;

  /** Allocates memory for all positions; the system gives it as it is written to. */
  constructor(runtime: Runtime, config: ModelConfig, positions: number) {
    this.positions = positions;
    this.#kvHeads = config.kvHeads;
    this.#width = cacheHeadDim(config);
    using stack = new DisposableStack();
    const shape = [positions * this.#kvHeads * this.#width];
    const allocate = () => stack.use(Tensor.allocate(runtime, "float32", shape));
    this.#layers = Array.from(
      { length: config.layers },
      () => ({ key: allocate(), value: allocate() }),
    );
    stack.move();
  }

  /** Sequences there is a row for. */
  get rows(): number {
    return this.#rows;
  }

  /** Positions of a row. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Grows whenever tensors that were given out no longer fit the layout. */
  get version(): number {
    return this.#version;
  }

  /** Tokens of a row's sequence so far. */
  length(row: number): number {
    return this.#lengths[row];
  }

  /** Notes that a row's sequence has `length` tokens now. */
  setLength(row: number, length: number): void {
    this.#lengths[row] = length;
  }

  /**
   * Changes the layout; sequences of rows that remain are kept. A row that is added is empty.
   *
   * @throws {RangeError} where the memory does not do for it, or a sequence does not fit its row
   */
  reserve(rows: number, capacity: number): void {
    if (rows * capacity > this.positions) {
      throw new RangeError(
        `Cannot hold ${rows} sequences of ${capacity} tokens: the cache has ${this.positions} ` +
          "positions; run fewer or give it more memory",
      );
    }
    const longest = Math.max(0, ...this.#lengths.slice(0, rows));
    if (longest > capacity) {
      throw new RangeError(`Cannot hold a sequence of ${longest} tokens in ${capacity} positions`);
    }
    if (capacity !== this.#capacity) {
      this.#move(Math.min(rows, this.#rows), capacity);
      this.#version++;
    }
    this.#lengths = Array.from({ length: rows }, (_, row) => this.#lengths[row] ?? 0);
    this.#rows = rows;
    this.#capacity = capacity;
  }

  /** Takes every head of the first rows to where it lies under another capacity. */
  #move(rows: number, capacity: number): void {
    // In an order in which nothing is written over before it has been moved.
    const heads = Array.from({ length: rows * this.#kvHeads }, (_, head) => head);
    if (capacity > this.#capacity) heads.reverse();
    for (const values of this.#tensors()) {
      for (const head of heads) {
        const used = this.#lengths[Math.floor(head / this.#kvHeads)] * this.#width;
        const from = head * this.#capacity * this.#width;
        values.copyWithin(head * capacity * this.#width, from, from + used);
      }
    }
  }

  /** Lets two rows change places. */
  swap(row: number, other: number): void {
    if (row === other) return;
    const size = this.#capacity * this.#width;
    if (this.#spare.length < size) this.#spare = new Float32Array(size);
    const [used, otherUsed] = [row, other].map((each) => this.#lengths[each] * this.#width);
    for (const values of this.#tensors()) {
      for (let head = 0; head < this.#kvHeads; head++) {
        const at = (row * this.#kvHeads + head) * size;
        const otherAt = (other * this.#kvHeads + head) * size;
        this.#spare.set(values.subarray(at, at + used));
        values.copyWithin(at, otherAt, otherAt + otherUsed);
        values.set(this.#spare.subarray(0, used), otherAt);
      }
    }
    [this.#lengths[row], this.#lengths[other]] = [this.#lengths[other], this.#lengths[row]];
  }

  *#tensors(): Iterable<Float32Array> {
    for (const { key, value } of this.#layers) {
      yield key.float32();
      yield value.float32();
    }
  }

  /** A layer's tensors over `count` rows from `start` on, [count, kvHeads, capacity, D] each. */
  layer(index: number, start: number, count: number): LayerCache & Disposable {
    const shape = [count, this.#kvHeads, this.#capacity, this.#width];
    const offset = start * this.#kvHeads * this.#capacity * this.#width * FLOAT_BYTES;
    const { key, value } = this.#layers[index];
    using stack = new DisposableStack();
    const views = {
      key: stack.use(key.view(offset, shape)),
      value: stack.use(value.view(offset, shape)),
    };
    const owned = stack.move();
    return { ...views, [Symbol.dispose]: () => owned.dispose() };
  }

  /** Releases all memory. */
  [Symbol.dispose](): void {
    for (const { key, value } of this.#layers) {
      key[Symbol.dispose]();
      value[Symbol.dispose]();
    }
  }
}
