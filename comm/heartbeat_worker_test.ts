/** The watch over other ranks, on a clock and an MPI of the test's: what is sent when, and how it ends. */

import assert from "node:assert/strict";
import { fakeClock } from "../tests/support/fake_clock.ts";
import {
  type HeartbeatEnd,
  type HeartbeatSetup,
  heartbeatWorker,
  SLOTS,
} from "./heartbeat_worker.ts";
import { MPI_SYMBOLS } from "./mpi_symbols.ts";

const NAMES = ["rank 0 (a)", "rank 1 (b)", "rank 2 (c)"];
const KINDS = ["sum", "scatter", "gather"];
const [BUSY, FINISHED] = [false, true];

/** What happens at a time, in milliseconds from the beginning. */
interface Scenario {
  readonly rank: number;
  readonly setup?: Partial<HeartbeatSetup>;
  /** Messages of other ranks that arrive. */
  readonly messages?: readonly (readonly [at: number, ...numbers: number[]])[];
  /** Slots of the shared memory that are set. */
  readonly slots?: readonly (readonly [at: number, slot: keyof typeof SLOTS, value: number])[];
  /** Time for which this process is stopped, in the look that ends then. */
  readonly stopped?: readonly [at: number, milliseconds: number];
  /** Whether what was sent to a rank has arrived. @default it has */
  readonly arrived?: (to: number, now: number) => boolean;
  /** Codes that functions answer. @default 0 */
  readonly codes?: Partial<Record<keyof typeof MPI_SYMBOLS, number>>;
  readonly getppid?: (now: number) => number;
  readonly stderr?: () => void;
  /** When the scenario is over. */
  readonly until: number;
}

/** Runs the worker; gives what it did, each line with its time, and how it ended. */
function watch(
  {
    rank,
    setup = {},
    messages = [],
    slots = [],
    stopped,
    arrived = () => FINISHED,
    codes = {},
    getppid = () => 17,
    stderr,
    until,
  }: Scenario,
): { lines: string[]; ends: HeartbeatEnd[]; slots: Record<string, number> } {
  const clock = fakeClock();
  const began = performance.now();
  const now = (): number => performance.now() - began;
  const lines: string[] = [];
  const ends: HeartbeatEnd[] = [];
  const note = (line: string): void => void lines.push(`${now()} ${line}`);
  const inbox = [...messages];
  const changes = [...slots];
  let halted = stopped;
  const shared = new SharedArrayBuffer(8 * Object.keys(SLOTS).length);
  const state = new BigInt64Array(shared);
  const pass = (milliseconds: number): void => {
    clock.pass(milliseconds);
    if (halted && now() >= halted[0]) {
      clock.pass(halted[1]);
      halted = undefined;
    }
    while (changes.length > 0 && changes[0][0] <= now()) {
      const [, slot, value] = changes.shift()!;
      state[SLOTS[slot]] = BigInt(value);
    }
  };
  const full: HeartbeatSetup = {
    library: "mpi",
    symbols: MPI_SYMBOLS,
    cLibrary: "c",
    world: 99n,
    comm: 77n,
    byte: 88n,
    anySource: -5,
    statusIgnore: 1n,
    rank,
    names: NAMES,
    kinds: KINDS,
    parent: 17,
    periodSeconds: 2,
    silenceSeconds: 20,
    slots: SLOTS,
    state: shared,
    ...setup,
  };
  const mpi = {
    MPI_Iprobe(source: number, tag: number, comm: bigint, flag: Int32Array): number {
      if (now() > until) throw new Error("over");
      assert.deepEqual([source, tag, comm], [-5, 1, 77n]);
      flag[0] = inbox.length > 0 && inbox[0][0] <= now() ? 1 : 0;
      return codes.MPI_Iprobe ?? 0;
    },
    MPI_Recv(
      ...[numbers, bytes, type, source, tag, comm]: [
        Float64Array,
        number,
        bigint,
        number,
        number,
        bigint,
      ]
    ): number {
      assert.deepEqual([bytes, type, source, tag, comm], [64, 88n, -5, 1, 77n]);
      assert.equal(numbers.length, 8);
      const [, ...received] = inbox.shift()!;
      numbers.set([...received, ...Array(8 - received.length).fill(0)]);
      return codes.MPI_Recv ?? 0;
    },
    MPI_Isend(
      ...[numbers, bytes, type, to, tag, comm, request]: [
        Float64Array,
        number,
        bigint,
        number,
        number,
        bigint,
        BigUint64Array,
      ]
    ): number {
      assert.deepEqual([bytes, type, tag, comm], [64, 88n, 1, 77n]);
      note(`to ${to}: ${numbers}`);
      request[0] = BigInt(to);
      return codes.MPI_Isend ?? 0;
    },
    MPI_Test([to]: BigUint64Array, flag: Int32Array): number {
      flag[0] = arrived(Number(to), now()) ? 1 : 0;
      return codes.MPI_Test ?? 0;
    },
    MPI_Abort(world: bigint, code: number): number {
      note(`abort ${world} ${code}`);
      return 0;
    },
  };
  const libc = {
    getppid: () => getppid(now()),
    alarm: (seconds: number) => note(`alarm ${seconds}`),
    _exit: (code: number) => note(`exit ${code}`),
  };
  const { dlopen } = Deno;
  const { wait } = Atomics;
  Object.assign(Deno, {
    dlopen: (path: string) => ({ symbols: { mpi, c: libc }[path] }),
  });
  Object.assign(Atomics, {
    wait(array: Int32Array | BigInt64Array, index: number, value: number | bigint, time: number) {
      assert.equal(array[index], value);
      if (array instanceof Int32Array) note(`pause ${time}`);
      else assert.ok(index === SLOTS.wake || index === SLOTS.leaving);
      if (now() > until) throw new Error("over");
      pass(time);
      return "timed-out";
    },
  });
  Object.assign(Deno.stderr, {
    writeSync(bytes: Uint8Array): number {
      stderr?.();
      note(`says ${JSON.stringify(new TextDecoder().decode(bytes))}`);
      return bytes.length;
    },
  });
  try {
    heartbeatWorker({ on() {}, postMessage: (end) => void ends.push(end) }, full);
  } finally {
    Object.assign(Deno, { dlopen });
    Object.assign(Atomics, { wait });
    Reflect.deleteProperty(Deno.stderr, "writeSync");
    clock[Symbol.dispose]();
  }
  const named = Object.entries(SLOTS).map(([name, at]) => [name, Number(state[at])] as const);
  return { lines, ends, slots: Object.fromEntries(named) };
}

