/**
 * Collectives by MPI.
 *
 * In: arrays of this process, also views of native memory; nothing of them is copied but pieces of a few
 * megabytes. Out: MPI's sums and parts, while timers and other work go on.
 *
 * Arrays go in pieces, so no count exceeds MPI's 32 bits. Sums for all are MPI_Allreduce's, which Open
 * MPI and MPICH make the same to the bit on every rank (tests/mpi_test.ts). Parts go around a ring of
 * neighbours, in place: each rank sends and receives (p − 1)/p of the array, which is the least (Patarasuk
 * and Yuan 2009, J. Parallel Distrib. Comput. 69). MPI_Reduce_scatter would need a second array.
 */

import { C_LIBRARY } from "./c_library.ts";
import { CallQueue } from "./call_queue.ts";
import { checkRoot, checkSummands } from "./check_arguments.ts";
import type { Collective, Comm, CommTraffic } from "./comm.ts";
import { Heartbeats } from "./heartbeats.ts";
import type { MpiHandle } from "./mpi_handles.ts";
import { type MpiLibrary, openMpiLibrary } from "./mpi_library.ts";
import type { MpiLaunch } from "./mpi_launch.ts";
import { type Part, pieces, rankParts } from "./parts.ts";

/**
 * Bytes of a piece. Sums of 64 MiB between two ranks of one machine took 32 to 38 ms with Open MPI 4.1.4
 * and 32 to 45 ms with MPICH 4.0.2 in pieces of 1 to 16 MiB; 4 MiB was good for both.
 */
