import assert from "node:assert/strict";
import { localComms } from "../tests/support/local_comm.ts";
import { broadcastJson, gatherJson } from "./json_between_ranks.ts";

Deno.test("gatherJson() gives all ranks the values of all, of any length", async () => {
  const values = [{ a: "ü".repeat(300) }, undefined, [1, null], ""];
  const expected = [values[0], null, values[2], ""];
  const calls: string[] = [];
  const comms = localComms(4, ({ rank, kind, length }) => {
    if (rank === 1) calls.push(`${kind}: ${length}`);
  });
  const got = await Promise.all(comms.map((comm, rank) => gatherJson<unknown>(comm, values[rank])));
  assert.deepEqual(got, [expected, expected, expected, expected]);
  // 600 bytes of text and 8 around them, `null`, `[1,null]` and two quotes.
  assert.deepEqual(calls, ["allGather 4,4,4,4: 16", "allGather 608,4,8,2: 622"]);
});

Deno.test("broadcastJson() gives all ranks the value of rank 0, and reads no other", async () => {
  for (const [value, expected] of [[{ a: ["é"] }, { a: ["é"] }], [undefined, null]] as const) {
    const comms = localComms(3);
    const cyclic: Record<string, unknown> = {};
    cyclic.own = cyclic;
    const got = await Promise.all(
      comms.map((comm) => broadcastJson<unknown>(comm, comm.rank === 0 ? value : cyclic)),
    );
    assert.deepEqual(got, [expected, expected, expected]);
  }
});
