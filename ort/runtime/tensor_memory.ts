/**
 * Memory of a device that is not the host's, as tensors use it.
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";

/** A newly allocated tensor. */
export interface AllocatedTensor {
  /** The OrtValue. */
  readonly value: Deno.PointerObject;
  /** What the device calls the memory: an address on CUDA, a buffer's handle on WebGPU. */
  readonly address: bigint;
}

/** Where bytes begin: that many bytes into the memory of a tensor. */
export interface MemoryStart {
  /** Of the tensor's memory, as {@linkcode AllocatedTensor.address}. */
  readonly address: bigint;
  /** Bytes from there on. */
  readonly offset: number;
  /** Bytes of the tensor. */
  readonly byteLength: number;
}

/** How tensors outside the host's memory are made, written and read. */
export interface TensorMemory {
  /** Whether a view may begin inside a tensor's memory. */
  readonly viewsAtOffset: boolean;
  /** Allocates a tensor; `what` says in an error what for. */
  allocate(dtype: DType, shape: readonly number[], what: string): AllocatedTensor;
  /** Frees what `allocate` gave and releasing its OrtValue does not free. */
  free(address: bigint): void;
  /** Queues a copy of host bytes, which may be changed as soon as this returns. */
  upload(to: MemoryStart, bytes: Uint8Array): void;
  /** Waits for the work that makes them, and copies bytes to the host. */
  download(from: MemoryStart, into: Uint8Array): void;
  /** Queues a copy on the device; the two ranges must not overlap. */
  copy(to: MemoryStart, from: MemoryStart, bytes: number): void;
  /** Queues a fill with zeros. */
  zero(address: bigint, bytes: number): void;
  /**
   * Throws what the device told of since the last call, else what a call of ONNX Runtime was refused
   * with, if one was.
   */
  throwErrors(what: string, refusal?: Error): void;
}