const PIECE_BYTES = 4 << 20;
/** MPI_MAX_ERROR_STRING and MPI_MAX_PROCESSOR_NAME are at most this in all libraries. */
const TEXT_BYTES = 512;
/** Seconds after which the system ends a process that MPI_Abort did not. */
const ABORT_LIMIT = 5;
/** Milliseconds that the launcher has to pass on a message. */
const STDERR_TIME = 200;
const TAG = 0;
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
  return comm;
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
  /** A communicator of our own for collectives, which messages of others cannot get into. */
  readonly #work: MpiHandle;
  readonly #inPlace: Deno.PointerValue;
  readonly #statusIgnore: Deno.PointerValue;
  /** Arrays of calls under way, which keep them from being collected. */
  readonly #inUse = new Set<ArrayBufferView>();
  #buffers: readonly [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>] | undefined;
  #libc: Deno.DynamicLibrary<typeof C_SYMBOLS>["symbols"] | undefined;
  #heartbeats: Heartbeats | undefined;
  #names: readonly string[];
  #state: "open" | "closing" | "finalized" = "open";
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
    this.#inPlace = Deno.UnsafePointer.create(library.handles.inPlace);
    this.#statusIgnore = Deno.UnsafePointer.create(library.handles.statusIgnore);
    this.#work = this.#duplicate();
    this.#names = Array.from({ length: size }, (_, each) => `rank ${each}`);
    this.#queue = new CallQueue({
      timeoutSeconds: options.timeoutSeconds ?? 1800,
      onBegin: (call, kind) => this.#heartbeats?.begin(call, kind),
      explainWait: (call) => this.#heartbeats?.explainWait(call),
    });
  }

  /** Learns who is where, and starts to watch. */
  async open(): Promise<void> {
    const cLibrary = C_LIBRARY[Deno.build.os];
    if (cLibrary !== undefined) this.#libc = Deno.dlopen(cLibrary, C_SYMBOLS).symbols;
    const hosts = await this.#hosts();
    this.localSize = hosts.filter((host) => host === hosts[this.rank]).length;
    this.localRank = hosts.slice(0, this.rank).filter((host) => host === hosts[this.rank]).length;
    this.#names = hosts.map((host, rank) => `rank ${rank} (${host})`);
    if (this.size === 1) return;
    const { heartbeatSeconds = 2, silenceSeconds = 20 } = this.#options;
    this.#heartbeats = new Heartbeats({
      library: this.#library,
      comm: this.#duplicate(),
      rank: this.rank,
      names: this.#names,
      cLibrary,
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
    const { float, double, sum } = this.#library.handles;
    const type = values instanceof Float64Array ? double : float;
    const bytes = values.BYTES_PER_ELEMENT;
    await this.#run("allReduceSum", values, async (address) => {
      for (
        const { start, count } of pieces({ start: 0, count: values.length }, PIECE_BYTES / bytes)
      ) {
        const place = pointer(address, start * bytes);
        await this.#call("allReduce", this.#inPlace, place, count, type, sum, this.#work);
      }
    });
  }

  async reduceScatterSum(values: Float32Array, counts: readonly number[]): Promise<void> {
    const { size } = this;
    const parts = rankParts("reduceScatterSum", counts, { size, length: values.length });
    await this.#run("reduceScatterSum", values, (address) => {
      const { float: type } = this.#library.handles;
      return this.#reduceScatter({ address, bytes: values.BYTES_PER_ELEMENT, type, parts });
    });
  }

  async allGather(values: Float32Array | Uint8Array, counts: readonly number[]): Promise<void> {
    const { size } = this;
    const parts = rankParts("allGather", counts, { size, length: values.length });
    await this.#run("allGather", values, (address) => {
      const { float, byte } = this.#library.handles;
      const type = values instanceof Float32Array ? float : byte;
      return this.#gather({ address, bytes: values.BYTES_PER_ELEMENT, type, parts });
    });
  }

  async broadcast(bytes: Uint8Array, root = 0): Promise<void> {
    checkRoot(root, this.size);
    await this.#run("broadcast", bytes, async (address) => {
      const { byte } = this.#library.handles;
      for (const { start, count } of pieces({ start: 0, count: bytes.length }, PIECE_BYTES)) {
        const place = Deno.UnsafePointer.create(address + BigInt(start));
        await this.#call("broadcast", place, count, byte, root, this.#work);
      }
    });
  }

  barrier(): Promise<void> {
    return this.#queue.run("barrier", 0, () => this.#call("barrier", this.#work));
  }

  abort(message: string, exitCode = 1): never {
    console.error(`${this.#names[this.rank]}: ${message}`);
    // MPICH's mpirun drops what it has not read when a rank aborts.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STDERR_TIME);
    this.#end(exitCode);
  }

  /** Waits for all ranks, after the same collectives, and leaves MPI. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closing";
    await this.#queue.close();
    // After a failure there is no way back into step: the process's end ends the others.
    this.#unclean = this.#queue.broken ?? await this.#heartbeats?.close();
    if (this.#unclean !== undefined) return;
    removeEventListener("error", this.#onError);
    removeEventListener("unhandledrejection", this.#onRejection);
    removeEventListener("unload", this.#onUnload);
    this.#check("end MPI", this.#library.symbols.MPI_Finalize());
    this.#state = "finalized";
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
    const { byte: type } = this.#library.handles;
    await this.#gather({
      address: addressOf(all),
      bytes: 1,
      type,
      parts: evenParts(all.length, this.size),
    });
    return Array.from(
      { length: this.size },
      (_, rank) =>
        new TextDecoder().decode(all.subarray(rank * TEXT_BYTES, (rank + 1) * TEXT_BYTES))
          .replace(/\0.*$/s, ""),
    );
  }

  /** Queues a call over an array, whose address it is given; does nothing where the array is empty. */
  #run(
    kind: Collective,
    values: ArrayBufferView,
    call: (address: bigint) => Promise<void>,
  ): Promise<void> {
    return this.#queue.run(kind, values.byteLength, async () => {
      if (values.byteLength === 0) return;
      this.#inUse.add(values);
      await call(addressOf(values));
      // Not where it failed: the library may still hold the address.
      this.#inUse.delete(values);
    });
  }

  /** Each rank's part becomes the sum of all ranks', in rank order around the ring. */
  async #reduceScatter({ address, bytes, type, parts }: RingTransfer): Promise<void> {
    const { sum } = this.#library.handles;
    this.#buffers ??= [new Uint8Array(PIECE_BYTES), new Uint8Array(PIECE_BYTES)];
    const received = this.#buffers.map((each) => Deno.UnsafePointer.of(each));
    let turn = 0;
    let adding: Promise<void> = Promise.resolve();
    for (let step = 0; step < this.size - 1; step++) {
      const out = parts[this.#left(step + 1)];
      const into = parts[this.#left(step + 2)];
      for (const [outPiece, inPiece] of pairs(out, into, PIECE_BYTES / bytes)) {
        // One piece is added while the next is under way.
        const buffer = received[turn];
        turn = 1 - turn;
        await this.#exchange({ address, bytes, type }, outPiece, inPiece, buffer);
        await adding;
        if (inPiece.count === 0) continue;
        const place = pointer(address, inPiece.start * bytes);
        adding = this.#call("reduceLocal", buffer, place, inPiece.count, type, sum);
      }
      await adding;
    }
  }

  /** Each rank's part goes around the ring, into its own place. */
  async #gather({ address, bytes, type, parts }: RingTransfer): Promise<void> {
    for (let step = 0; step < this.size - 1; step++) {
      const out = parts[this.#left(step)];
      const into = parts[this.#left(step + 1)];
      for (const [outPiece, inPiece] of pairs(out, into, PIECE_BYTES / bytes)) {
        const place = pointer(address, inPiece.start * bytes);
        await this.#exchange({ address, bytes, type }, outPiece, inPiece, place);
      }
    }
  }

  /** The rank that many places to the left on the ring. */
  #left(places: number): number {
    return (this.rank - places + 2 * this.size) % this.size;
  }

  /** Sends a piece to the right and receives one from the left; an empty one has no message. */
  #exchange(
    { address, bytes, type }: Omit<RingTransfer, "parts">,
    out: Part,
    into: Part,
    place: Deno.PointerValue,
  ): Promise<void> {
    const { procNull } = this.#library.handles;
    return this.#call(
      "sendReceive",
      pointer(address, out.start * bytes),
      out.count,
      type,
      out.count === 0 ? procNull : this.#left(-1),
      TAG,
      place,
      into.count,
      type,
      into.count === 0 ? procNull : this.#left(1),
      TAG,
      this.#work,
      this.#statusIgnore,
    );
  }

  async #call(
    name: "allReduce" | "sendReceive" | "reduceLocal" | "broadcast" | "barrier",
    ...args: readonly (Deno.PointerValue | MpiHandle)[]
  ): Promise<void> {
    const call = this.#library.symbols[name] as (...args: unknown[]) => Promise<number>;
    this.#check(`run ${name}`, await call(...args));
  }

  #check(what: string, code: number): void {
    if (code === 0) return;
    const text = new Uint8Array(TEXT_BYTES);
    const length = new Int32Array(1);
    this.#library.symbols.MPI_Error_string(code, text, length);
    const says = new TextDecoder().decode(text.subarray(0, length[0]));
    throw new Error(`Cannot ${what}: ${this.name} says: ${says} (error ${code})`);
  }
}

