/**
 * One CUDA device: a stream of ours, memory on it, and copies to and from the host.
 *
 * In: a device index. Out: allocations by address, and copies and fills queued on the stream. Every
 * session runs on that same stream, so all of it happens in the order of the calls, and the host
 * waits only where it reads.
 */

import { loadFault } from "../../internal/load_fault.ts";
import { OutParameter } from "./api.ts";
import { limitCublasWorkspace } from "./cublas_workspace.ts";
import { plural } from "../../internal/plural.ts";

// cudaMemcpyKind, cudaStreamNonBlocking, cudaEventDisableTiming of driver_types.h.
const HOST_TO_DEVICE = 1;
const DEVICE_TO_HOST = 2;
const DEVICE_TO_DEVICE = 3;
const STREAM_NON_BLOCKING = 1;
const EVENT_DISABLE_TIMING = 2;
const OUT_OF_MEMORY = 2;

// Pinned host memory that uploads pass through. While one half is copied by the device the other
// one is filled, so the host waits only where it is a whole half ahead.
const STAGING_HALF = 1 << 22;
const GRAIN = 256;

// Newest first: a machine may have both, and both speak to the same driver.
const RUNTIMES = ["libcudart.so.13", "libcudart.so.12"];
const DRIVER = "libcuda.so.1";

const call = (...parameters: Deno.NativeType[]) => ({ parameters, result: "i32" } as const);

const SYMBOLS = {
  cudaGetDeviceCount: call("buffer"),
  cudaSetDevice: call("i32"),
  cudaGetErrorString: { parameters: ["i32"], result: "pointer" },
  cudaStreamCreateWithFlags: call("buffer", "u32"),
  cudaStreamDestroy: call("pointer"),
  cudaStreamSynchronize: call("pointer"),
  cudaEventCreateWithFlags: call("buffer", "u32"),
  cudaEventRecord: call("pointer", "pointer"),
  cudaEventSynchronize: call("pointer"),
  cudaEventDestroy: call("pointer"),
  cudaMalloc: call("buffer", "usize"),
  cudaFree: call("usize"),
  cudaMallocHost: call("buffer", "usize"),
  cudaFreeHost: call("usize"),
  cudaMemcpyAsync: call("usize", "usize", "usize", "i32", "pointer"),
  cudaMemsetAsync: call("usize", "i32", "usize", "pointer"),
  cudaMemGetInfo: call("buffer", "buffer"),
} as const;

type CudaCall = Exclude<keyof typeof SYMBOLS, "cudaGetErrorString">;
type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

/** What the CUDA libraries are and where they come from, for errors. */
export const CUDA_LIBRARIES =
  "the CUDA 13 libraries (or 12, whichever the provider was built for) from NVIDIA's toolkit, or " +
  "`pip install nvidia-cuda-runtime nvidia-cublas nvidia-curand` (for CUDA 12 the names end in " +
  "-cu12), with their lib folders in LD_LIBRARY_PATH";

/** Memory of a device, in bytes. */
export interface DeviceMemory {
  /** What tensors hold now: long-lived memory that is not an arena's. */
  readonly tensors: number;
  /** The most that tensors held at once. */
  readonly tensorsPeak: number;
  /** The least memory seen free on the device, which other programs may share. */
  readonly leastFree: number;
  /** What was taken of the device since it was opened, at the most: tensors, arenas, libraries. */
  readonly usedPeak: number;
  /** All memory of the device. */
  readonly total: number;
}

/** Pinned host memory in two halves, each with an event that says when its copies are done. */
interface Staging {
  readonly address: bigint;
  readonly halves: readonly { readonly bytes: Uint8Array; readonly event: Deno.PointerObject }[];
  half: number;
  used: number;
}

/** Devices that are open, and by how many runtimes. */
const opened = new Map<number, { readonly cuda: Cuda; users: number }>();

/**
 * An opened CUDA device. Most callers want `Tensor`, which works on every device.
 *
 * All runtimes of a process share it, since their sessions share ONNX Runtime's arena: memory that one
 * session has given back may be used by the next one before the GPU is done with it, which is right
 * only on one and the same stream.
 */
export class Cuda implements Disposable {
  /** Number of the device, as in `cuda:0`. */
  readonly index: number;
  /** The cudaStream_t that everything is queued on. */
  readonly stream: Deno.PointerObject;
  readonly #library: Library;
  readonly #sizes = new Map<bigint, number>();
  readonly #freeAtStart: number;
  readonly #total: number;
  #staging: Staging | undefined;
  #readback: { readonly address: bigint; readonly bytes: Uint8Array } | undefined;
  #tensors = 0;
  #tensorsPeak = 0;
  #leastFree: number;
  #disposed = false;

  /**
   * Opens the driver and CUDA's runtime library and makes a stream, or gives what is open already.
   *
   * @throws {Error} one line that names what is missing and how to get it
   */
  static open(index: number): Cuda {
    const open = opened.get(index) ?? { cuda: new Cuda(index), users: 0 };
    open.users++;
    opened.set(index, open);
    return open.cuda;
  }