const OVER: HeartbeatEnd = { kind: "failed", message: "over" };
const silent = (who: string, of: string, seconds = 20) =>
  `${who}: ${of} been silent for ${seconds} s (stopped, or cut off from the network), so the run ends`;
/** What a rank does that ends the run. */
const ending = (at: number, sentence: string): string[] => [
  `${at} says ${JSON.stringify(`${sentence}\n`)}`,
  `${at} pause 200`,
  `${at + 200} alarm 5`,
  `${at + 200} abort 99 1`,
  `${at + 200} exit 1`,
];
const failed = (message: string): HeartbeatEnd[] => [{ kind: "failed", message }];

Deno.test("a rank tells rank 0 every two seconds what it is at", () => {
  const { lines, ends } = watch({
    rank: 1,
    slots: [[0, "begun", 3], [0, "kind", 2], [3000, "begun", 4], [3000, "kind", 1]],
    until: 5000,
  });
  assert.deepEqual(lines, [
    "100 to 0: 1,3,2,0,0,0,0,0",
    "2100 to 0: 1,3,2,0,0,0,0,0",
    "4100 to 0: 1,4,1,0,0,0,0,0",
  ]);
  assert.deepEqual(ends, [OVER]);
});

Deno.test("a rank tells at once that it closes, and again where that could not be sent", () => {
  const { lines } = watch({
    rank: 2,
    slots: [[500, "begun", 6], [500, "closing", 1]],
    // The first message is under way until then.
    arrived: (_to, now) => now >= 530,
    until: 700,
  });
  assert.deepEqual(lines, ["100 to 0: 2,0,0,0,0,0,0,0", "530 to 0: 2,6,0,1,0,0,0,0"]);
});

Deno.test("a rank looks as often as it sends where that is more often", () => {
  const { lines } = watch({ rank: 1, setup: { periodSeconds: 0.05 }, until: 160 });
  assert.deepEqual(lines.map((line) => line.split(" ")[0]), ["50", "100", "150"]);
});

