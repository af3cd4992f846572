/** How transfers are split, over a stand-in that writes down what it is asked to move. */

import assert from "node:assert/strict";
import { canRun } from "../tests/support/can_run.ts";
import { repositoryPath, runScript } from "../tests/support/run_script.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import type { Transfer } from "./transfer_worker.ts";

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
