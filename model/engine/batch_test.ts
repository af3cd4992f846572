import assert from "node:assert/strict";
import { NO_TARGET, sequenceGrid } from "./batch.ts";

Deno.test("sequenceGrid() is one row in one segment, each token to be predicted from those before", () => {
  assert.equal(NO_TARGET, -100);
  assert.deepEqual(sequenceGrid([5, 0, 7]), {
    ...{ rows: 1, length: 3 },
    inputIds: BigInt64Array.of(5n, 0n, 7n),
    positionIds: BigInt64Array.of(0n, 1n, 2n),
    segmentIds: Int32Array.of(1, 1, 1),
    targets: Int32Array.of(0, 7, -100),
  });
});
