/**
 * Collectives by MPI.
 *
 * In: arrays of this process, also views of native memory; nothing of them is copied but pieces of a few
 * megabytes. Out: MPI's sums and parts, while this thread computes.
 *
 * A worker runs them in pieces, so no count exceeds MPI's 32 bits. Sums for all are MPI_Allreduce's,
 * which Open MPI and MPICH make the same to the bit on every rank (tests/mpi_test.ts). Parts go around a
 * ring of neighbours, in place: each rank sends and receives (p − 1)/p of the array, which is the least
 * (Patarasuk and Yuan 2009, J. Parallel Distrib. Comput. 69). MPI_Reduce_scatter would need a second
 * array.
 */

import { C_LIBRARY } from "./c_library.ts";
import { CallQueue } from "./call_queue.ts";
import { checkRoot, checkSummands } from "./check_arguments.ts";
import type { Comm, CommTraffic } from "./comm.ts";
import { Heartbeats, sharedState } from "./heartbeats.ts";
import type { MpiHandle } from "./mpi_handles.ts";
import { type MpiLibrary, openMpiLibrary } from "./mpi_library.ts";
import type { MpiLaunch } from "./mpi_launch.ts";
import { type Part, rankParts } from "./parts.ts";
import { Transfers } from "./transfers.ts";

/** MPI_MAX_ERROR_STRING and MPI_MAX_PROCESSOR_NAME are at most this in all libraries. */
const TEXT_BYTES = 512;
/** Seconds after which the system ends a process that MPI_Abort did not. */
const ABORT_LIMIT = 5;
/**
 * Seconds after which the system ends a process that waits for others to join, before heartbeats can tell of them:
 * MPI_Init holds this thread, and returns when all are there.
 */
const JOIN_LIMIT = 120;
/** Milliseconds that the launcher has to pass on a message. */
const STDERR_TIME = 200;
/** What a timer of 31 bits of milliseconds can wait for. */
const MOST_SECONDS = 2_000_000;

const C_SYMBOLS = {
  getppid: { parameters: [], result: "i32" },
  alarm: { parameters: ["u32"], result: "u32" },
} as const;

/** How the ranks of a run watch each other. */
export interface MpiCommOptions {
  /** Path or name of the library (scripts pass ORTUNE_MPI_LIB). @default the launcher's, by its usual names */
  readonly libraryPath?: string;
  /** Seconds that one collective may take, as PyTorch's. @default 1800 */
  readonly timeoutSeconds?: number;
  /** Seconds between the heartbeats of a rank. @default 2 */
  readonly heartbeatSeconds?: number;
  /** Seconds without a heartbeat after which a rank counts as hung and the run ends. @default 20 */
  readonly silenceSeconds?: number;
}

/** Whether MPI was opened in this process, which it can be once. */
let opened = false;

/**
 * Opens MPI. Use `openComm`, which finds out whether it is needed.
 *
 * @throws {Error} one line that says what is missing or wrong
 */
export async function openMpiComm(
  { launch, ...options }: MpiCommOptions & { readonly launch?: MpiLaunch } = {},
): Promise<Comm> {
  if (opened) throw new Error("Cannot open MPI again: a process can do so once");
  checkTimes(options);
  const library = openMpiLibrary({ libraryPath: options.libraryPath, launch });
  opened = true;
  const libc = openCLibrary();
  libc?.alarm(JOIN_LIMIT);
  initialize(library);
  const world = {
    rank: worldNumber(library, "MPI_Comm_rank"),
    size: worldNumber(library, "MPI_Comm_size"),
  };
  if (launch?.size !== undefined && launch.size !== world.size) {
    throw new Error(
      `Cannot use ${library.name} (${library.path}): ${launch.launcher} started ${launch.size} ` +
        `processes, but the library sees ${world.size}; start with the library's own mpirun, under Slurm ` +
        "with `srun --mpi=pmix`, or let ORTUNE_MPI_LIB name the launcher's library",
    );
  }
  const comm = new MpiComm(library, world, options);
  await comm.open();
  libc?.alarm(0);
  return comm;
}

function openCLibrary(): Deno.DynamicLibrary<typeof C_SYMBOLS>["symbols"] | undefined {
  const path = C_LIBRARY[Deno.build.os];
  return path === undefined ? undefined : Deno.dlopen(path, C_SYMBOLS).symbols;
}

function checkTimes(
  { timeoutSeconds = 1800, heartbeatSeconds = 2, silenceSeconds = 20 }: MpiCommOptions,
): void {
  for (
    const [name, value] of Object.entries({ timeoutSeconds, heartbeatSeconds, silenceSeconds })
  ) {
    if (value > 0 && value <= MOST_SECONDS) continue;
    throw new RangeError(
      `Cannot open MPI: ${name} is ${value}, not above 0 and at most ${MOST_SECONDS}`,
    );
  }
  if (silenceSeconds >= 2 * heartbeatSeconds) return;
  throw new RangeError(
    `Cannot open MPI: silenceSeconds is ${silenceSeconds}, less than two heartbeats of ` +
      `${heartbeatSeconds} s`,
  );
}