  private constructor(index: number) {
    this.index = index;
    limitCublasWorkspace();
    this.#library = openLibraries(index);
    const count = countDevices(this.#library, index);
    if (index >= count) {
      throw new RangeError(
        `Cannot use device cuda:${index}: this machine has ${count} CUDA ` +
          `${plural(count, "device")}; pass --device cuda:0 or --device cpu`,
      );
    }
    this.#call("cudaSetDevice", `open device cuda:${index}`, index);
    const stream = new OutParameter();
    this.#call("cudaStreamCreateWithFlags", "make a stream", stream.bytes, STREAM_NON_BLOCKING);
    this.stream = stream.pointer!;
    const { free, total } = this.#memoryInfo();
    this.#freeAtStart = this.#leastFree = free;
    this.#total = total;
  }

  #call(name: CudaCall, what: string, ...args: unknown[]): void {
    const code = this.#raw(name, ...args);
    if (code === 0) return;
    throw new Error(`Cannot ${what}: CUDA's ${name} says: ${explain(this.#library, code)}`);
  }

  #raw(name: CudaCall, ...args: unknown[]): number {
    return (this.#library.symbols[name] as (...args: unknown[]) => number)(...args);
  }

  #memoryInfo(): { free: number; total: number } {
    const free = new OutParameter();
    const total = new OutParameter();
    this.#call("cudaMemGetInfo", "ask for free memory", free.bytes, total.bytes);
    return { free: Number(free.address), total: Number(total.address) };
  }

  /**
   * Memory on the device; its contents are undefined.
   *
   * @throws {Error} saying how much is free where there is not enough
   */
  allocate(bytes: number): bigint {
    const out = new OutParameter();
    const size = Math.max(1, bytes);
    const code = this.#raw("cudaMalloc", out.bytes, size);
    if (code === OUT_OF_MEMORY) {
      throw this.#shortage(`allocate ${mebibytes(bytes)}`);
    }
    if (code !== 0) {
      throw new Error(
        `Cannot allocate ${bytes} bytes on cuda:${this.index}: CUDA's cudaMalloc says: ` +
          explain(this.#library, code),
      );
    }
    this.#sizes.set(out.address, size);
    this.#tensors += size;
    this.#tensorsPeak = Math.max(this.#tensorsPeak, this.#tensors);
    return out.address;
  }

  /** The error of a graph that found no memory for what it computes; undefined of any other error. */
  explainShortage(cause: Error, what: string): Error | undefined {
    // bfc_arena.cc of ONNX Runtime, and CUDA's own words.
    if (!/Failed to allocate memory|out of memory|BFCArena/i.test(cause.message)) return undefined;
    return this.#shortage(what, cause);
  }

  #shortage(what: string, cause?: Error): Error {
    const { free, total } = this.#memoryInfo();
    return new Error(
      `Cannot ${what} on cuda:${this.index}: out of memory: ${mebibytes(free)} of ` +
        `${mebibytes(total)} is free, and ortune's tensors hold ${mebibytes(this.#tensors)}; ` +
        "train shorter rows or fewer of them at once, an adapter, or a smaller model",
      { cause },
    );
  }

  /** Frees memory of {@linkcode Cuda.allocate}; CUDA waits for what still uses it. */
  free(address: bigint): void {
    if (this.#disposed) return;
    this.#tensors -= this.#sizes.get(address) ?? 0;
    this.#sizes.delete(address);
    this.#call("cudaFree", "free memory of the device", address);
  }

  /** Queues a copy of host bytes; they may be changed as soon as this returns. */
  upload(to: bigint, data: Uint8Array): void {
    const staging = this.#staging ??= this.#makeStaging();
    for (let done = 0; done < data.byteLength;) {
      if (staging.used >= STAGING_HALF) this.#nextHalf(staging);
      const count = Math.min(data.byteLength - done, STAGING_HALF - staging.used);
      const { bytes } = staging.halves[staging.half];
      bytes.set(data.subarray(done, done + count), staging.used);
      const from = staging.address + BigInt(staging.half * STAGING_HALF + staging.used);
      this.#copy(to + BigInt(done), from, count, HOST_TO_DEVICE);
      staging.used += Math.ceil(count / GRAIN) * GRAIN;
      done += count;
    }
  }

  #nextHalf(staging: Staging): void {
    const what = "wait for an upload";
    this.#call("cudaEventRecord", what, staging.halves[staging.half].event, this.stream);
    staging.half ^= 1;
    staging.used = 0;
    this.#call("cudaEventSynchronize", what, staging.halves[staging.half].event);
  }

  #makeStaging(): Staging {
    const address = this.#pinned(2 * STAGING_HALF);
    const halves = [0, 1].map((half) => {
      const event = new OutParameter();
      this.#call("cudaEventCreateWithFlags", "make an event", event.bytes, EVENT_DISABLE_TIMING);
      return {
        bytes: hostBytes(address + BigInt(half * STAGING_HALF), STAGING_HALF),
        event: event.pointer!,
      };
    });
    return { address, halves, half: 0, used: 0 };
  }

  #pinned(bytes: number): bigint {
    const out = new OutParameter();
    this.#call("cudaMallocHost", "allocate pinned host memory", out.bytes, bytes);
    return out.address;
  }

  /** Waits for all that was queued, and copies memory of the device to the host. */
  download(from: bigint, into: Uint8Array): void {
    if (!this.#readback) {
      const address = this.#pinned(STAGING_HALF);
      this.#readback = { address, bytes: hostBytes(address, STAGING_HALF) };
    }
    const { address, bytes } = this.#readback;
    for (let done = 0; done < into.byteLength; done += STAGING_HALF) {
      const count = Math.min(into.byteLength - done, STAGING_HALF);
      this.#copy(address, from + BigInt(done), count, DEVICE_TO_HOST);
      this.synchronize();
      into.set(bytes.subarray(0, count), done);
    }
  }

  /** Queues a copy on the device; the two must not overlap. */
  copy(to: bigint, from: bigint, bytes: number): void {
    this.#copy(to, from, bytes, DEVICE_TO_DEVICE);
  }

  #copy(to: bigint, from: bigint, bytes: number, kind: number): void {
    if (bytes === 0) return;
    this.#call("cudaMemcpyAsync", `copy ${bytes} bytes`, to, from, bytes, kind, this.stream);
  }

  /** Queues a fill with zeros. */
  zero(address: bigint, bytes: number): void {
    if (bytes === 0) return;
    this.#call("cudaMemsetAsync", `zero ${bytes} bytes`, address, 0, bytes, this.stream);
  }

  /** Waits until all that was queued is done. */
  synchronize(): void {
    this.#call("cudaStreamSynchronize", `finish work on cuda:${this.index}`, this.stream);
  }

  /**
   * What is used of the device's memory. Arenas never shrink, so a call after any step of a run
   * sees its peak.
   */
  memory(): DeviceMemory {
    this.#leastFree = Math.min(this.#leastFree, this.#memoryInfo().free);
    return {
      tensors: this.#tensors,
      tensorsPeak: this.#tensorsPeak,
      leastFree: this.#leastFree,
      usedPeak: Math.max(this.#freeAtStart - this.#leastFree, this.#tensorsPeak),
      total: this.#total,
    };
  }

  /**
   * Frees all memory and the stream, if no other runtime uses them; tensors and sessions on the device
   * must be gone by then.
   */
  [Symbol.dispose](): void {
    const open = opened.get(this.index);
    if (this.#disposed || !open || --open.users > 0) return;
    opened.delete(this.index);
    this.synchronize();
    this.#disposed = true;
    for (const address of this.#sizes.keys()) this.#raw("cudaFree", address);
    for (const { event } of this.#staging?.halves ?? []) this.#raw("cudaEventDestroy", event);
    if (this.#staging) this.#raw("cudaFreeHost", this.#staging.address);
    if (this.#readback) this.#raw("cudaFreeHost", this.#readback.address);
    this.#raw("cudaStreamDestroy", this.stream);
  }
}

/**
 * How many CUDA devices this process sees.
 *
 * @throws {Error} one line that names what is missing and how to get it
 */
export function countCudaDevices(): number {
  return countDevices(openLibraries(0), 0);
}

function countDevices(library: Library, index: number): number {
  const count = new Int32Array(1);
  const found = library.symbols.cudaGetDeviceCount(count);
  if (found === 0) return count[0];
  throw new Error(
    `Cannot use device cuda:${index}: CUDA finds no GPU: ${explain(library, found)}; see what ` +
      "`nvidia-smi` says: the driver must be as new as the CUDA libraries, or pass --device cpu",
  );
}

function explain({ symbols }: Library, code: number): string {
  const text = symbols.cudaGetErrorString(code);
  return `${text ? Deno.UnsafePointerView.getCString(text) : "unknown error"} (error ${code})`;
}

function openLibraries(index: number): Library {
  const use = `Cannot use device cuda:${index}`;
  if (Deno.build.os !== "linux") {
    throw new Error(`${use}: CUDA is supported on Linux only; pass --device cpu`);
  }
  try {
    Deno.dlopen(DRIVER, {});
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(
      `${use}: NVIDIA's driver library ${DRIVER} is missing (${loadFault(cause)}); install the ` +
        "driver of your GPU, or in a container pass the GPU through, or pass --device cpu",
      { cause },
    );
  }
  const reasons: string[] = [];
  for (const name of RUNTIMES) {
    try {
      return Deno.dlopen(name, SYMBOLS);
    } catch (cause) {
      reasons.push(loadFault(cause));
    }
  }
  throw new Error(
    `${use}: CUDA's runtime library is missing (${reasons.join("; ")}); install ` +
      `${CUDA_LIBRARIES}, or pass --device cpu`,
  );
}

function hostBytes(address: bigint, bytes: number): Uint8Array {
  const pointer = Deno.UnsafePointer.create(address)!;
  return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, bytes));
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
