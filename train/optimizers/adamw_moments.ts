/**
 * AdamW's two moments, in the layout of the parameters they belong to.
 *
 * In: a layout. Out: two stores of zeros, and their state under torch's names for checkpoints.
 */

import {
  LAYOUT_BLOCK,
  type ParameterLayout,
  ParameterStore,
  type ParameterStoreOptions,
} from "../../model/engine/parameter_store.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import { checkTensorRange } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";

// Bytes read from a file at a time on their way to a device.
const CHUNK_BYTES = 1 << 24;

const NAMES = ["exp_avg", "exp_avg_sq"] as const;
/** What follows a moment's name in the name of its scales, which are the whole layout's. */
const SCALES = ".scales";

/** How moments are kept. */
export interface AdamWMomentsOptions extends ParameterStoreOptions {
  /**
   * Whether there is a float32 for each block of 256 of them, which the kernels' 8-bit codes are
   * relative to.
   * @default false
   */
  readonly scaled?: boolean;
}

/** Moments, under torch's names. */
export class AdamWMoments implements Disposable {
  /** Of the gradient. */
  readonly exp_avg: ParameterStore;
  /** Of its square. */
  readonly exp_avg_sq: ParameterStore;
  /** float32 [length / 256] of each, where they are scaled. */
  readonly scales: Readonly<Record<typeof NAMES[number], Tensor>> | undefined;

  /** Allocates both as zeros. */
  constructor(runtime: Runtime, layout: ParameterLayout, options: AdamWMomentsOptions = {}) {
    this.exp_avg = new ParameterStore(runtime, layout, options);
    this.exp_avg_sq = new ParameterStore(runtime, layout, options);
    for (const store of this.#stores().values()) store.flat.zero();
    if (!options.scaled) return;
    const scales = (): Tensor => {
      const shape = [layout.length / LAYOUT_BLOCK];
      const made = Tensor.allocate(runtime, "float32", shape, options.device);
      made.zero();
      return made;
    };
    this.scales = { exp_avg: scales(), exp_avg_sq: scales() };
  }

  #stores(): ReadonlyMap<string, ParameterStore> {
    return new Map([["exp_avg", this.exp_avg], ["exp_avg_sq", this.exp_avg_sq]]);
  }

  /**
   * Both under `<parameter>.exp_avg` and `<parameter>.exp_avg_sq`, and their scales, if any, under
   * `exp_avg.scales` and `exp_avg_sq.scales`: blocks go across parameters.
   */
  state(): TensorSource {
    const scales = new Map(
      this.scales ? NAMES.map((name) => [name + SCALES, this.scales![name]]) : [],
    );
    const find = (name: string): [ParameterStore, string] => {
      const dot = name.lastIndexOf(".");
      const store = this.#stores().get(name.slice(dot + 1));
      if (!store) throw new RangeError(`Cannot find optimizer state ${name}`);
      return [store, name.slice(0, dot)];
    };
    return {
      names: (): readonly string[] => [
        ...this.exp_avg.names().flatMap((name) => [`${name}.exp_avg`, `${name}.exp_avg_sq`]),
        ...scales.keys(),
      ],
      info: (name: string): TensorInfo => {
        const tensor = scales.get(name);
        if (tensor) return { dtype: tensor.dtype, shape: tensor.shape };
        const [store, parameter] = find(name);
        return store.info(parameter);
      },
      // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
      read: async (name: string, into: Uint8Array, offset = 0): Promise<void> => {
        const tensor = scales.get(name);
        if (tensor) {
          checkTensorRange(name, tensor.byteLength, into, offset);
          return tensor.read(into, offset);
        }
        const [store, parameter] = find(name);
        return store.read(parameter, into, offset);
      },
    };
  }

  /** Takes both from a source that {@linkcode AdamWMoments.state} was written to. */
  async load(source: TensorSource): Promise<void> {
    for (const [moment, store] of this.#stores()) await loadStore(store, source, `.${moment}`);
    for (const [moment, tensor] of Object.entries(this.scales ?? {})) {
      await loadTensor(tensor, source, moment + SCALES);
    }
  }

  /** Releases both. */
  [Symbol.dispose](): void {
    for (const store of this.#stores().values()) store[Symbol.dispose]();
    for (const tensor of Object.values(this.scales ?? {})) tensor[Symbol.dispose]();
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
  for (const name of store.names()) await loadTensor(store.tensor(name), source, name + suffix);
}

async function loadTensor(tensor: Tensor, source: TensorSource, name: string): Promise<void> {
  const info = source.info(name);
  if (info.dtype !== tensor.dtype || info.shape.join() !== tensor.shape.join()) {
    throw new Error(
      `Cannot load optimizer state ${name}: it is ${info.dtype} [${info.shape}], ` +
        `expected ${tensor.dtype} [${tensor.shape}]`,
    );
  }
  if (tensor.device.kind === "cpu") return await source.read(name, tensor.bytes());
  const width = byteWidth(tensor.dtype);
  const staging = new Uint8Array(Math.min(tensor.byteLength, CHUNK_BYTES - CHUNK_BYTES % width));
  for (let start = 0; start < tensor.byteLength; start += staging.byteLength) {
    const piece = staging.subarray(0, Math.min(staging.byteLength, tensor.byteLength - start));
    await source.read(name, piece, start);
    tensor.write(piece, start);
  }
}
