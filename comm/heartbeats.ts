/**
 * Watches over the other ranks from a worker.
 *
 * In: what this rank's collectives write down as they begin. Out: a run that ends where a rank hangs or
 * is gone, and a closing that all ranks take part in.
 */

import type { Worker } from "node:worker_threads";
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
import { startWorker } from "./start_worker.ts";

/** Collectives by the number that workers tell each other. */
export const KINDS: readonly Collective[] = [
  "allReduceSum",
  "reduceScatterSum",
  "allGather",
  "broadcast",
  "barrier",
];

/** Memory for {@linkcode SLOTS}, which all threads of a rank share. */
export function sharedState(): BigInt64Array<SharedArrayBuffer> {
  return new BigInt64Array(new SharedArrayBuffer(8 * Object.keys(SLOTS).length));
}

/** What is watched, and how. */
export interface HeartbeatsOptions {
  readonly library: MpiLibrary;
  /** A communicator that nothing else uses. */
  readonly comm: MpiHandle;
  /** Where this rank's collectives are written down as they begin. */
  readonly state: BigInt64Array<SharedArrayBuffer>;
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
  readonly #state: BigInt64Array<SharedArrayBuffer>;
  readonly #names: readonly string[];
  readonly #worker: Worker;
  readonly #end = Promise.withResolvers<HeartbeatEnd>();

  /** Starts the worker; needs no permission but `ffi`. */
  constructor({ library, names, state, onFailure, ...options }: HeartbeatsOptions) {
    this.#state = state;
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
      state: state.buffer,
    };
    this.#worker = startWorker(heartbeatWorker, setup);
    this.#worker.on("message", (end: HeartbeatEnd) => {
      if (end.kind === "failed") onFailure(end.message);
      else this.#end.resolve(end);
    });
    this.#worker.on("error", (error: Error) => onFailure(error.message));
  }

  /** Which rank a call waits for, where one is known. */
  explainWait(call: number): string | undefined {
    const rank = Number(Atomics.load(this.#state, SLOTS.lastRank));
    const begun = Number(Atomics.load(this.#state, SLOTS.lastBegun));
    if (begun >= call) return undefined;
    return `${this.#names[rank]} has not joined it, and is at collective ${begun}`;
  }

  /**
   * Waits until all ranks close, after the same collectives. The worker stays, to limit what comes after.
   *
   * @returns what is wrong where another rank waits for this one instead
   */
  async close(): Promise<string | undefined> {
    this.#worker.ref();
    Atomics.store(this.#state, SLOTS.closing, 1n);
    Atomics.add(this.#state, SLOTS.wake, 1n);
    Atomics.notify(this.#state, SLOTS.wake);
    const end = await this.#end.promise;
    this.#worker.unref();
    return end.kind === "closed" ? undefined : end.message;
  }

  /** Lets the worker end the process with this code, if it has not ended by itself in a few seconds. */
  limitLeaving(exitCode: number): void {
    Atomics.store(this.#state, SLOTS.leaving, BigInt(exitCode + 1));
    Atomics.notify(this.#state, SLOTS.leaving);
  }
}
