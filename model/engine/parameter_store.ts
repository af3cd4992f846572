/**
 * Tensors of a model in one flat allocation: parameters, and in the same layout their gradients and
 * moments. On a device where no tensor may lie inside another one's memory each has its own, and so it
 * has where they are of more than one type.
 *
 * In: specs. Out: a tensor a name, a flat view that optimizers chunk, and a `TensorSource` for
 * writers.
 *
 * @module
 */

import type { Runtime } from "../../ort/runtime/runtime.ts";
import { type Device, deviceName, deviceTraits } from "../../ort/runtime/device.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, type DType, elementCount } from "../../ort/tensor/dtype.ts";
import { checkTensorRange, missingTensorError } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { ParameterSpec } from "../parts/parameter_spec.ts";

// Floats in a cache line: each tensor starts on one.
const ALIGNMENT = 16;
/** Both runs of a layout, decaying and not, are whole blocks of this many elements. */
export const LAYOUT_BLOCK = 256;

/** Where each tensor lies in a flat allocation. */
export interface ParameterLayout {
  /** Every tensor, in the order of the checkpoint. */
  readonly specs: readonly ParameterSpec[];
  /** First element of each tensor, by name. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Elements that weight decay applies to: they come first. */
  readonly decaying: number;
  /** Elements in all, gaps between tensors included. */
  readonly length: number;
}

/**
 * Lays tensors out: those that decay first, so that an optimizer sees two runs of elements.
 *
 * @example
 * ```ts
 * import { layoutParameters } from "@ortune/ortune/model";
 * import assert from "node:assert/strict";
 *
 * const { offsets, decaying, length } = layoutParameters([
 *   { name: "norm", shape: [8], decays: false },
 *   { name: "weight", shape: [4, 8], decays: true },
 * ]);
 * assert.deepEqual([...offsets], [["weight", 0], ["norm", 256]]);
 * assert.deepEqual([decaying, length], [256, 512]);
 * ```
 */
export function layoutParameters(specs: readonly ParameterSpec[]): ParameterLayout {
  const offsets = new Map<string, number>();
  let length = 0;
  let decaying = 0;
  for (const decays of [true, false]) {
    for (const spec of specs) {
      if (spec.decays !== decays) continue;
      offsets.set(spec.name, length);
      length = roundUp(length + elementCount(spec.shape), ALIGNMENT);
    }
    length = roundUp(length, LAYOUT_BLOCK);
    if (decays) decaying = length;
  }
  return { specs, offsets, decaying, length };
}

/** How a {@linkcode ParameterStore} is allocated. */
export interface ParameterStoreOptions {
  /** Type of the elements. @default "float32" */
  readonly dtype?: DType;
  /** Tensors of another type, by name; each tensor of the store has its own memory then. @default none */
  readonly dtypes?: ReadonlyMap<string, DType>;
  /** Where the memory lies. @default the runtime's device */
  readonly device?: Device;
}

/**
 * One flat allocation and the tensors in it, or on a device without views, and with tensors of more than
 * one type, an allocation a tensor.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { layoutParameters, ParameterStore } from "@ortune/ortune/model";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * const layout = layoutParameters([{ name: "weight", shape: [1, 2], decays: true }]);
 * using store = new ParameterStore(runtime, layout);
 * store.tensor("weight").float32().set([1, 2]);
 * assert.deepEqual([...store.flat.float32().subarray(0, 2)], [1, 2]);
 * assert.deepEqual(store.info("weight"), { dtype: "float32", shape: [1, 2] });
 * ```
 */
export class ParameterStore implements TensorSource, Disposable {
  /** Where each tensor lies in {@linkcode ParameterStore.flat}. */
  readonly layout: ParameterLayout;
  /** Type of the elements, but for tensors that were given one of their own. */
  readonly dtype: DType;
  /** Where the memory lies. */
  readonly device: Device;
  readonly #flat: Tensor | undefined;
  readonly #tensors = new Map<string, Tensor>();
  /** A tensor that is being read in pieces, where no piece can be read alone. */
  #readBack: { readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;

