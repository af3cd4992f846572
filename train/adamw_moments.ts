/**
 * AdamW's two moments, in the layout of the parameters they belong to.
 *
 * In: a layout. Out: two stores of zeros, and their state under torch's names for checkpoints.
 */

import {
  type ParameterLayout,
  ParameterStore,
  type ParameterStoreOptions,
} from "../engine/parameter_store.ts";
import type { Runtime } from "../ort/runtime.ts";
import { byteWidth } from "../tensor/dtype.ts";
import type { TensorInfo, TensorSource } from "../tensor/tensor_source.ts";

// Bytes read from a file at a time on their way to a device.
const CHUNK_BYTES = 1 << 24;

/** Moments, under torch's names. */
export class AdamWMoments implements Disposable {
  /** Of the gradient. */
  readonly exp_avg: ParameterStore;
  /** Of its square. */
  readonly exp_avg_sq: ParameterStore;

  /** Allocates both as zeros. */
  constructor(runtime: Runtime, layout: ParameterLayout, options: ParameterStoreOptions = {}) {
    this.exp_avg = new ParameterStore(runtime, layout, options);
    this.exp_avg_sq = new ParameterStore(runtime, layout, options);
    for (const store of this.#stores().values()) store.flat.zero();
  }

  #stores(): ReadonlyMap<string, ParameterStore> {
    return new Map([["exp_avg", this.exp_avg], ["exp_avg_sq", this.exp_avg_sq]]);
  }

  /** Both under `<parameter>.exp_avg` and `<parameter>.exp_avg_sq`. */
  state(): TensorSource {
    const find = (name: string): [ParameterStore, string] => {
      const dot = name.lastIndexOf(".");
      const store = this.#stores().get(name.slice(dot + 1));
      if (!store) throw new RangeError(`Cannot find optimizer state ${name}`);
      return [store, name.slice(0, dot)];
    };
    return {
      names: (): readonly string[] =>
        this.exp_avg.names().flatMap((name) => [`${name}.exp_avg`, `${name}.exp_avg_sq`]),
      info: (name: string): TensorInfo => {
        const [store, parameter] = find(name);
        return store.info(parameter);
      },
      // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
      read: async (name: string, into: Uint8Array, offset?: number): Promise<void> => {
        const [store, parameter] = find(name);
        return store.read(parameter, into, offset);
      },
    };
  }

  /** Takes both from a source that {@linkcode AdamWMoments.state} was written to. */
  async load(source: TensorSource): Promise<void> {
    for (const [moment, store] of this.#stores()) await loadStore(store, source, `.${moment}`);
  }

  /** Releases both. */
  [Symbol.dispose](): void {
    for (const store of this.#stores().values()) store[Symbol.dispose]();
  }
}

/**
 * Fills a store with optimizer state of the very same dtype and shapes.
 *
 * @param suffix what follows a parameter's name in the source
 */
export async function loadStore(
  store: ParameterStore,
  source: TensorSource,
  suffix: string,
): Promise<void> {
  for (const name of store.names()) {
    const info = source.info(name + suffix);
    const tensor = store.tensor(name);
    if (info.dtype !== tensor.dtype || info.shape.join() !== tensor.shape.join()) {
      throw new Error(
        `Cannot load optimizer state ${name}${suffix}: it is ${info.dtype} [${info.shape}], ` +
          `expected ${tensor.dtype} [${tensor.shape}]`,
      );
    }
    if (tensor.device.kind === "cpu") {
      await source.read(name + suffix, tensor.bytes());
      continue;
    }
    const width = byteWidth(tensor.dtype);
    const staging = new Uint8Array(Math.min(tensor.byteLength, CHUNK_BYTES - CHUNK_BYTES % width));
    for (let start = 0; start < tensor.byteLength; start += staging.byteLength) {
      const piece = staging.subarray(0, Math.min(staging.byteLength, tensor.byteLength - start));
      await source.read(name + suffix, piece, start);
      tensor.write(piece, start);
    }
  }
}
