/**
 * A tensor that owns memory on a device, as an OrtValue.
 *
 * In: dtype and shape. Out: memory that graphs are bound to, copies to and from the host and, on the
 * CPU, a typed array over the same bytes.
 *
 * @module
 */

import { byteWidth, type DType, elementCount } from "../tensor/dtype.ts";
import { onnxDataType } from "../tensor/onnx_dtype.ts";
import { OutParameter } from "./api.ts";
import { type Device, deviceName, deviceTraits, sameDevice } from "./device.ts";
import type { Runtime } from "./runtime.ts";
import type { MemoryStart, TensorMemory } from "./tensor_memory.ts";
import { wrapMemory } from "./wrap_memory.ts";

/**
 * A tensor in a device's memory. Views made by {@linkcode Tensor.view} share it.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { Tensor } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * using matrix = Tensor.from(runtime, "float32", [2, 2], Float32Array.of(1, 2, 3, 4));
 * using row = matrix.view(8, [2]);
 * row.float32()[0] = 30;
 * assert.deepEqual([...matrix.float32()], [1, 2, 30, 4]);
 * // On any device: copies to and from the host.
 * matrix.write(Float32Array.of(5, 6), 0);
 * const values = new Float32Array(4);
 * matrix.read(values);
 * assert.deepEqual([...values], [5, 6, 30, 4]);
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
  /** The memory's device, where it is not the host's. */
  readonly #tensors: TensorMemory | undefined;
  /** Whether the memory is freed with the tensor: a device's, where this is no view. */
  readonly #owns: boolean;
  #alive = true;

  private constructor(
    runtime: Runtime,
    pointer: Deno.PointerObject,
    address: bigint,
    { dtype, shape, device, tensors, owns = false }: {
      dtype: DType;
      shape: readonly number[];
      device: Device;
      tensors?: TensorMemory;
      owns?: boolean;
    },
  ) {
    this.#runtime = runtime;
    this.#pointer = pointer;
    this.#address = address;
    this.dtype = dtype;
    this.shape = shape;
    this.device = device;
    this.#tensors = tensors;
    this.#owns = owns;
    this.byteLength = elementCount(shape) * byteWidth(dtype);
  }

  /** The OrtValue, for binding. */
  get pointer(): Deno.PointerObject {
    this.#assertAlive();
    return this.#pointer;
  }

  /** Where the memory begins, for native code; on a device it is the device's own address or handle. */
  get address(): bigint {
    this.#assertAlive();
    return this.#address;
  }

  /**
   * Allocates a tensor; its contents are undefined until written.
   *
   * @throws {RangeError} on a device that the runtime was not opened for
   * @throws {Error} where there is not enough memory
   */
  static allocate(
    runtime: Runtime,
    dtype: DType,
    shape: readonly number[],
    device: Device = runtime.device,
  ): Tensor {
    const what = `allocate a ${dtype} tensor of shape [${shape}]`;
    const { tensors } = runtime.place(device);
    if (tensors) {
      const { value, address } = tensors.allocate(dtype, shape, what);
      return new Tensor(runtime, value, address, { dtype, shape, device, tensors, owns: true });
    }
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

  /** Allocates a tensor and copies host data into it. */
  static from(
    runtime: Runtime,
    dtype: DType,
    shape: readonly number[],
    data: ArrayBufferView,
    device: Device = runtime.device,
  ): Tensor {
    const tensor = Tensor.allocate(runtime, dtype, shape, device);
    tensor.write(data);
    return tensor;
  }

  /**
   * A tensor over part of this one's memory, from byte `offset` on. The memory stays this
   * tensor's: dispose of the view first.
   *
   * @throws {RangeError} outside of the tensor, or from an offset on webgpu, where a tensor is a
   *   buffer of its own
   */
  view(offset: number, shape: readonly number[], dtype: DType = this.dtype): Tensor {
    this.#assertAlive();
    const length = elementCount(shape) * byteWidth(dtype);
    if (offset < 0 || offset + length > this.byteLength) {
      throw new RangeError(
        `Cannot view bytes ${offset} to ${offset + length} of a tensor of ${this.byteLength} bytes`,
      );
    }
    const { device } = this;
    const tensors = this.#tensors;
    if (offset > 0 && tensors?.viewsAtOffset === false) {
      throw new RangeError(
        `Cannot view a tensor on ${
          deviceName(device)
        } from byte ${offset} on: a tensor there is one ` +
          "buffer, which graphs use from its start; give each part a tensor of its own",
      );
    }
    const address = this.#address + BigInt(offset);
    const { memory } = this.#runtime.place(device);
    const what = `view a ${dtype} tensor of shape [${shape}]`;
    const value = wrapMemory(this.#runtime.api, { memory, address, dtype, shape }, what);
    return new Tensor(this.#runtime, value, address, { dtype, shape, device, tensors });
  }

  /** The tensor's own bytes; they dangle once it is disposed of. CPU only. */
  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer());
  }

  /** The tensor's own float32 elements; they dangle once it is disposed of. CPU only. */
  float32(): Float32Array<ArrayBuffer> {
    this.#assertType("float32");
    return new Float32Array(this.#buffer());
  }

  /** The tensor's own int64 elements; they dangle once it is disposed of. CPU only. */
  int64(): BigInt64Array<ArrayBuffer> {
    this.#assertType("int64");
    return new BigInt64Array(this.#buffer());
  }

  /** The tensor's own int32 elements; they dangle once it is disposed of. CPU only. */
  int32(): Int32Array<ArrayBuffer> {
    this.#assertType("int32");
    return new Int32Array(this.#buffer());
  }

  /**
   * Copies host data in, which may be changed as soon as this returns. Without an offset it must
   * have the tensor's byte length.
   *
   * @param offset first byte to write to
   */
  write(data: ArrayBufferView, offset?: number): void {
    this.#assertAlive();
    const start = offset ?? 0;
    if (
      offset === undefined
        ? data.byteLength !== this.byteLength
        : start < 0 || start + data.byteLength > this.byteLength
    ) {
      throw new RangeError(
        `Cannot write ${data.byteLength} bytes into a ${this.dtype} tensor of shape ` +
          `[${this.shape}]${start ? ` from byte ${start} on` : ""}: it holds ${this.byteLength}`,
      );
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (this.#tensors) this.#tensors.upload(this.#from(start), bytes);
    else this.bytes().set(bytes, start);
  }

  /**
   * Copies bytes out to the host, and waits for the work that makes them.
   *
   * @param into how many bytes, and where they go
   * @param offset first byte to read
   */
  read(into: ArrayBufferView, offset = 0): void {
    this.#assertAlive();
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    if (offset < 0 || offset + bytes.byteLength > this.byteLength) {
      throw new RangeError(
        `Cannot read bytes ${offset} to ${offset + bytes.byteLength} of a tensor of ` +
          `${this.byteLength} bytes`,
      );
    }
    if (this.#tensors) this.#tensors.download(this.#from(offset), bytes);
    else bytes.set(this.bytes().subarray(offset, offset + bytes.byteLength));
  }

  /**
   * The float32 elements on the host: on the CPU the tensor's own, which a later run may change, of
   * a device a copy.
   */
  hostFloat32(): Float32Array<ArrayBuffer> {
    if (deviceTraits(this.device).hostMemory) return this.float32();
    this.#assertType("float32");
    const copy = new Float32Array(elementCount(this.shape));
    this.read(copy);
    return copy;
  }

  /**
   * Copies bytes of a tensor on the same device; the two ranges must not overlap.
   *
   * @param bytes how many; @default all of the source
   */
  copyFrom(
    source: Tensor,
    { from = 0, to = 0, bytes = source.byteLength - from }: {
      readonly from?: number;
      readonly to?: number;
      readonly bytes?: number;
    } = {},
  ): void {
    this.#assertAlive();
    source.#assertAlive();
    const outside = Math.min(from, to, bytes) < 0 || from + bytes > source.byteLength ||
      to + bytes > this.byteLength;
    if (outside || !sameDevice(this.device, source.device)) {
      throw new RangeError(
        `Cannot copy ${bytes} bytes from byte ${from} of ${source.byteLength} on ` +
          `${deviceName(source.device)} to byte ${to} of ${this.byteLength} on ` +
          deviceName(this.device),
      );
    }
    if (this.#tensors) this.#tensors.copy(this.#from(to), source.#from(from), bytes);
    else this.bytes().set(source.bytes().subarray(from, from + bytes), to);
  }

  /** Sets every byte to 0. */
  zero(): void {
    this.#assertAlive();
    if (this.#tensors) this.#tensors.zero(this.#address, this.byteLength);
    else this.bytes().fill(0);
  }

  #from(offset: number): MemoryStart {
    return { address: this.#address, offset, byteLength: this.byteLength };
  }

  #buffer(): ArrayBuffer {
    this.#assertAlive();
    if (!deviceTraits(this.device).hostMemory) {
      throw new TypeError(
        `Cannot view a tensor on ${deviceName(this.device)} as host memory: copy with read() and ` +
          "write()",
      );
    }
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
    if (this.#owns) this.#tensors?.free(this.#address);
  }
}