Deno.test("rank 0 tells all who is last, and how far", () => {
  const { lines, ends, slots } = watch({
    rank: 0,
    slots: [[0, "begun", 4], [0, "kind", 1]],
    messages: [[50, 1, 5, 2], [50, 2, 3, 1], [2050, 2, 5, 1], [4050, 1, 3, 1]],
    until: 4200,
  });
  assert.deepEqual(lines, [
    "100 to 1: 0,2,3,0,0,0,0,0",
    "100 to 2: 0,2,3,0,0,0,0,0",
    "2100 to 1: 0,0,4,0,0,0,0,0",
    "2100 to 2: 0,0,4,0,0,0,0,0",
    "4100 to 1: 0,1,3,0,0,0,0,0",
    "4100 to 2: 0,1,3,0,0,0,0,0",
  ]);
  assert.deepEqual([slots.lastRank, slots.lastBegun], [1, 3]);
  assert.deepEqual(ends, [OVER]);
});

Deno.test("other ranks learn from rank 0 who is last", () => {
  const { slots } = watch({ rank: 1, messages: [[50, 0, 2, 7], [150, 0, 1, 8]], until: 300 });
  assert.deepEqual([slots.lastRank, slots.lastBegun], [1, 8]);
});

Deno.test("a message to a rank that has not taken the last one waits for the next time", () => {
  const { lines } = watch({ rank: 0, arrived: (to) => to !== 1, until: 2200 });
  assert.deepEqual(lines, [
    "100 to 1: 0,0,0,0,0,0,0,0",
    "100 to 2: 0,0,0,0,0,0,0,0",
    "2100 to 2: 0,0,0,0,0,0,0,0",
  ]);
});

Deno.test("rank 0 ends the run where ranks are silent for more than 20 seconds, and names them", () => {
  const all = watch({ rank: 0, arrived: () => BUSY, until: 30_000 });
  const sentence = silent("rank 0 (a)", "rank 1 (b), rank 2 (c) have");
  assert.deepEqual(all.lines.slice(2), ending(20_100, sentence));
  assert.deepEqual(all.ends, failed(sentence));
  const one = watch({
    rank: 0,
    arrived: () => BUSY,
    messages: [[10_000, 1], [25_000, 1]],
    until: 30_000,
  });
  assert.deepEqual(one.lines.slice(2), ending(20_100, silent("rank 0 (a)", "rank 2 (c) has")));
});

Deno.test("rank 0 names eight silent ranks, and counts more", () => {
  for (
    const [size, shown] of [
      [9, "r1, r2, r3, r4, r5, r6, r7, r8 have"],
      [10, "r1, r2, r3, r4, r5, r6, r7, r8 and 1 more have"],
      [12, "r1, r2, r3, r4, r5, r6, r7, r8 and 3 more have"],
    ] as const
  ) {
    const names = Array.from({ length: size }, (_, i) => `r${i}`);
    const { ends } = watch({ rank: 0, setup: { names }, until: 30_000 });
    assert.deepEqual(ends, failed(silent("r0", shown)));
  }
});

Deno.test("a silent rank 0 is told of by rank 1, and by others a period later", () => {
  for (const [rank, at] of [[1, 20_100], [2, 22_100]] as const) {
    const { lines, ends } = watch({
      rank,
      arrived: () => BUSY,
      // Of other ranks it hears nothing anyway.
      until: 30_000,
    });
    const sentence = silent(NAMES[rank], "rank 0 (a) has");
    assert.deepEqual(lines.slice(1), ending(at, sentence));
    assert.deepEqual(ends, failed(sentence));
  }
  const heard = watch({ rank: 1, arrived: () => BUSY, messages: [[5000, 0]], until: 30_000 });
  assert.equal(heard.lines[1].split(" ")[0], "25100");
  const shorter = watch({ rank: 1, setup: { silenceSeconds: 4.5 }, until: 30_000 });
  assert.deepEqual(shorter.ends, failed(silent("rank 1 (b)", "rank 0 (a) has", 4.5)));
});

