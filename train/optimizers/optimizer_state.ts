/**
 * What an optimizer keeps of its parameters from update to update, in their layout.
 *
 * In: a layout and names, such as `exp_avg`. Out: a store of zeros a name, and all of them as a
 * `TensorSource` for checkpoints, under torch's names.
 */

import {
  LAYOUT_BLOCK,
  layoutParameters,
  type ParameterLayout,
  ParameterStore,
  type ParameterStoreOptions,
} from "../../model/engine/parameter_store.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import { checkTensorRange } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { UpdateState } from "./update_state.ts";

// Bytes read from a file at a time on their way to a device: whole elements of any type.
const CHUNK_BYTES = 1 << 24;

/** What follows a name in that of its scales, which are the whole layout's. */
export const SCALES = ".scales";

/** Shapes of what is kept of a parameter, by names in checkpoints. */
export type StateShapes = (
  parameter: ParameterSpec,
) => Readonly<Partial<Record<string, readonly number[]>>>;

/** What is kept, and how. */
export interface OptimizerStateOptions extends ParameterStoreOptions {
  /** What of each parameter: `<parameter>.<name>` in checkpoints, in this order. */
  readonly names: readonly string[];
  /** What is kept of a parameter, in which shape, by those names. @default all, each of its own shape */
  readonly shapes?: StateShapes;
  /**
   * Whether there is a float32 for each block of 256 elements, which the kernels' 8-bit codes are
   * relative to.
   * @default false
   */
  readonly scaled?: boolean;
}

/** The state of an optimizer. */
export class OptimizerState implements UpdateState {
  readonly #parameters: readonly string[];
  readonly #stores: ReadonlyMap<string, ParameterStore>;
  readonly #scales: ReadonlyMap<string, Tensor>;

  /** Allocates all of it as zeros. */
  constructor(
    runtime: Runtime,
    layout: ParameterLayout,
    { names, shapes, scaled = false, ...options }: OptimizerStateOptions,
  ) {
    this.#parameters = layout.specs.map(({ name }) => name);
    this.#stores = new Map(names.flatMap((name) => {
      const kept = shapes ? layoutOf(layout, name, shapes) : layout;
      // Of no parameter at all there is nothing to allocate.
      return kept.length === 0 ? [] : [[name, new ParameterStore(runtime, kept, options)]];
    }));
    for (const store of this.#stores.values()) store.zero();
    this.#scales = new Map((scaled ? names : []).map((name) => {
      const shape = [layout.length / LAYOUT_BLOCK];
      const scales = Tensor.allocate(runtime, "float32", shape, options.device);
      scales.zero();
      return [name, scales];
    }));
  }

  /** All of one name, in the layout of the parameters. */
  store(name: string): ParameterStore {
    return this.#stores.get(name)!;
  }

  view(name: string, start: number, length: number): Tensor {
    const { flat } = this.store(name);
    return flat.view(start * byteWidth(flat.dtype), [length]);
  }

  scales(name: string, start: number, length: number): Tensor | undefined {
    const tensor = this.#scales.get(name);
    const at = start / LAYOUT_BLOCK * byteWidth("float32");
    return tensor?.view(at, [length / LAYOUT_BLOCK]);
  }

  /**
   * Every parameter's under `<parameter>.<name>`, and the scales, if any, under `<name>.scales`: blocks
   * go across parameters.
   */
  source(): TensorSource {
    const stores = this.#stores;
    const scales = new Map([...this.#scales].map(([name, tensor]) => [name + SCALES, tensor]));
    const find = (name: string): [ParameterStore, string] => {
      const dot = name.lastIndexOf(".");
      const store = stores.get(name.slice(dot + 1));
      if (!store) throw new RangeError(`Cannot find optimizer state ${name}`);
      return [store, name.slice(0, dot)];
    };
    const names = this.#parameters.flatMap((name) =>
      [...stores].filter(([, { layout }]) => layout.offsets.has(name))
        .map(([kept]) => `${name}.${kept}`)
    );
    return {
      names: (): readonly string[] => [...names, ...scales.keys()],
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

  /** Takes all from a source that {@linkcode OptimizerState.source} was written to. */
  async load(source: TensorSource): Promise<void> {
    for (const [name, store] of this.#stores) await loadStore(store, source, `.${name}`);
    for (const [name, tensor] of this.#scales) await loadTensor(tensor, source, name + SCALES);
  }

  /** Releases all memory. */
  [Symbol.dispose](): void {
    for (const store of this.#stores.values()) store[Symbol.dispose]();
    for (const tensor of this.#scales.values()) tensor[Symbol.dispose]();
  }
}

/** What is kept under one name, in the order of the parameters. */
function layoutOf(
  { specs }: ParameterLayout,
  name: string,
  shapes: StateShapes,
): ParameterLayout {
  return layoutParameters(specs.flatMap((spec) => {
    const shape = shapes(spec)[name];
    return shape ? [{ ...spec, shape }] : [];
  }));
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

/** Refuses state of another dtype or shape. */
export function assertStateInfo(name: string, found: TensorInfo, expected: TensorInfo): void {
  if (found.dtype === expected.dtype && found.shape.join() === expected.shape.join()) return;
  throw new Error(
    `Cannot load optimizer state ${name}: it is ${found.dtype} [${found.shape}], ` +
      `expected ${expected.dtype} [${expected.shape}]`,
  );
}

/** Fills a tensor with one of the very same dtype and shape. */
export async function loadTensor(
  tensor: Tensor,
  source: TensorSource,
  name: string,
): Promise<void> {
  assertStateInfo(name, source.info(name), tensor);
  await writePieces(tensor, (into, offset) => source.read(name, into, offset));
}

/**
 * Fills a tensor, wherever it is, from what is read piece by piece.
 *
 * @param read fills `into` from byte `offset` of the tensor on
 */
export async function writePieces(
  tensor: Tensor,
  read: (into: Uint8Array, offset: number) => Promise<void>,
): Promise<void> {
  if (deviceTraits(tensor.device).hostMemory) return await read(tensor.bytes(), 0);
  if (!deviceTraits(tensor.device).viewsAtOffset) {
    const all = new Uint8Array(tensor.byteLength);
    await read(all, 0);
    return tensor.write(all);
  }
  const staging = new Uint8Array(Math.min(tensor.byteLength, CHUNK_BYTES));
  for (let start = 0; start < tensor.byteLength; start += staging.byteLength) {
    const piece = staging.subarray(0, Math.min(staging.byteLength, tensor.byteLength - start));
    await read(piece, start);
    tensor.write(piece, start);
  }
}