function initialize({ name, handles, symbols }: MpiLibrary): void {
  const provided = new Int32Array(1);
  const code = symbols.MPI_Init_thread(null, null, handles.threadMultiple, provided);
  if (code !== 0) throw new Error(`Cannot start ${name}: MPI_Init_thread answers error ${code}`);
  if (provided[0] >= handles.threadMultiple) return;
  throw new Error(
    `Cannot use ${name}: it was built without support for several threads (MPI_THREAD_MULTIPLE); ` +
      "install a build that has it, as those of the distributions do",
  );
}

function worldNumber(
  { symbols, handles }: MpiLibrary,
  name: "MPI_Comm_rank" | "MPI_Comm_size",
): number {
  const number = new Int32Array(1);
  symbols[name](handles.world as bigint, number);
  return number[0];
}

class MpiComm implements Comm {
  readonly rank: number;
  readonly size: number;
  readonly name: string;
  localRank = 0;
  localSize = 1;
  readonly #library: MpiLibrary;
  readonly #options: MpiCommOptions;
  readonly #queue: CallQueue;
  readonly #transfers: Transfers;
  /** What this rank is at, for its workers. */
  readonly #shared = sharedState();
  #libc: Deno.DynamicLibrary<typeof C_SYMBOLS>["symbols"] | undefined;
  #heartbeats: Heartbeats | undefined;
  #names: readonly string[];
  #state: "open" | "closing" | "closed" = "open";
  /** Why this rank ended without the others. */
  #unclean: string | undefined;