Deno.test("a rank that was stopped itself does not take others for silent meanwhile", () => {
  for (
    const [milliseconds, at] of [
      [30_000, 50_100],
      // Not longer than a period: no more than a slow look.
      [2000, 20_100],
      [2001, 22_101],
    ] as const
  ) {
    const { lines } = watch({
      rank: 1,
      arrived: () => BUSY,
      stopped: [500, milliseconds],
      until: 60_000,
    });
    assert.equal(lines[1].split(" ")[0], `${at}`);
  }
});

Deno.test("rank 0 closes once all ranks close after the same collectives, and all know it", () => {
  const { lines, ends } = watch({
    rank: 0,
    slots: [[200, "begun", 5], [300, "closing", 1], [9000, "leaving", 4]],
    messages: [[150, 1, 5, 2, 1], [310, 2, 5, 2, 1]],
    until: 30_000,
  });
  assert.deepEqual(lines, [
    "100 to 1: 0,0,0,0,0,0,0,0",
    "100 to 2: 0,0,0,0,0,0,0,0",
    "310 to 1: 0,0,5,1,0,0,0,0",
    "310 to 2: 0,0,5,1,0,0,0,0",
    // Nobody has left by then, so the system ends the process with the code of its own.
    "9010 pause 5000",
    "14010 exit 3",
  ]);
  assert.deepEqual(ends, [{ kind: "closed" }]);
});

Deno.test("rank 0 does not close while another goes on, nor while its word is under way", () => {
  const closing = [[100, "closing", 1]] as const;
  const alone = watch({
    rank: 0,
    slots: closing,
    messages: [[50, 1, 0, 0, 1], [50, 2, 0, 0, 0]],
    until: 1000,
  });
  assert.deepEqual(alone.ends, [OVER]);
  const messages = [[150, 1, 0, 0, 1], [150, 2, 0, 0, 1]] as const;
  const setup = { cLibrary: undefined, parent: undefined };
  const slow = watch({
    rank: 0,
    setup,
    slots: [...closing, [5000, "leaving", 1]],
    messages,
    arrived: (to, now) => to !== 2 || now >= 700,
    until: 10_000,
  });
  assert.deepEqual(slow.lines, [
    "100 to 1: 0,0,0,0,0,0,0,0",
    "100 to 2: 0,0,0,0,0,0,0,0",
    "150 to 1: 0,0,0,1,0,0,0,0",
    "700 to 2: 0,0,0,1,0,0,0,0",
    // There is no C library to end the process by.
    "5000 pause 5000",
  ]);
  assert.deepEqual(slow.ends, [{ kind: "closed" }]);
  // For five seconds at most.
  const stuck = watch({
    rank: 0,
    setup,
    slots: [...closing, [6000, "leaving", 1]],
    messages,
    arrived: (to) => to !== 2,
    until: 20_000,
  });
  assert.deepEqual(stuck.ends, [{ kind: "closed" }]);
  const told = stuck.lines.filter((line) => /to 1:/.test(line)).map((line) => line.split(" ")[0]);
  assert.deepEqual(told, ["100", "150", "2100", "4100"]);
});

Deno.test("ranks close by rank 0's word", () => {
  const { lines, ends } = watch({
    rank: 1,
    slots: [[0, "closing", 1], [200, "leaving", 1]],
    messages: [[50, 0, 2, 3, 1]],
    until: 1000,
  });
  assert.deepEqual(ends, [{ kind: "closed" }]);
  assert.deepEqual(lines, ["100 to 0: 1,0,0,1,0,0,0,0", "200 pause 5000", "5200 exit 0"]);
});

Deno.test("rank 0 tells at once who left and who waits, and ends the run five seconds later", () => {
  const { lines, ends, slots } = watch({
    rank: 0,
    slots: [[0, "begun", 4]],
    messages: [[50, 1, 5, 2, 0], [50, 2, 3, 1, 0], [250, 2, 3, 1, 1], [350, 1, 6, 0, 0]],
    until: 10_000,
  });
  const verdict = "0,2,3,2,2,1,2,5";
  const sentence = "rank 2 (c) left the run while rank 1 (b) waits for it in gather (collective 5)";
  assert.deepEqual(lines, [
    "100 to 1: 0,2,3,0,0,0,0,0",
    "100 to 2: 0,2,3,0,0,0,0,0",
    ...[300, 2100, 4100].flatMap((at) => [`${at} to 1: ${verdict}`, `${at} to 2: ${verdict}`]),
    ...ending(5400, sentence),
  ]);
  assert.deepEqual(ends, failed(sentence));
  assert.deepEqual([slots.lastRank, slots.lastBegun], [2, 3]);
});

