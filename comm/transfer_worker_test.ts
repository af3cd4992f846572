/** How transfers are split, over a stand-in that writes down what it is asked to move. */

import assert from "node:assert/strict";
import { canRun } from "../tests/support/can_run.ts";
import { repositoryPath, runScript } from "../tests/support/run_script.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { SLOTS } from "./heartbeat_worker.ts";
import { MPI_SYMBOLS } from "./mpi_symbols.ts";
import { type Transfer, type TransferEnd, transferWorker } from "./transfer_worker.ts";

const PIECE_BYTES = 1 << 30;
const ignore = !await canRun("cc", ["--version"]);

/** What MPI is asked for by a rank of three, whose left is 0 and whose right is 2. */
async function traced(transfer: Partial<Transfer>): Promise<string[]> {
  await using folder = await tempFolder();
  const library = `${folder.path}/libmpi.so`;
  const source = repositoryPath("tests/support/stand_in_mpi.c");
  const args = ["-shared", "-fPIC", "-DTRACE", "-o", library, source];
  assert.ok((await new Deno.Command("cc", { args }).output()).success);
  const { code, stdout, stderr } = await runScript(
    `import { SLOTS } from "${repositoryPath("comm/heartbeat_worker.ts")}";
    import { MPICH } from "${repositoryPath("comm/mpi_handles.ts")}";
    import { mpiSymbols } from "${repositoryPath("comm/mpi_symbols.ts")}";
    import { transferWorker } from "${repositoryPath("comm/transfer_worker.ts")}";
    let handle;
    const end = Promise.withResolvers();
    const port = { on: (_, listener) => handle = listener, postMessage: end.resolve };
    transferWorker(port, {
      library: ${JSON.stringify(library)},
      symbols: mpiSymbols(MPICH.handle),
      comm: 0x84000001 | 0,
      rank: 1, size: 3, pieceBytes: ${PIECE_BYTES}, slots: SLOTS,
      state: new SharedArrayBuffer(64),
      sum: MPICH.sum, inPlace: MPICH.inPlace, statusIgnore: MPICH.statusIgnore, procNull: -1,
    });
    handle({ call: 1, kind: 0, bytes: 4, type: MPICH.float, root: 0, address: 0x1000n, ...${
      JSON.stringify(transfer)
    } });
    const { failed } = await end.promise;
    if (failed) throw new Error(failed.name);`,
    ["--allow-ffi"],
  );
  assert.equal(code, 0, stderr);
  return stdout.split("\n");
}

Deno.test({
  name: "a sum of more than 2^32 bytes goes in pieces without gaps",
  ignore,
  async fn() {
    const count = 2 ** 31 + 5;
    const lines = await traced({ operation: "allReduce", parts: [{ start: 0, count }] });
    let next = 0x1000;
    for (const line of lines) {
      const [, address, length] = /^sum ([\da-f]+) (\d+)$/.exec(line)!;
      assert.equal(parseInt(address, 16), next);
      assert.ok(4 * Number(length) <= PIECE_BYTES);
      next += 4 * Number(length);
    }
    assert.equal(next, 0x1000 + 4 * count);
    assert.equal(lines.length, 9);
  },
});

Deno.test({
  name: "parts go around the ring: sums end, and gathers begin, at each rank's own part",
  ignore,
  async fn() {
    // Rank 0's part takes two pieces, and rank 2's is empty: then there is no message.
    const most = PIECE_BYTES / 4;
    const parts = [
      { start: 0, count: most + 1 },
      { start: most + 1, count: 7 },
      { start: most + 8, count: 0 },
    ];
    const at = (element: number): string => (0x1000 + 4 * element).toString(16);
    // Additions run beside the transfers.
    const scattered = await traced({ operation: "reduceScatter", parts });
    assert.deepEqual(scattered.filter((line) => line.startsWith("send")), [
      `send ${at(0)} ${most} to 2, receive 0 from -1`,
      `send ${at(most)} 1 to 2, receive 0 from -1`,
      `send 1000 0 to -1, receive 7 from 0`,
    ]);
    assert.deepEqual(scattered.filter((line) => line.startsWith("add")), [`add ${at(most + 1)} 7`]);
    assert.deepEqual(await traced({ operation: "gather", parts }), [
      `send ${at(most + 1)} 7 to 2, receive ${most} from 0`,
      `send 1000 0 to -1, receive 1 from 0`,
      `send ${at(0)} ${most} to 2, receive 0 from -1`,
      `send ${at(most)} 1 to 2, receive 0 from -1`,
    ]);
  },
});

type Values = readonly (number | bigint | Deno.PointerValue)[];

