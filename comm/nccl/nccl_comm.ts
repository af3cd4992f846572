/**
 * Collectives between GPUs by NCCL, beside the stream that computes.
 *
 * In: addresses of device memory; the communicator of the processes, which brings them together. Out: sums
 * and parts on the devices. Nothing is copied to the host.
 *
 * No GPU has run this yet: its calls were tested over stand-ins for libnccl and libcuda
 * (nccl_comm_test.ts).
 */

import { checkRoot } from "../check_arguments.ts";
import type { Comm } from "../comm.ts";
import type { DeviceComm } from "../device_comm.ts";
import { rankParts } from "../parts.ts";
import { CudaStreams, type CudaStreamsOptions } from "./cuda_streams.ts";
import {
  NCCL_FLOAT32,
  NCCL_IN_PROGRESS,
  NCCL_SUM,
  NCCL_UINT8,
  type NcclLibrary,
  type NcclSymbols,
  openNcclLibrary,
  UNIQUE_ID_BYTES,
} from "./nccl_library.ts";

/** Milliseconds between looks at whether the device is done. */
const LOOK = 1;
const FLOAT_BYTES = 4;

/** How NCCL is opened. */
export interface NcclCommOptions extends CudaStreamsOptions {
  /** Path or name of the library. @default libnccl.so.2 */
  readonly libraryPath?: string;
  /** Seconds that `finish` waits, as PyTorch's. @default 1800 */
  readonly timeoutSeconds?: number;
}

type NcclCall = Exclude<keyof NcclSymbols, "ncclGetErrorString" | "ncclGetLastError">;

/**
 * Brings the GPUs of all ranks together. All ranks call it, each with a device of its own; it blocks until
 * all have.
 *
 * @param comm the processes
 * @throws {Error} in one line where a library is missing or refuses
 */
export async function openNcclComm(
  comm: Comm,
  { libraryPath, timeoutSeconds = 1800, ...device }: NcclCommOptions,
): Promise<DeviceComm> {
  const library = openNcclLibrary(libraryPath);
  const streams = new CudaStreams(device);
  const id = new Uint8Array(UNIQUE_ID_BYTES);
  if (comm.rank === 0) check(library, "get an id", library.symbols.ncclGetUniqueId(id));
  await comm.broadcast(id);
  // On this thread, as the current device is the thread's.
  streams.use();
  const handle = new BigUint64Array(1);
  const code = library.symbols.ncclCommInitRank(handle, comm.size, id, comm.rank);
  check(library, `bring ${comm.size} ranks together`, code);
  return new NcclComm(library, {
    streams,
    handle: handle[0],
    rank: comm.rank,
    size: comm.size,
    timeoutSeconds,
  });
}

/** What was opened. */
interface OpenedNccl {
  readonly streams: CudaStreams;
  /** ncclComm_t. */
  readonly handle: bigint;
  readonly rank: number;
  readonly size: number;
  readonly timeoutSeconds: number;
}

class NcclComm implements DeviceComm {
  readonly rank: number;
  readonly size: number;
  readonly name: string;
  readonly #library: NcclLibrary;
  readonly #streams: CudaStreams;
  readonly #handle: bigint;
  readonly #timeoutSeconds: number;
  /** Why there is no communicator any more. */
  #ended: string | undefined;

  constructor(library: NcclLibrary, { streams, handle, rank, size, timeoutSeconds }: OpenedNccl) {
    this.rank = rank;
    this.size = size;
    this.name = library.name;
    this.#library = library;
    this.#streams = streams;
    this.#handle = handle;
    this.#timeoutSeconds = timeoutSeconds;
  }

  allReduceSum(address: bigint, count: number): void {
    if (count === 0) return;
    this.#begin("allReduceSum");
    this.#queue("ncclAllReduce", address, address, count, NCCL_FLOAT32, NCCL_SUM);
  }

