/**
 * Buffers that are reused from run to run and only ever grow: hidden states, gradients of
 * activations.
 *
 * In: a name and a shape. Out: a tensor over the start of that name's buffer.
 */

import type { Device } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, type DType, elementCount } from "../../ort/tensor/dtype.ts";

/**
 * Named buffers.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { Scratch } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * using scratch = new Scratch(runtime);
 * const hidden = scratch.tensor("hidden", "float32", [2, 16]);
 * assert.equal(scratch.tensor("hidden", "float32", [2, 16]), hidden);
 * ```
 */
export class Scratch implements Disposable {
  readonly #runtime: Runtime;
  readonly #device: Device;
  readonly #buffers = new Map<string, { buffer: Tensor; view?: Tensor }>();

  /** No buffer is allocated until it is asked for. */
  constructor(runtime: Runtime, device: Device = runtime.device) {
    this.#runtime = runtime;
    this.#device = device;
  }

  /** A tensor of this shape in the buffer; the previous tensor of that name becomes invalid. */
  tensor(name: string, dtype: DType, shape: readonly number[]): Tensor {
    const bytes = Math.max(1, elementCount(shape)) * byteWidth(dtype);
    const entry = this.#buffers.get(name);
    if (entry?.view && entry.view.dtype === dtype && entry.view.shape.join() === shape.join()) {
      return entry.view;
    }
    entry?.view?.[Symbol.dispose]();
    const buffer = this.atLeast(name, bytes);
    const view = buffer.view(0, shape, dtype);
    this.#buffers.set(name, { buffer, view });
    return view;
  }

  /** The buffer of that name, of at least this many bytes, for views of the caller's own. */
  atLeast(name: string, bytes: number): Tensor {
    let entry = this.#buffers.get(name);
    if (!entry || entry.buffer.byteLength < bytes) {
      entry?.view?.[Symbol.dispose]();
      entry?.buffer[Symbol.dispose]();
      entry = { buffer: Tensor.allocate(this.#runtime, "uint8", [bytes], this.#device) };
      this.#buffers.set(name, entry);
    }
    return entry.buffer;
  }

  /** The same, filled from host data. */
  write(name: string, dtype: DType, shape: readonly number[], data: ArrayBufferView): Tensor {
    const tensor = this.tensor(name, dtype, shape);
    tensor.write(data);
    return tensor;
  }

  /** Releases all buffers, and with them every tensor given out. */
  [Symbol.dispose](): void {
    for (const { buffer, view } of this.#buffers.values()) {
      view?.[Symbol.dispose]();
      buffer[Symbol.dispose]();
    }
    this.#buffers.clear();
  }
}