/** What a rank of three asks MPI for, of pieces of 16 bytes, and how each transfer ends. */
async function asked(
  transfers: readonly Partial<Transfer>[],
  { rank = 1, codes = {} }: {
    readonly rank?: number;
    /** What functions answer, by their lines. @default 0 */
    readonly codes?: Readonly<Record<string, number>>;
  } = {},
): Promise<{ lines: string[]; ends: TransferEnd[]; state: BigInt64Array }> {
  const lines: string[] = [];
  /** Addresses that are the worker's own, in the order in which they come. */
  const own: bigint[] = [];
  const note = (name: string, values: Values): number => {
    const words = values.map((value) => {
      if (typeof value !== "object") return `${value}`;
      const address = Deno.UnsafePointer.value(value);
      if (BigInt(address) < 0x10000n) return `@${address.toString(16)}`;
      if (!own.includes(address)) own.push(address);
      return `buffer ${own.indexOf(address)}`;
    });
    lines.push(`${name} ${words.join(" ")}`);
    return codes[lines.at(-1)!] ?? codes[name] ?? 0;
  };
  const names = ["MPI_Allreduce", "MPI_Bcast", "MPI_Barrier", "MPI_Sendrecv"];
  const symbols = {
    ...Object.fromEntries(names.map((name) => [name, (...values: Values) => note(name, values)])),
    async reduceLocal(...values: Values): Promise<number> {
      const code = note("add", values);
      await new Promise((resolve) => setTimeout(resolve, 1));
      lines.push("added");
      return code;
    },
  };
  let hand: (transfer: Transfer) => void;
  const all = Promise.withResolvers<void>();
  const ends: TransferEnd[] = [];
  const state = new BigInt64Array(new SharedArrayBuffer(8 * Object.keys(SLOTS).length));
  const { dlopen } = Deno;
  Object.assign(Deno, { dlopen: () => ({ symbols }) });
  try {
    transferWorker({
      on: (_, listener) => hand = listener,
      postMessage(end): void {
        ends.push(end);
        if (ends.length === transfers.length) all.resolve();
      },
    }, {
      library: "mpi",
      symbols: MPI_SYMBOLS,
      comm: 77,
      sum: 5,
      inPlace: 9n,
      statusIgnore: 8n,
      procNull: -3,
      rank,
      size: 3,
      pieceBytes: 16,
      slots: SLOTS,
      state: state.buffer as SharedArrayBuffer,
    });
  } finally {
    Object.assign(Deno, { dlopen });
  }
  for (const each of transfers) {
    hand!({
      call: 1,
      kind: 0,
      operation: "barrier",
      address: 0x1000n,
      bytes: 4,
      type: 6,
      parts: [],
      root: 0,
      ...each,
    });
  }
  await all.promise;
  return { lines, ends, state };
}

Deno.test("a whole array is summed or sent in pieces of its own type, one after another", async () => {
  const { lines, ends } = await asked([
    { operation: "allReduce", parts: [{ start: 2, count: 9 }] },
    { operation: "allReduce", bytes: 8, type: 7, parts: [{ start: 0, count: 2 }] },
    { operation: "broadcast", bytes: 1, type: 3, root: 2, parts: [{ start: 0, count: 17 }] },
    { operation: "barrier" },
    { operation: "allReduce", parts: [{ start: 0, count: 0 }] },
  ]);
  assert.deepEqual(lines, [
    "MPI_Allreduce @9 @1008 4 6 5 77",
    "MPI_Allreduce @9 @1018 4 6 5 77",
    "MPI_Allreduce @9 @1028 1 6 5 77",
    "MPI_Allreduce @9 @1000 2 7 5 77",
    "MPI_Bcast @1000 16 3 2 77",
    "MPI_Bcast @1010 1 3 2 77",
    "MPI_Barrier 77",
  ]);
  assert.equal(ends.length, 5);
  for (const { call, seconds, failed } of ends) {
    assert.deepEqual([call, failed], [1, undefined]);
    assert.ok(seconds >= 0 && seconds < 10);
  }
});

Deno.test("the worker says what it took in seconds", async () => {
  const { ends: [{ seconds }] } = await asked([{
    operation: "reduceScatter",
    parts: Array.from({ length: 3 }, (_, i) => ({ start: 60 * i, count: 60 })),
  }]);
  // Thirty additions of a millisecond.
  assert.ok(seconds >= 0.03 && seconds < 10, `${seconds}`);
});

Deno.test("a call is written down for the watch as it begins, and one that is nobody's is not", async () => {
  const { state } = await asked([{ call: 7, kind: 3 }, { call: 8, kind: 2 }, { call: 0, kind: 4 }]);
  assert.deepEqual([state[SLOTS.kind], state[SLOTS.begun]], [2n, 8n]);
  assert.deepEqual(state.reduce((sum, each) => sum + each), 10n);
});

const PARTS = [{ start: 0, count: 5 }, { start: 5, count: 4 }, { start: 9, count: 1 }];