  reduceScatterSum(address: bigint, counts: readonly number[]): void {
    const parts = this.#parts("reduceScatterSum", counts, FLOAT_BYTES);
    if (parts.every(({ bytes }) => bytes === 0)) return;
    this.#begin("reduceScatterSum");
    const [{ count }] = parts;
    if (parts.every((each) => each.count === count)) {
      const own = address + BigInt(parts[this.rank].offset);
      this.#queue("ncclReduceScatter", address, own, count, NCCL_FLOAT32, NCCL_SUM);
      return;
    }
    this.#group(parts, (part, root) => {
      const place = address + BigInt(part.offset);
      this.#queue("ncclReduce", place, place, part.count, NCCL_FLOAT32, NCCL_SUM, root);
    });
  }

  allGather(address: bigint, counts: readonly number[], bytesPerElement = FLOAT_BYTES): void {
    const parts = this.#parts("allGather", counts, bytesPerElement);
    if (parts.every(({ bytes }) => bytes === 0)) return;
    this.#begin("allGather");
    const [{ bytes }] = parts;
    if (parts.every((each) => each.bytes === bytes)) {
      const own = address + BigInt(parts[this.rank].offset);
      this.#queue("ncclAllGather", own, address, bytes, NCCL_UINT8);
      return;
    }
    this.#group(parts, (part, root) => {
      const place = address + BigInt(part.offset);
      this.#queue("ncclBroadcast", place, place, part.bytes, NCCL_UINT8, root);
    });
  }

  broadcast(address: bigint, bytes: number, root = 0): void {
    checkRoot(root, this.size);
    if (bytes === 0) return;
    this.#begin("broadcast");
    this.#queue("ncclBroadcast", address, address, bytes, NCCL_UINT8, root);
  }

  join(): void {
    this.#check("join");
    this.#streams.use();
    this.#streams.beforeCompute();
  }

  async finish(): Promise<void> {
    this.#check("finish");
    this.#streams.use();
    this.#streams.mark();
    const until = performance.now() + this.#timeoutSeconds * 1000;
    while (!this.#streams.isDone()) {
      const result = new Int32Array(1);
      this.#call("ncclCommGetAsyncError", this.#handle, result);
      if (result[0] !== NCCL_IN_PROGRESS) this.#verify("run collectives", result[0]);
      if (performance.now() > until) {
        this.#abort(`collectives took longer than ${this.#timeoutSeconds} s`);
        throw new Error(`Cannot finish: ${this.#ended}`);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK));
      this.#check("finish");
      // Other work of this thread may have changed it.
      this.#streams.use();
    }
  }

  /** Frees the communicator; what was queued must be finished. */
  [Symbol.dispose](): void {
    const isOpen = this.#ended === undefined;
    if (this.#ended === "it is closed") return;
    this.#ended = "it is closed";
    this.#streams.use();
    if (isOpen) this.#library.symbols.ncclCommDestroy(this.#handle);
    this.#streams[Symbol.dispose]();
  }

  #parts(what: string, counts: readonly number[], bytesPerElement: number) {
    const { size } = this;
    const length = counts.reduce((sum, count) => sum + count, 0);
    return rankParts(what, counts, { size, length }).map(({ start, count }) => ({
      count,
      offset: start * bytesPerElement,
      bytes: count * bytesPerElement,
    }));
  }

  #begin(what: string): void {
    this.#check(what);
    this.#streams.use();
    this.#streams.afterCompute();
  }

  /** One launch for the parts of all ranks, each with its rank as the root. */
  #group<Part extends { readonly bytes: number }>(
    parts: readonly Part[],
    queue: (part: Part, root: number) => void,
  ): void {
    this.#call("ncclGroupStart");
    parts.forEach((part, root) => part.bytes > 0 && queue(part, root));
    this.#call("ncclGroupEnd");
  }

  #queue(name: NcclCall, ...args: readonly (number | bigint)[]): void {
    this.#call(name, ...args, this.#handle, this.#streams.stream);
  }

  #call(name: NcclCall, ...args: readonly unknown[]): void {
    const call = this.#library.symbols[name] as (...args: readonly unknown[]) => number;
    this.#verify(`run ${name}`, call(...args));
  }

  /** After an error other ranks wait for this one: aborting ends the kernels that wait on this device. */
  #verify(what: string, code: number): void {
    try {
      check(this.#library, what, code, this.#handle);
    } catch (error) {
      this.#abort((error as Error).message);
      throw error;
    }
  }

  #abort(why: string): void {
    this.#ended = why;
    this.#library.symbols.ncclCommAbort(this.#handle);
  }

  #check(what: string): void {
    if (this.#ended === undefined) return;
    throw new Error(`Cannot ${what}: the communicator has ended: ${this.#ended}`);
  }
}

function check({ name, symbols }: NcclLibrary, what: string, code: number, handle = 0n): void {
  if (code === 0) return;
  const says = [symbols.ncclGetErrorString(code), symbols.ncclGetLastError?.(handle)]
    .map((text) => text ? Deno.UnsafePointerView.getCString(text).trim() : "")
    .filter((text) => text !== "");
  throw new Error(`Cannot ${what}: ${name} says: ${says.join(": ")} (error ${code})`);
}