  /** Allocates the store. The tensors hold whatever was in memory; the gaps between them are 0. */
  constructor(
    runtime: Runtime,
    layout: ParameterLayout,
    { dtype = "float32", dtypes = new Map(), device = runtime.device }: ParameterStoreOptions = {},
  ) {
    this.layout = layout;
    this.dtype = dtype;
    this.device = device;
    if (!deviceTraits(device).viewsAtOffset || dtypes.size > 0) {
      using allocated = new DisposableStack();
      for (const { name, shape } of layout.specs) {
        const own = dtypes.get(name) ?? dtype;
        const tensor = allocated.use(Tensor.allocate(runtime, own, shape, device));
        this.#tensors.set(name, tensor);
      }
      allocated.move();
      return;
    }
    const flat = this.#flat = Tensor.allocate(runtime, dtype, [layout.length], device);
    const width = byteWidth(dtype);
    const shapes = new Map(layout.specs.map(({ name, shape }) => [name, shape]));
    for (const [name, offset] of layout.offsets) {
      this.#tensors.set(name, flat.view(offset * width, shapes.get(name)!));
    }
    this.zeroGaps();
  }

  /**
   * All elements, [layout.length].
   *
   * @throws {RangeError} where each tensor has its own memory
   */
  get flat(): Tensor {
    if (this.#flat) return this.#flat;
    throw new RangeError(
      `Cannot take parameters on ${
        deviceName(this.device)
      } as one tensor: each is a buffer of its own`,
    );
  }

  /** Bytes of all memory. */
  get byteLength(): number {
    if (this.#flat) return this.#flat.byteLength;
    return this.#tensors.values().reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Whether it holds a tensor of that name. */
  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** The tensor of a parameter. */
  tensor(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw missingTensorError(name, [...this.#tensors.keys()], "the model");
    return tensor;
  }

  /**
   * Parameters that lie one after the other as one tensor, row after row.
   *
   * @param names in the order of the layout; their rows are of one shape
   * @throws {Error} where there is a gap between two
   */
  stacked(names: readonly string[]): Tensor {
    const key = names.join();
    let stack = this.#tensors.get(key);
    if (stack) return stack;
    const parts = names.map((name) => this.tensor(name));
    names.forEach((name, i) => {
      const end = this.layout.offsets.get(name)! + elementCount(parts[i].shape);
      if (i + 1 < names.length && this.layout.offsets.get(names[i + 1]) !== end) {
        throw new Error(
          `Cannot stack ${names[i + 1]} on ${name}: it does not begin where that ends`,
        );
      }
    });
    const [{ dtype, shape: [, ...row] }] = parts;
    const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0);
    const start = this.layout.offsets.get(names[0])! * byteWidth(dtype);
    this.#tensors.set(key, stack = this.flat.view(start, [rows, ...row]));
    return stack;
  }

  /** Sets what lies between tensors to 0: it takes part in flat arithmetic. */
  zeroGaps(): void {
    const { layout: { offsets, length } } = this;
    const width = byteWidth(this.dtype);
    const starts = [...offsets.values(), length];
    [...offsets].forEach(([name, offset], i) => {
      const end = offset + elementCount(this.tensor(name).shape);
      if (end === starts[i + 1]) return;
      using gap = this.flat.view(end * width, [starts[i + 1] - end]);
      gap.zero();
    });
  }

  /** Sets all elements to 0. */
  zero(): void {
    if (this.#flat) this.#flat.zero();
    else for (const tensor of this.#tensors.values()) tensor.zero();
  }

  names(): readonly string[] {
    return this.layout.specs.map((spec) => spec.name);
  }

  info(name: string): TensorInfo {
    const { dtype, shape } = this.tensor(name);
    return { dtype, shape };
  }

  // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
  async read(name: string, into: Uint8Array, offset = 0): Promise<void> {
    const tensor = this.tensor(name);
    checkTensorRange(name, tensor.byteLength, into, offset);
    const { viewsAtOffset } = deviceTraits(this.device);
    if (viewsAtOffset || offset === 0 && into.byteLength === tensor.byteLength) {
      return tensor.read(into, offset);
    }
    // Read from its start on only: pieces of one read after the other are those of one moment.
    if (offset === 0 || this.#readBack?.name !== name) {
      const bytes = new Uint8Array(tensor.byteLength);
      tensor.read(bytes);
      this.#readBack = { name, bytes };
    }
    const end = offset + into.byteLength;
    into.set(this.#readBack!.bytes.subarray(offset, end));
    if (end === tensor.byteLength) this.#readBack = undefined;
  }

  /** Releases all memory; no tensor or view of it may be used afterwards. */
  [Symbol.dispose](): void {
    for (const tensor of this.#tensors.values()) tensor[Symbol.dispose]();
    this.#flat?.[Symbol.dispose]();
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
