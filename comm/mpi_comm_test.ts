import assert from "node:assert/strict";
import { openMpiComm } from "./mpi_comm.ts";

Deno.test("times that cannot be meant are refused before MPI is opened", async () => {
  for (
    const [options, message] of [
      [{ timeoutSeconds: 0 }, "timeoutSeconds is 0, not above 0 and at most 2000000"],
      [{ timeoutSeconds: 1e9 }, "timeoutSeconds is 1000000000, not above 0 and at most 2000000"],
      [{ heartbeatSeconds: NaN }, "heartbeatSeconds is NaN, not above 0 and at most 2000000"],
      [
        { heartbeatSeconds: 5, silenceSeconds: 9 },
        "silenceSeconds is 9, less than two heartbeats of 5 s",
      ],
    ] as const
  ) {
    await assert.rejects(
      openMpiComm({ ...options, libraryPath: "/nowhere" }),
      new RangeError(`Cannot open MPI: ${message}`),
    );
  }
});
