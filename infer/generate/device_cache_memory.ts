/** A batch's cache on a device whose tensors have no views from an offset on, where graphs move sequences. */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { Scratch } from "../../model/engine/scratch.ts";
import { placeRowsGraph, takeRowsGraph } from "../../model/graphs/row_graphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { type CacheLayout, type CacheMemory, type CacheRows, viewPair } from "./cache_memory.ts";
import type { LayerCache } from "./kv_cache.ts";

/**
 * A cache on a device, as rows of D numbers: [rows·kvHeads·capacity, D]. Graphs move them, and those of a
 * run that does not begin at the first row take all rows and choose.
 */
export class DeviceCacheMemory implements CacheMemory {
  readonly #layers: readonly LayerCache[];
  readonly #kvHeads: number;
  readonly #take: CompiledGraph;
  readonly #place: CompiledGraph;
  readonly #scratch: Scratch;

  /** Compiles what moves rows. */
  constructor(runtime: Runtime, layers: readonly LayerCache[], kvHeads: number, width: number) {
    using stack = new DisposableStack();
    this.#layers = layers;
    this.#kvHeads = kvHeads;
    this.#take = stack.use(new CompiledGraph(runtime, takeRowsGraph(width)));
    this.#place = stack.use(new CompiledGraph(runtime, placeRowsGraph(width)));
    this.#scratch = stack.use(new Scratch(runtime));
    stack.move();
  }

  resize({ capacity: before, lengths }: CacheLayout, capacity: number): void {
    const rows = lengths.flatMap((length, row) => this.#positions(row, before, length));
    this.#move(rows, lengths.flatMap((length, row) => this.#positions(row, capacity, length)));
  }

  swap({ capacity, lengths }: CacheLayout, row: number, other: number): void {
    const places = (a: number, b: number): number[] => [
      ...this.#positions(a, capacity, lengths[row]),
      ...this.#positions(b, capacity, lengths[other]),
    ];
    this.#move(places(row, other), places(other, row));
  }

  /** Where the first `length` positions of a row lie, head by head. */
  #positions(row: number, capacity: number, length: number): number[] {
    return Array.from({ length: this.#kvHeads * length }, (_, i) => {
      const head = row * this.#kvHeads + Math.floor(i / length);
      return head * capacity + i % length;
    });
  }

  /** Takes all of them before any is placed, so that none is written over before it has been moved. */
  #move(from: readonly number[], to: readonly number[]): void {
    const n = from.length;
    if (n === 0) return;
    const ids = this.#scratch.write("from", "int64", [n], BigInt64Array.from(from, BigInt));
    const placed = this.#scratch.write("to", "int64", [n, 1], BigInt64Array.from(to, BigInt));
    for (const tensor of this.#layers.flatMap(({ key, value }) => [key, value])) {
      const [tokens, width] = tensor.shape;
      const rows = this.#scratch.tensor("rows", "float32", [n, width]);
      this.#take.run({ from: tensor, ids, rows }, { tokens, n });
      this.#place.run({ into: tensor, ids: placed, rows }, { tokens, n });
    }
  }

  layer(index: number, { start, count, capacity }: CacheRows): LayerCache & Disposable {
    const rows = (start + count) * this.#kvHeads * capacity;
    return viewPair(this.#layers[index], 0, [rows, this.#layers[index].key.shape[1]]);
  }

  [Symbol.dispose](): void {
    for (const resource of [this.#take, this.#place, this.#scratch]) resource[Symbol.dispose]();
    for (const { key, value } of this.#layers) {
      key[Symbol.dispose]();
      value[Symbol.dispose]();
    }
  }
}