/** An array that goes around the ring in parts, one a rank. */
interface RingTransfer {
  readonly address: bigint;
  /** Of an element. */
  readonly bytes: number;
  readonly type: MpiHandle;
  readonly parts: readonly Part[];
}

/** Pieces of two parts side by side; the shorter one ends with empty pieces. */
function* pairs(out: Part, into: Part, most: number): Generator<readonly [Part, Part], void, void> {
  const [sent, received] = [pieces(out, most), pieces(into, most)];
  for (;;) {
    const [first, second] = [sent.next().value, received.next().value];
    if (!first && !second) return;
    yield [first ?? { start: 0, count: 0 }, second ?? { start: 0, count: 0 }];
  }
}

function evenParts(length: number, size: number): Part[] {
  return Array.from({ length: size }, (_, rank) => {
    const [start, end] = [rank, rank + 1].map((each) => Math.floor(length * each / size));
    return { start, count: end - start };
  });
}

function addressOf(values: ArrayBufferView): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(values as ArrayBufferView<ArrayBuffer>));
}

function pointer(address: bigint, bytes: number): Deno.PointerValue {
  return Deno.UnsafePointer.create(address + BigInt(bytes));
}

/** An error with the one that it hid, if any. */
function describeError(error: unknown): string {
  if (error instanceof SuppressedError) return describeError(error.suppressed);
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