Deno.test("gathers send around the ring what came from the left, each part into its own place", async () => {
  const gather = (rank: number) => asked([{ operation: "gather", parts: PARTS }], { rank });
  // Of five elements of rank 0 four go in the first piece.
  assert.deepEqual((await gather(0)).lines, [
    "MPI_Sendrecv @1000 4 6 1 0 @1024 1 6 2 0 77 @8",
    "MPI_Sendrecv @1010 1 6 1 0 @1000 0 6 -3 0 77 @8",
    "MPI_Sendrecv @1024 1 6 1 0 @1014 4 6 2 0 77 @8",
  ]);
  assert.deepEqual((await gather(1)).lines, [
    "MPI_Sendrecv @1014 4 6 2 0 @1000 4 6 0 0 77 @8",
    "MPI_Sendrecv @1000 0 6 -3 0 @1010 1 6 0 0 77 @8",
    "MPI_Sendrecv @1000 4 6 2 0 @1024 1 6 0 0 77 @8",
    "MPI_Sendrecv @1010 1 6 2 0 @1000 0 6 -3 0 77 @8",
  ]);
  assert.deepEqual((await gather(2)).lines, [
    "MPI_Sendrecv @1024 1 6 0 0 @1014 4 6 1 0 77 @8",
    "MPI_Sendrecv @1014 4 6 0 0 @1000 4 6 1 0 77 @8",
    "MPI_Sendrecv @1000 0 6 -3 0 @1010 1 6 1 0 77 @8",
  ]);
});

Deno.test("parts are summed while the next piece is under way, in two buffers by turns", async () => {
  const { lines, ends } = await asked([{ operation: "reduceScatter", parts: PARTS }], { rank: 1 });
  // The first sum around the ring is of the part of the rank before the left one.
  assert.deepEqual(lines, [
    "MPI_Sendrecv @1000 4 6 2 0 buffer 0 1 6 0 0 77 @8",
    "add buffer 0 @1024 1 6 5",
    "MPI_Sendrecv @1010 1 6 2 0 buffer 1 0 6 -3 0 77 @8",
    "added",
    "MPI_Sendrecv @1024 1 6 2 0 buffer 0 4 6 0 0 77 @8",
    "add buffer 0 @1014 4 6 5",
    "added",
  ]);
  assert.equal(ends[0].failed, undefined);
  const longer = await asked([
    { operation: "reduceScatter", parts: PARTS.map((_, i) => ({ start: 8 * i, count: 8 })) },
  ], { rank: 2 });
  assert.deepEqual(longer.lines, [
    "MPI_Sendrecv @1020 4 6 0 0 buffer 0 4 6 1 0 77 @8",
    "add buffer 0 @1000 4 6 5",
    "MPI_Sendrecv @1030 4 6 0 0 buffer 1 4 6 1 0 77 @8",
    "added",
    "add buffer 1 @1010 4 6 5",
    "added",
    "MPI_Sendrecv @1000 4 6 0 0 buffer 0 4 6 1 0 77 @8",
    "add buffer 0 @1040 4 6 5",
    "MPI_Sendrecv @1010 4 6 0 0 buffer 1 4 6 1 0 77 @8",
    "added",
    "add buffer 1 @1050 4 6 5",
    "added",
  ]);
});

Deno.test("the first error ends a transfer, and all that come after it", async () => {
  const parts = [{ start: 0, count: 9 }];
  for (
    const [operation, line, name, most] of [
      ["allReduce", "MPI_Allreduce @9 @1010 4 6 5 77", "MPI_Allreduce", 2],
      ["broadcast", "MPI_Bcast @1010 4 6 0 77", "MPI_Bcast", 2],
      ["barrier", "MPI_Barrier 77", "MPI_Barrier", 1],
      ["gather", "MPI_Sendrecv @1000 0 6 -3 0 @1010 1 6 0 0 77 @8", "MPI_Sendrecv", 2],
      ["reduceScatter", "MPI_Sendrecv @1000 4 6 2 0 buffer 0 1 6 0 0 77 @8", "MPI_Sendrecv", 1],
      ["reduceScatter", "add buffer 0 @1024 1 6 5", "MPI_Reduce_local", 4],
      ["reduceScatter", "add buffer 0 @1014 4 6 5", "MPI_Reduce_local", 7],
    ] as const
  ) {
    const whole = operation === "allReduce" || operation === "broadcast";
    const { lines, ends } = await asked([
      { call: 3, operation, parts: whole ? parts : PARTS },
      { call: 4, operation: "barrier" },
    ], { codes: { [line]: 15 } });
    assert.equal(lines.length, most, lines.join("\n"));
    const failed = { name, code: 15 };
    assert.deepEqual(ends.map(({ call, failed }) => ({ call, failed })), [
      { call: 3, failed },
      { call: 4, failed },
    ]);
  }
});
