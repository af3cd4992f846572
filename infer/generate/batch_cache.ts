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
import { stateBytes, StateCache } from "./state_cache.ts";

/** Capacity is a multiple of this, so that sequences of about the same length share a layout. */
export const CAPACITY_STEP = 256;

const FLOAT_BYTES = 4;

/**
 * Bytes of keys and values that one position of one sequence takes, in all layers with attention; where others
 * carry a state its share of that, of the shortest sequence that has a row.
 */
export function cacheBytesPerPosition(config: ModelConfig): number {
  const attentions = config.layerKinds.filter(({ delta }) => !delta).length;
  return attentions * 2 * config.kvHeads * cacheHeadDim(config) * FLOAT_BYTES +
    Math.ceil(stateBytes(config) / CAPACITY_STEP);
}

/** The cache of a batch. */
export class BatchCache implements Disposable {
  /** The most that rows · capacity may be. */
  readonly positions: number;
  readonly #memory: CacheMemory;
  readonly #states: StateCache;
  /** Where a layer's keys and values stand among those of all; of a layer that carries a state nowhere. */
  readonly #places: readonly (number | undefined)[];
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
    let attentions = 0;
    this.#places = config.layerKinds.map(({ delta }) => delta ? undefined : attentions++);
    const layers = Array.from(
      { length: attentions },
      () => ({ key: allocate(), value: allocate() }),
    );
    this.#states = new StateCache(runtime, config);
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
    if (length === 0) this.#states.clear(row);
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
    if (this.#states.reserve(rows)) this.#version++;
    for (let row = this.#rows; row < rows; row++) this.#states.clear(row);
    this.#lengths = Array.from({ length: rows }, (_, row) => this.#lengths[row] ?? 0);
    this.#rows = rows;
    this.#capacity = capacity;
  }

  /** Lets two rows change places. */
  swap(row: number, other: number): void {
    if (row === other) return;
    this.#memory.swap({ capacity: this.#capacity, lengths: this.#lengths }, row, other);
    this.#states.swap(row, other);
    [this.#lengths[row], this.#lengths[other]] = [this.#lengths[other], this.#lengths[row]];
  }

  /**
   * A layer's keys and values over `count` rows from `start` on, in the shape that {@linkcode CacheMemory} has;
   * none of a layer that carries a state.
   */
  layer(index: number, start: number, count: number): LayerCache & Disposable | undefined {
    const place = this.#places[index];
    if (place === undefined) return undefined;
    return this.#memory.layer(place, { start, count, capacity: this.#capacity });
  }

  /** A layer's states over `count` rows from `start` on, by the names of graph inputs and outputs. */
  states(index: number, start: number, count: number): ReturnType<StateCache["layer"]> {
    return this.#states.layer(index, start, count);
  }

  /** Takes the states that a step over `count` rows from `start` on has written. */
  commitStates(start: number, count: number): void {
    this.#states.commit(start, count);
  }

  /** Releases all memory. */
  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
    this.#states[Symbol.dispose]();
  }
}
