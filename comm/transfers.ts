/**
 * Hands collectives to the worker that runs them.
 *
 * In: arrays and their parts. Out: promises of the seconds that each took.
 */

import type { Worker } from "node:worker_threads";
import type { Collective } from "./comm.ts";
import { SLOTS } from "./heartbeat_worker.ts";
import { KINDS } from "./heartbeats.ts";
import type { MpiHandle } from "./mpi_handles.ts";
import type { MpiLibrary } from "./mpi_library.ts";
import { mpiSymbols } from "./mpi_symbols.ts";
import type { Part } from "./parts.ts";
import { startWorker } from "./start_worker.ts";
import {
  type Transfer,
  TRANSFER_FUNCTIONS,
  type TransferEnd,
  type TransferSetup,
  transferWorker,
} from "./transfer_worker.ts";

/**
 * Bytes of a piece. Sums of 64 MiB between two ranks of one machine took 32 to 38 ms with Open MPI 4.1.4
 * and 32 to 45 ms with MPICH 4.0.2 in pieces of 1 to 16 MiB; 4 MiB was good for both.
 */
const PIECE_BYTES = 4 << 20;

/** Where transfers go. */
export interface TransfersOptions {
  readonly library: MpiLibrary;
  /** A communicator that nothing else uses. */
  readonly comm: MpiHandle;
  readonly rank: number;
  readonly size: number;
  /** Where collectives are written down as they begin. */
  readonly state: BigInt64Array<SharedArrayBuffer>;
  /** Told where the worker cannot go on. */
  readonly onFailure: (message: string) => void;
  /** The error of a function that failed. */
  readonly explain: (what: string, code: number) => Error;
}

/** One collective over an array. */
export interface TransferOptions {
  /** Its number from 1; 0 is none of the caller's. */
  readonly call: number;
  readonly kind: Collective;
  readonly operation: Transfer["operation"];
  /** @default no array */
  readonly values?: ArrayBufferView & {
    readonly length: number;
    readonly BYTES_PER_ELEMENT: number;
  };
  /** @default the whole array */
  readonly parts?: readonly Part[];
  /** @default 0 */
  readonly root?: number;
}

/** The worker's transfers. */
export class Transfers {
  readonly #worker: Worker;
  readonly #library: MpiLibrary;
  readonly #explain: TransfersOptions["explain"];
  /** In the order of their ends; what is in use is kept from being collected. */
  readonly #pending: {
    readonly values: ArrayBufferView | undefined;
    readonly end: PromiseWithResolvers<number>;
  }[] = [];

  /** Starts the worker; needs no permission but `ffi`. */
  constructor({ library, comm, rank, size, state, onFailure, explain }: TransfersOptions) {
    this.#library = library;
    this.#explain = explain;
    const { handles } = library;
    const all = mpiSymbols(handles.handle);
    const setup: TransferSetup = {
      library: library.path,
      symbols: Object.fromEntries(
        TRANSFER_FUNCTIONS.map((name) => [name, all[name]]),
      ) as TransferSetup["symbols"],
      comm,
      rank,
      size,
      sum: handles.sum,
      inPlace: handles.inPlace,
      statusIgnore: handles.statusIgnore,
      procNull: handles.procNull,
      pieceBytes: PIECE_BYTES,
      slots: SLOTS,
      state: state.buffer,
    };
    this.#worker = startWorker(transferWorker, setup);
    this.#worker.on("message", (end: TransferEnd) => this.#onEnd(end));
    this.#worker.on("error", (error: Error) => onFailure(error.message));
  }

  /** Queues a transfer, which the worker begins even while this thread is busy. */
  run({ call, kind, operation, values, parts, root = 0 }: TransferOptions): Promise<number> {
    const { float, double, byte } = this.#library.handles;
    const transfer: Transfer = {
      call,
      kind: KINDS.indexOf(kind),
      operation,
      // An empty array may have no memory.
      address: values?.byteLength ? addressOf(values) : 0n,
      bytes: values?.BYTES_PER_ELEMENT ?? 1,
      type: values instanceof Float32Array ? float : values instanceof Float64Array ? double : byte,
      parts: parts ?? [{ start: 0, count: values?.length ?? 0 }],
      root,
    };
    const end = Promise.withResolvers<number>();
    this.#pending.push({ values, end });
    this.#worker.ref();
    this.#worker.postMessage(transfer);
    return end.promise;
  }

  /** Lets the process end, whatever the worker waits for. */
  leave(): void {
    this.#worker.unref();
  }

  /** Ends the worker, which must have nothing to do. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #onEnd({ seconds, failed }: TransferEnd): void {
    const { end } = this.#pending.shift()!;
    if (this.#pending.length === 0) this.#worker.unref();
    if (failed === undefined) end.resolve(seconds);
    else end.reject(this.#explain(`run ${failed.name}`, failed.code));
  }
}

function addressOf(values: ArrayBufferView): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(values as ArrayBufferView<ArrayBuffer>));
}
