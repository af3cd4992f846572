/**
 * Keys and values of several sequences at once, within a fixed amount of memory.
 *
 * In: a config and a number of positions. Out: for each layer, tensors over any run of rows, that the
 * decode graph writes in place. Rows and capacity change as sequences join and leave; rows · capacity
 * never exceeds the positions there is memory for.
 */

import { deviceTraits } from "../../ort/runtime/device.ts";
import { cacheHeadDim } from "../../model/graphs/decode_graphs.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { CacheMemory } from "./cache_memory.ts";
import { DeviceCacheMemory } from "./device_cache_memory.ts";
import { HostCacheMemory } from "./host_cache_memory.ts";
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
  readonly #memory: CacheMemory;
  #rows = 0;
  #capacity = 0;
  #lengths: number[] = [];
  #version = 0;

  /** Allocates memory for all positions; the system gives it as it is written to. */
  constructor(runtime: Runtime, config: ModelConfig, positions: number) {
    this.positions = positions;
    const { kvHeads } = config;
    const { hostMemory } = deviceTraits(runtime.device);
    const width = hostMemory ? cacheHeadDim(config) : config.headDim;
    using stack = new DisposableStack();
    const shape = [positions * kvHeads, width];
    const allocate = () => stack.use(Tensor.allocate(runtime, "float32", shape));
    const layers = Array.from(
      { length: config.layers },
      () => ({ key: allocate(), value: allocate() }),
    );
    this.#memory = hostMemory
      ? new HostCacheMemory(layers, kvHeads, width)
      : new DeviceCacheMemory(runtime, layers, kvHeads, width);
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
      const lengths = this.#lengths.slice(0, Math.min(rows, this.#rows));
      this.#memory.resize({ capacity: this.#capacity, lengths }, capacity);
      this.#version++;
    }
    this.#lengths = Array.from({ length: rows }, (_, row) => this.#lengths[row] ?? 0);
    this.#rows = rows;
    this.#capacity = capacity;
  }

  /** Lets two rows change places. */
  swap(row: number, other: number): void {
    if (row === other) return;
    this.#memory.swap({ capacity: this.#capacity, lengths: this.#lengths }, row, other);
    [this.#lengths[row], this.#lengths[other]] = [this.#lengths[other], this.#lengths[row]];
  }

  /** A layer's tensors over `count` rows from `start` on, in the shape that {@linkcode CacheMemory} has. */
  layer(index: number, start: number, count: number): LayerCache & Disposable {
    return this.#memory.layer(index, { start, count, capacity: this.#capacity });
  }

  /** Releases all memory. */
  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
  }
}
