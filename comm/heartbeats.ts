/**
 * Watches over the other ranks from a worker, and tells it what this rank does.
 *
 * In: each collective as it begins. Out: a run that ends where a rank hangs or is gone, and a closing that
 * all ranks take part in.
 */

import { Worker } from "node:worker_threads";
import type { Collective } from "./comm.ts";
import {
  type HeartbeatEnd,
  type HeartbeatSetup,
  heartbeatWorker,
  SLOTS,
  WATCH_FUNCTIONS,
} from "./heartbeat_worker.ts";
import type { MpiHandle } from "./mpi_handles.ts";
import type { MpiLibrary } from "./mpi_library.ts";
import { mpiSymbols } from "./mpi_symbols.ts";

const KINDS: readonly Collective[] = [
  "allReduceSum",
  "reduceScatterSum",
  "allGather",
  "broadcast",
  "barrier",
];

/** What is watched, and how. */
export interface HeartbeatsOptions {
  readonly library: MpiLibrary;
  /** A communicator that nothing else uses. */
  readonly comm: MpiHandle;
  readonly rank: number;
  /** Each rank in words. */
  readonly names: readonly string[];
  readonly cLibrary: string | undefined;
  readonly parent: number | undefined;
  readonly periodSeconds: number;
  readonly silenceSeconds: number;
  /** Told where heartbeats can no longer be sent. */
  readonly onFailure: (message: string) => void;
}

/** Heartbeats of this rank. */
export class Heartbeats {
  readonly #state = new BigInt64Array(new SharedArrayBuffer(8 * Object.keys(SLOTS).length));
  readonly #names: readonly string[];
  readonly #worker: Worker;
  readonly #end = Promise.withResolvers<HeartbeatEnd>();

  /** Starts the worker; needs no permission but `ffi`. */
  constructor({ library, names, onFailure, ...options }: HeartbeatsOptions) {
    this.#names = names;
    const { handle, ...handles } = library.handles;
    const all = mpiSymbols(handle);
    const setup: HeartbeatSetup = {
      ...options,
      library: library.path,
      symbols: Object.fromEntries(
        WATCH_FUNCTIONS.map((name) => [name, all[name]]),
      ) as HeartbeatSetup["symbols"],
      names,
      world: handles.world,
      byte: handles.byte,
      anySource: handles.anySource,
      statusIgnore: handles.statusIgnore,
      kinds: KINDS,
      slots: SLOTS,
      state: this.#state.buffer,
    };
    const source = 'import { parentPort } from "node:worker_threads";' +
      `(${heartbeatWorker})(parentPort);`;
    this.#worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
    this.#worker.on("message", (end: HeartbeatEnd) => {
      if (end.kind === "failed") onFailure(end.message);
      else this.#end.resolve(end);
    });
    this.#worker.on("error", (error: Error) => onFailure(error.message));
    // A process that forgets to close ends nevertheless, which its communicator notices.
    this.#worker.unref();
    this.#worker.postMessage(setup);
  }

  /** Says that a collective begins, by its number from 1. */
  begin(call: number, kind: Collective): void {
    Atomics.store(this.#state, SLOTS.kind, BigInt(KINDS.indexOf(kind)));
    Atomics.store(this.#state, SLOTS.begun, BigInt(call));
  }

  /** Which rank a call waits for, where one is known. */
  explainWait(call: number): string | undefined {
    const rank = Number(Atomics.load(this.#state, SLOTS.lastRank));
    const begun = Number(Atomics.load(this.#state, SLOTS.lastBegun));
    if (begun >= call) return undefined;
    return `${this.#names[rank]} has not joined it, and is at collective ${begun}`;
  }

  /**
   * Waits until all ranks close, after the same collectives.
   *
   * @returns what is wrong where another rank waits for this one instead
   */
  async close(): Promise<string | undefined> {
    this.#worker.ref();
    Atomics.store(this.#state, SLOTS.closing, 1n);
    Atomics.add(this.#state, SLOTS.wake, 1n);
    Atomics.notify(this.#state, SLOTS.wake);
    const end = await this.#end.promise;
    await this.#worker.terminate();
    return end.kind === "closed" ? undefined : end.message;
  }
}
