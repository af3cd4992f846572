/**
 * Heartbeats between ranks, on a thread of its own, which no long call of the main thread holds up.
 *
 * In: what to watch. Out: a message when it is over. A rank that is silent too long, or
 * that left while another waits for it, ends the run: one sentence on stderr and MPI_Abort.
 *
 * All ranks send to rank 0 and rank 0 sends to all: what each rank is doing is known to all after two
 * messages, however many ranks there are, and one place names all that are silent. A ring would take as
 * many messages as there are ranks.
 */

import type { MpiHandle } from "./mpi_handles.ts";
import type { MPI_SYMBOLS } from "./mpi_symbols.ts";
import type { WorkerPort } from "./start_worker.ts";

/** Slots of the memory that main thread and worker share: 64-bit integers. */
export const SLOTS = {
  /** Changes when the worker has to look. */
  wake: 0,
  /** Number of the last collective that has begun. */
  begun: 1,
  /** Its kind, as an index. */
  kind: 2,
  /** 1 once the rank takes part in no more collectives. */
  closing: 3,
  /** The rank that has begun the fewest collectives. */
  lastRank: 4,
  /** How many it has begun. */
  lastBegun: 5,
  /** The process's exit code and 1, once it leaves MPI at its end. */
  leaving: 6,
} as const;

/** MPI functions of the worker. */
export const WATCH_FUNCTIONS = [
  "MPI_Iprobe",
  "MPI_Recv",
  "MPI_Isend",
  "MPI_Test",
  "MPI_Abort",
] as const;

/** What the worker is started with. */
export interface HeartbeatSetup {
  /** Path of the MPI library, and its functions as the family's handles need them. */
  readonly library: string;
  readonly symbols: Pick<typeof MPI_SYMBOLS, typeof WATCH_FUNCTIONS[number]>;
  /** Path of the C library; without one, neither the launcher's end nor a stuck MPI_Abort is noticed. */
  readonly cLibrary: string | undefined;
  /** MPI_COMM_WORLD, and a communicator that only heartbeats use. */
  readonly world: MpiHandle;
  readonly comm: MpiHandle;
  readonly byte: MpiHandle;
  readonly anySource: number;
  readonly statusIgnore: bigint;
  readonly rank: number;
  /** Each rank in words. */
  readonly names: readonly string[];
  /** Collectives by their number in the slots. */
  readonly kinds: readonly string[];
  /** Process that started this one. */
  readonly parent: number | undefined;
  readonly periodSeconds: number;
  readonly silenceSeconds: number;
  readonly slots: typeof SLOTS;
  readonly state: SharedArrayBuffer;
}

/** How the worker ended: all ranks close, this rank left others waiting, or it cannot go on. */
export type HeartbeatEnd =
  | { readonly kind: "closed" }
  | { readonly kind: "left" | "failed"; readonly message: string };