  constructor(
    library: MpiLibrary,
    { rank, size }: { readonly rank: number; readonly size: number },
    options: MpiCommOptions,
  ) {
    this.rank = rank;
    this.size = size;
    this.name = library.name;
    this.#library = library;
    this.#options = options;
    this.#names = Array.from({ length: size }, (_, each) => `rank ${each}`);
    this.#queue = new CallQueue({
      timeoutSeconds: options.timeoutSeconds ?? 1800,
      explainWait: (call) => this.#heartbeats?.explainWait(call),
    });
    this.#transfers = new Transfers({
      library,
      rank,
      size,
      // Of our own, which messages of others cannot get into.
      comm: this.#duplicate(),
      state: this.#shared,
      onFailure: (message) => this.abort(message),
      explain: (what, code) => this.#error(what, code),
    });
  }

  /** Learns who is where, and starts to watch. */
  async open(): Promise<void> {
    this.#libc = openCLibrary();
    const hosts = await this.#hosts();
    this.localSize = hosts.filter((host) => host === hosts[this.rank]).length;
    this.localRank = hosts.slice(0, this.rank).filter((host) => host === hosts[this.rank]).length;
    this.#names = hosts.map((host, rank) => `rank ${rank} (${host})`);
    if (this.size === 1) return;
    const { heartbeatSeconds = 2, silenceSeconds = 20 } = this.#options;
    this.#heartbeats = new Heartbeats({
      library: this.#library,
      comm: this.#duplicate(),
      state: this.#shared,
      rank: this.rank,
      names: this.#names,
      cLibrary: C_LIBRARY[Deno.build.os],
      parent: this.#libc?.getppid(),
      periodSeconds: heartbeatSeconds,
      silenceSeconds,
      onFailure: (message) => this.abort(message),
    });
    addEventListener("error", this.#onError);
    addEventListener("unhandledrejection", this.#onRejection);
    addEventListener("unload", this.#onUnload);
  }

  get traffic(): CommTraffic {
    return this.#queue.traffic;
  }

  async allReduceSum(values: Float32Array | Float64Array): Promise<void> {
    checkSummands("allReduceSum", values);
    const kind = "allReduceSum";
    const start = (call: number): Promise<number> =>
      this.#transfers.run({ call, kind, operation: "allReduce", values });
    await this.#queue.run(kind, values.byteLength, start);
  }

  async reduceScatterSum(values: Float32Array, counts: readonly number[]): Promise<void> {
    const kind = "reduceScatterSum";
    const parts = rankParts(kind, counts, { size: this.size, length: values.length });
    const start = (call: number): Promise<number> =>
      this.#transfers.run({ call, kind, operation: "reduceScatter", values, parts });
    await this.#queue.run(kind, values.byteLength, start);
  }

  async allGather(values: Float32Array | Uint8Array, counts: readonly number[]): Promise<void> {
    const kind = "allGather";
    const parts = rankParts(kind, counts, { size: this.size, length: values.length });
    const start = (call: number): Promise<number> =>
      this.#transfers.run({ call, kind, operation: "gather", values, parts });
    await this.#queue.run(kind, values.byteLength, start);
  }

  async broadcast(bytes: Uint8Array, root = 0): Promise<void> {
    checkRoot(root, this.size);
    const kind = "broadcast";
    const start = (call: number): Promise<number> =>
      this.#transfers.run({ call, kind, operation: "broadcast", values: bytes, root });
    await this.#queue.run(kind, bytes.byteLength, start);
  }

  barrier(): Promise<void> {
    const kind = "barrier";
    const start = (call: number): Promise<number> =>
      this.#transfers.run({ call, kind, operation: "barrier" });
    return this.#queue.run(kind, 0, start);
  }

  abort(message: string, exitCode = 1): never {
    console.error(`${this.#names[this.rank]}: ${message}`);
    // MPICH's mpirun drops what it has not read when a rank aborts.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STDERR_TIME);
    this.#end(exitCode);
  }

  /** Waits for all ranks, after the same collectives; MPI is left at the process's end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closing";
    await this.#queue.close();
    // After a failure there is no way back into step: the process's end ends the others.
    this.#unclean = this.#queue.broken ?? await this.#heartbeats?.close();
    if (this.#unclean !== undefined) return this.#transfers.leave();
    await this.#transfers.close();
    removeEventListener("error", this.#onError);
    removeEventListener("unhandledrejection", this.#onRejection);
    this.#state = "closed";
    // The event "unload" of one process alone has no listener.
    if (this.size === 1) this.#finalize();
  }

  #finalize(): void {
    this.#check("end MPI", this.#library.symbols.MPI_Finalize());
  }

  #end(exitCode: number): never {
    this.#libc?.alarm(ABORT_LIMIT);
    this.#library.symbols.MPI_Abort(this.#library.handles.world as bigint, exitCode);
    removeEventListener("unload", this.#onUnload);
    Deno.exit(exitCode);
  }

  // An error that nobody catches ends Deno at once, without the event "unload".
  readonly #onError = (event: ErrorEvent): void => {
    if (!event.defaultPrevented) this.abort(describeError(event.error ?? event.message));
  };
  readonly #onRejection = (event: PromiseRejectionEvent): void => {
    if (!event.defaultPrevented) this.abort(describeError(event.reason));
  };
  readonly #onUnload = (): void => {
    if (this.#state === "closed") {
      const { symbols, handles } = this.#library;
      // Some may have had more to do: the time to leave begins when all are here.
      symbols.MPI_Barrier(handles.world as bigint);
      this.#heartbeats?.limitLeaving(Deno.exitCode);
      return this.#finalize();
    }
    const why = this.#unclean ?? "the process ends while other ranks go on";
    this.abort(`${why}, so all ranks end`, Deno.exitCode || 1);
  };

  #duplicate(): MpiHandle {
    const { handles, symbols } = this.#library;
    const out = new BigUint64Array(1);
    this.#check("make a communicator", symbols.MPI_Comm_dup(handles.world as bigint, out));
    // Instead of ending the process, functions answer what went wrong.
    const made = handles.handle === "i32" ? Number(BigInt.asIntN(32, out[0])) : out[0];
    symbols.MPI_Comm_set_errhandler(made as bigint, handles.errorsReturn as bigint);
    return made;
  }

  /** The machine of each rank. */
  async #hosts(): Promise<string[]> {
    const own = new Uint8Array(TEXT_BYTES);
    const length = new Int32Array(1);
    this.#library.symbols.MPI_Get_processor_name(own, length);
    const all = new Uint8Array(TEXT_BYTES * this.size);
    all.set(own.subarray(0, length[0]), this.rank * TEXT_BYTES);
    const parts = evenParts(all.length, this.size);
    await this.#transfers.run({
      call: 0,
      kind: "allGather",
      operation: "gather",
      values: all,
      parts,
    });
    return Array.from(
      { length: this.size },
      (_, rank) =>
        new TextDecoder().decode(all.subarray(rank * TEXT_BYTES, (rank + 1) * TEXT_BYTES))
          .replace(/\0.*$/s, ""),
    );
  }

  #check(what: string, code: number): void {
    if (code !== 0) throw this.#error(what, code);
  }

  #error(what: string, code: number): Error {
    const text = new Uint8Array(TEXT_BYTES);
    const length = new Int32Array(1);
    this.#library.symbols.MPI_Error_string(code, text, length);
    const says = new TextDecoder().decode(text.subarray(0, length[0]));
    return new Error(`Cannot ${what}: ${this.name} says: ${says} (error ${code})`);
  }
}

function evenParts(length: number, size: number): Part[] {
  return Array.from({ length: size }, (_, rank) => {
    const [start, end] = [rank, rank + 1].map((each) => Math.floor(length * each / size));
    return { start, count: end - start };
  });
}

/** An error with the one that it hid, if any. */
function describeError(error: unknown): string {
  if (error instanceof SuppressedError) return describeError(error.suppressed);
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