Deno.test("rank 0 that left itself ends with what is wrong, once all know it", () => {
  const { lines, ends } = watch({
    rank: 0,
    slots: [[0, "begun", 2], [150, "closing", 1]],
    messages: [[50, 1, 3, 1, 0], [50, 2, 3, 2, 0]],
    until: 10_000,
  });
  const message = "rank 0 (a) left the run while rank 1 (b) waits for it in scatter (collective 3)";
  assert.deepEqual(lines.slice(2), ["200 to 1: 0,0,2,2,0,1,1,3", "200 to 2: 0,0,2,2,0,1,1,3"]);
  assert.deepEqual(ends, [{ kind: "left", message }]);
});

Deno.test("a rank that left ends with what is wrong; another waits five seconds, then ends the run", () => {
  const sentence =
    "rank 1 (b) left the run while rank 2 (c) waits for it in scatter (collective 7)";
  const messages = [[250, 0, 1, 3, 2, 1, 2, 1, 7], [350, 0, 1, 3, 2, 2, 1, 0, 9]] as const;
  const leaver = watch({ rank: 1, messages, until: 10_000 });
  assert.deepEqual(leaver.ends, [{ kind: "left", message: sentence }]);
  assert.deepEqual(leaver.lines, ["100 to 0: 1,0,0,0,0,0,0,0"]);
  const waiter = watch({ rank: 2, messages, arrived: () => BUSY, until: 10_000 });
  assert.deepEqual(waiter.lines.slice(1), ending(5400, sentence));
  assert.deepEqual(waiter.ends, failed(sentence));
  // What is under way to rank 0 is waited for, five seconds at most.
  const slow = watch({ rank: 1, messages, arrived: () => BUSY, until: 5290 });
  assert.deepEqual(slow.ends, [OVER]);
  const late = watch({ rank: 1, messages, arrived: () => BUSY, until: 5300 });
  assert.deepEqual(late.ends, [{ kind: "left", message: sentence }]);
});

Deno.test("a rank ends where its launcher has ended", () => {
  const sentence = "rank 1 (b): the launcher has ended, so this process ends too";
  const { lines, ends } = watch({ rank: 1, getppid: (now) => now < 700 ? 17 : 1, until: 5000 });
  assert.deepEqual(lines.slice(1), ending(700, sentence));
  assert.deepEqual(ends, failed(sentence));
  const free = watch({
    rank: 1,
    setup: { parent: undefined },
    getppid: () => 1,
    until: 500,
  });
  assert.deepEqual(free.ends, [OVER]);
});

Deno.test("a run ends without a C library, and where nobody reads what it says", () => {
  const sentence = silent("rank 1 (b)", "rank 0 (a) has");
  const setup = { cLibrary: undefined, parent: undefined };
  const bare = watch({ rank: 1, setup, arrived: () => BUSY, until: 30_000 });
  assert.deepEqual(bare.lines.slice(1), [
    ...ending(20_100, sentence).slice(0, 2),
    "20300 abort 99 1",
  ]);
  const stderr = () => {
    throw new Error("broken pipe");
  };
  const unread = watch({ rank: 1, stderr, arrived: () => BUSY, until: 30_000 });
  assert.deepEqual(unread.lines.slice(1), [
    "20100 alarm 5",
    "20100 abort 99 1",
    "20100 exit 1",
  ]);
  assert.deepEqual(unread.ends, failed(sentence));
});

Deno.test("an error of MPI's is told, and ends the watch", () => {
  for (
    const [codes, message] of [
      [{ MPI_Iprobe: 3 }, "Cannot look for heartbeats: MPI error 3"],
      [{ MPI_Recv: 4 }, "Cannot receive heartbeats: MPI error 4"],
      [{ MPI_Isend: 5 }, "Cannot send heartbeats: MPI error 5"],
      [{ MPI_Test: 6 }, "Cannot send heartbeats: MPI error 6"],
    ] as const
  ) {
    const { ends } = watch({ rank: 1, codes, messages: [[1000, 0]], until: 5000 });
    assert.deepEqual(ends, failed(message));
  }
});
