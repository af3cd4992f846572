import assert from "node:assert/strict";
import { localComms } from "../../tests/support/local_comm.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import { referenceLogps } from "./reference_logps.ts";

/** Three pairs; a token's loss is its own id. */
const examples = [[1, 2], [7], [3, 5, 10], [4], [6], [8, 9]].map((targets, i) =>
  stubExample(50 + i, targets)
);
const trainer = trainerStub({ tokenLoss: (target) => target });
const expected = Float64Array.of(-3, -7, -18, -4, -6, -17);

Deno.test("referenceLogps() sums the log-probabilities of each example's labels, whatever the batches", async () => {
  for (const [batchSize, told] of [[1, [2, 4, 6]], [2, [4, 6]], [3, [6]], [9, [6]]] as const) {
    const progress: number[] = [];
    const logps = await referenceLogps(trainer, examples, {
      batchSize,
      padId: 0,
      onProgress: (done) => progress.push(done),
    });
    assert.deepEqual(logps, expected);
    assert.deepEqual(progress, told);
  }
  assert.deepEqual(await referenceLogps(trainer, examples, { batchSize: 2, padId: 0 }), expected);
});

Deno.test("referenceLogps() is the same on all processes, each of which takes its share", async () => {
  const progress: number[][] = [[], []];
  const all = await Promise.all(
    localComms(2).map((comm) =>
      referenceLogps(trainer, examples, {
        batchSize: 1,
        padId: 0,
        group: new ProcessGroup(comm, undefined),
        onProgress: (done) => progress[comm.rank].push(done),
      })
    ),
  );
  assert.deepEqual(all, [expected, expected]);
  assert.deepEqual(progress, [[2, 6], [4]]);
});

Deno.test("referenceLogps() passes the signal on", async () => {
  const group = new ProcessGroup(undefined, AbortSignal.abort(new Error("enough")));
  const stub = {
    ...trainer,
    evaluate: (_: unknown, signal?: AbortSignal) => {
      signal?.throwIfAborted();
      return Promise.reject(new Error("went on"));
    },
  };
  await assert.rejects(referenceLogps(stub, examples, { batchSize: 1, padId: 0, group }), {
    message: "enough",
  });
});
