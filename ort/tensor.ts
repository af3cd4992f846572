/**
 * A tensor that owns memory on a device, as an OrtValue.
 *
 * In: dtype and shape. Out: memory that graphs are bound to and, on the CPU, a typed array over the
 * same bytes.
 *
 * @module
 */

import { byteWidth, type DType, elementCount } from "../tensor/dtype.ts";
import { onnxDataType } from "../tensor/onnx_dtype.ts";
import { OutParameter } from "./api.ts";
import { assertSupported, cpu, type Device } from "./device.ts";
import type { Runtime } from "./runtime.ts";

/**
 * A tensor in a device's memory. Views made by {@linkcode Tensor.view} share it.
 *
 * @example
 * ```ts
 * import { Runtime, Tensor } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * using matrix = Tensor.from(runtime, "float32", [2, 2], Float32Array.of(1, 2, 3, 4));
 * using row = matrix.view(8, [2]);
 * row.float32()[0] = 30;
 * assert.deepEqual([...matrix.float32()], [1, 2, 30, 4]);
 * ```
 */
export class Tensor implements Disposable {
  /** Type of the elements. */
  readonly dtype: DType;
  /** Sizes, outermost first; [] is a scalar. */
  readonly shape: readonly number[];
  /** Where the memory lies. */
  readonly device: Device;
  /** Bytes of all elements. */
  readonly byteLength: number;
  readonly #pointer: Deno.PointerObject;
  readonly #runtime: Runtime;
  readonly #address: bigint;
  #alive = true;

  private constructor(
    runtime: Runtime,
    pointer: Deno.PointerObject,
    address: bigint,
    { dtype, shape, device }: { dtype: DType; shape: readonly number[]; device: Device },
  ) {
    this.#runtime = runtime;
    this.#pointer = pointer;
    this.#address = address;
    this.dtype = dtype;
    this.shape = shape;
    this.device = device;
    this.byteLength = elementCount(shape) * byteWidth(dtype);
  }

  /** The OrtValue, for binding. */
  get pointer(): Deno.PointerObject {
    this.#assertAlive();
    return this.#pointer;
  }

  /** Allocates a tensor; its contents are undefined until written. */
  static allocate(
    runtime: Runtime,
    dtype: DType,
    shape: readonly number[],
    device: Device = cpu,
  ): Tensor {
    assertSupported(device);
    const what = `allocate a ${dtype} tensor of shape [${shape}]`;
    const value = runtime.api.create(
      "CreateTensorAsOrtValue",
      what,
      runtime.cpuAllocator,
      BigInt64Array.from(shape, BigInt),
      shape.length,
      onnxDataType(dtype),
    );
    const data = new OutParameter();
    runtime.api.call("GetTensorMutableData", what, value, data.bytes);
    return new Tensor(runtime, value, data.address, { dtype, shape, device });
  }

  /** Allocates a CPU tensor and copies `data` into it. */
  static from(
    runtime: Runtime,
    dtype: DType,
    shape: readonly number[],
    data: ArrayBufferView,
  ): Tensor {
    const tensor = Tensor.allocate(runtime, dtype, shape);
    tensor.write(data);
    return tensor;
  }

  /**
   * A tensor over part of this one's memory, from byte `offset` on. The memory stays this
   * tensor's: dispose of the view first.
   */
  view(offset: number, shape: readonly number[], dtype: DType = this.dtype): Tensor {
    this.#assertAlive();
    const length = elementCount(shape) * byteWidth(dtype);
    if (offset < 0 || offset + length > this.byteLength) {
      throw new RangeError(
        `Cannot view bytes ${offset} to ${offset + length} of a tensor of ${this.byteLength} bytes`,
      );
    }
    const address = this.#address + BigInt(offset);
    const value = this.#runtime.api.create(
      "CreateTensorWithDataAsOrtValue",
      `view a ${dtype} tensor of shape [${shape}]`,
      this.#runtime.cpuMemory,
      Deno.UnsafePointer.create(address),
      length,
      BigInt64Array.from(shape, BigInt),
      shape.length,
      onnxDataType(dtype),
    );
    return new Tensor(this.#runtime, value, address, { dtype, shape, device: this.device });
  }

  /** The tensor's own bytes; they dangle once it is disposed of. */
  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer());
  }

  /** The tensor's own float32 elements; they dangle once it is disposed of. */
  float32(): Float32Array<ArrayBuffer> {
    this.#assertType("float32");
    return new Float32Array(this.#buffer());
  }

  /** The tensor's own int64 elements; they dangle once it is disposed of. */
  int64(): BigInt64Array<ArrayBuffer> {
    this.#assertType("int64");
    return new BigInt64Array(this.#buffer());
  }

  /** The tensor's own int32 elements; they dangle once it is disposed of. */
  int32(): Int32Array<ArrayBuffer> {
    this.#assertType("int32");
    return new Int32Array(this.#buffer());
  }

  /** Copies host data of the same byte length in. */
  write(data: ArrayBufferView): void {
    if (data.byteLength !== this.byteLength) {
      throw new RangeError(
        `Cannot write ${data.byteLength} bytes into a ${this.dtype} tensor of shape ` +
          `[${this.shape}]: it holds ${this.byteLength}`,
      );
    }
    this.bytes().set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  #buffer(): ArrayBuffer {
    this.#assertAlive();
    if (this.byteLength === 0) return new ArrayBuffer(0);
    const pointer = Deno.UnsafePointer.create(this.#address)!;
    return Deno.UnsafePointerView.getArrayBuffer(pointer, this.byteLength);
  }

  #assertType(dtype: DType): void {
    if (this.dtype === dtype) return;
    throw new TypeError(`Cannot read a ${this.dtype} tensor as ${dtype}`);
  }

  #assertAlive(): void {
    if (!this.#alive) throw new ReferenceError("Cannot use a tensor: it was disposed of");
  }

  /** Frees the memory, or of a view only the view. */
  [Symbol.dispose](): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#runtime.api.raw("ReleaseValue", this.#pointer);
  }
}