/** The worker's program: it must use nothing from outside of it. */
export function heartbeatWorker(
  port: WorkerPort<never, HeartbeatEnd>,
  setup: HeartbeatSetup,
): void {
  const TAG = 1;
  const NUMBERS = 8;
  const BYTES = 8 * NUMBERS;
  /** Milliseconds between looks: how late a message is seen. */
  const LOOK = 100;
  const LOOK_CLOSING = 5;
  /** Milliseconds that a rank which left others waiting has to end with an error of its own. */
  const GRACE = 5000;
  /** Seconds after which the system ends a process that MPI_Abort did not. */
  const ABORT_LIMIT = 5;
  /** Milliseconds that MPI_Finalize has. */
  const LEAVING_LIMIT = 5000;
  /** Milliseconds that the launcher has to pass on a sentence. */
  const STDERR_TIME = 200;
  const [NONE, CLOSED, LEFT] = [0, 1, 2];

  try {
    const end = watch();
    port.postMessage(end);
    if (end.kind === "closed") limitLeaving();
  } catch (error) {
    port.postMessage({ kind: "failed", message: (error as Error).message });
  }

  /**
   * Ends the process if it cannot leave MPI. MPICH 4.0.2 over UCX's TCP hung in one of six MPI_Finalize
   * between two hosts: a rank waited for the launcher, and no longer answered the other one.
   */
  function limitLeaving(): void {
    const state = new BigInt64Array(setup.state);
    const { leaving } = setup.slots;
    while (Atomics.load(state, leaving) === 0n) Atomics.wait(state, leaving, 0n, LOOK);
    const code = Number(Atomics.load(state, leaving)) - 1;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEAVING_LIMIT);
    if (setup.cLibrary === undefined) return;
    const exit = { _exit: { parameters: ["i32"], result: "void" } } as const;
    Deno.dlopen(setup.cLibrary, exit).symbols._exit(code);
  }

  function watch(): HeartbeatEnd {
    const { rank, names, slots } = setup;
    const size = names.length;
    const period = setup.periodSeconds * 1000;
    const silence = setup.silenceSeconds * 1000;
    const state = new BigInt64Array(setup.state);
    const slot = (index: number): number => Number(Atomics.load(state, index));
    const { symbols: mpi } = Deno.dlopen(setup.library, setup.symbols);
    const libc = setup.cLibrary === undefined ? undefined : Deno.dlopen(setup.cLibrary, {
      getppid: { parameters: [], result: "i32" },
      alarm: { parameters: ["u32"], result: "u32" },
      _exit: { parameters: ["i32"], result: "void" },
    }).symbols;
    const ignore = Deno.UnsafePointer.create(setup.statusIgnore);
    // Made of buffers, as small typed arrays may lie where the garbage collector moves them.
    const flag = new Int32Array(new ArrayBuffer(4));
    const inbox = new Float64Array(new ArrayBuffer(BYTES));
    const outboxes = Array.from({ length: rank === 0 ? size : 1 }, () => ({
      numbers: new Float64Array(new ArrayBuffer(BYTES)),
      request: new BigUint64Array(new ArrayBuffer(8)),
      busy: false,
    }));

    const check = (code: number, what: string): void => {
      if (code !== 0) throw new Error(`Cannot ${what} heartbeats: MPI error ${code}`);
    };
    const receive = (): boolean => {
      const { anySource, comm, byte } = setup;
      check(mpi.MPI_Iprobe(anySource, TAG, comm as bigint, flag, ignore), "look for");
      if (flag[0] === 0) return false;
      const code = mpi.MPI_Recv(
        inbox,
        BYTES,
        byte as bigint,
        anySource,
        TAG,
        comm as bigint,
        ignore,
      );
      check(code, "receive");
      return true;
    };
    const isSent = (box: typeof outboxes[number]): boolean => {
      if (!box.busy) return true;
      check(mpi.MPI_Test(box.request, flag, ignore), "send");
      box.busy = flag[0] === 0;
      return !box.busy;
    };
    /** Sends, unless the last message is still under way, as to a rank that hangs. */
    const send = (to: number, numbers: readonly number[]): boolean => {
      const box = outboxes[to];
      if (!isSent(box)) return false;
      box.numbers.set(numbers);
      const { comm, byte } = setup;
      const code = mpi.MPI_Isend(
        box.numbers,
        BYTES,
        byte as bigint,
        to,
        TAG,
        comm as bigint,
        box.request,
      );
      check(code, "send");
      return box.busy = true;
    };
    const end = (sentence: string): never => {
      try {
        Deno.stderr.writeSync(new TextEncoder().encode(`${sentence}\n`));
        // MPICH's mpirun drops what it has not read when a rank aborts.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STDERR_TIME);
      } catch {
        // Nobody reads any more.
      }
      libc?.alarm(ABORT_LIMIT);
      mpi.MPI_Abort(setup.world as bigint, 1);
      libc?._exit(1);
      throw new Error(sentence);
    };
    const leftSentence = (): string =>
      `${names[leaver]} left the run while ${names[waiter]} waits for it in ` +
      `${setup.kinds[waitKind]} (collective ${waitBegun})`;

    const began = performance.now();
    const heard = names.map(() => began);
    const begun = names.map(() => 0);
    const kind = names.map(() => 0);
    const closing = names.map(() => 0);
    const informed = names.map((_, of) => of === 0);
    let verdict = NONE;
    let [leaver, waiter, waitKind, waitBegun] = [0, 0, 0, 0];
    let verdictAt = 0;
    let told = -Infinity;
    let toldClosing = 0;
    let looked = began;
    for (;;) {
      const wake = Atomics.load(state, slots.wake);
      const look = slot(slots.closing) === 1 ? LOOK_CLOSING : Math.min(LOOK, period);
      Atomics.wait(state, slots.wake, wake, look);
      const now = performance.now();
      // Whoever was stopped itself cannot tell how long others were silent meanwhile.
      const heldUp = now - looked - look;
      if (heldUp > period) { for (const from of heard.keys()) heard[from] += heldUp; }
      looked = now;

      while (receive()) {
        const [from] = inbox;
        heard[from] = now;
        if (rank === 0) [, begun[from], kind[from], closing[from]] = inbox;
        else {
          const [, last, lastBegun] = inbox;
          Atomics.store(state, slots.lastRank, BigInt(last));
          Atomics.store(state, slots.lastBegun, BigInt(lastBegun));
          if (verdict === NONE && inbox[3] !== NONE) {
            [, , , verdict, leaver, waiter, waitKind, waitBegun] = inbox;
            verdictAt = now;
          }
        }
      }
      // Closing is read first: after it, nothing begins.
      closing[rank] = slot(slots.closing);
      kind[rank] = slot(slots.kind);
      begun[rank] = slot(slots.begun);
      if (rank === 0) judge(now);

      const due = now - told >= period;
      if (due) told = now;
      if (rank === 0) tell(due);
      else if (due || closing[rank] !== toldClosing) {
        if (send(0, [rank, begun[rank], kind[rank], closing[rank]])) toldClosing = closing[rank];
      }
      if (verdict === CLOSED || verdict === LEFT && leaver === rank) {
        // Rank 0's verdict must be on its way before it stops, or nobody else would.
        const sent = (rank > 0 || informed.every(Boolean)) && outboxes.every(isSent);
        if (!sent && now - verdictAt < GRACE) continue;
        return verdict === CLOSED ? { kind: "closed" } : { kind: "left", message: leftSentence() };
      }
      if (verdict === LEFT && now - verdictAt > GRACE) end(leftSentence());
      if (setup.parent !== undefined && libc?.getppid() !== setup.parent) {
        end(`${names[rank]}: the launcher has ended, so this process ends too`);
      }
      judgeSilence(now);
    }

    function judge(now: number): void {
      let last = 0;
      let first = 0;
      for (let each = 1; each < size; each++) {
        if (begun[each] < begun[last]) last = each;
        if (begun[each] > begun[first]) first = each;
      }
      Atomics.store(state, slots.lastRank, BigInt(last));
      Atomics.store(state, slots.lastBegun, BigInt(begun[last]));
      if (verdict !== NONE) return;
      const left = closing.findIndex((each, of) => each === 1 && begun[of] < begun[first]);
      if (left >= 0) {
        verdict = LEFT;
        [leaver, waiter, waitKind, waitBegun] = [left, first, kind[first], begun[first]];
      } else if (closing.every((each) => each === 1)) verdict = CLOSED;
      if (verdict !== NONE) verdictAt = now;
    }

    /** Rank 0's message to all, or only to those that do not know the verdict yet. */
    function tell(all: boolean): void {
      const last = slot(slots.lastRank);
      for (let to = 1; to < size; to++) {
        if (!all && (verdict === NONE || informed[to])) continue;
        const numbers = [0, last, begun[last], verdict, leaver, waiter, waitKind, waitBegun];
        if (send(to, numbers) && verdict !== NONE) informed[to] = true;
      }
    }

    function judgeSilence(now: number): void {
      heard[rank] = now;
      // All ranks hear of rank 0 alone; rank 1 speaks for them, and others only where it does not.
      const limit = silence + (rank > 1 ? period : 0);
      const silent = [...heard.keys()].filter((from) =>
        (rank === 0 || from === 0) && now - heard[from] > limit
      );
      if (silent.length === 0) return;
      const list = silent.map((from) => names[from]);
      const shown = list.slice(0, 8).join(", ") +
        (list.length > 8 ? ` and ${list.length - 8} more` : "");
      end(
        `${names[rank]}: ${shown} ${list.length > 1 ? "have" : "has"} been silent for ` +
          `${setup.silenceSeconds} s (stopped, or cut off from the network), so the run ends`,
      );
    }
  }
}
