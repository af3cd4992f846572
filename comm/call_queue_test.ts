import assert from "node:assert/strict";
import { CallQueue } from "./call_queue.ts";

Deno.test("calls run one after another, in order, and their traffic is counted", async () => {
  const begun: string[] = [];
  const queue = new CallQueue({ onBegin: (call, kind) => begun.push(`${call} ${kind}`) });
  const first = Promise.withResolvers<void>();
  const ran: number[] = [];
  const calls = [
    queue.run("allReduceSum", 8, () => first.promise.then(() => void ran.push(1))),
    queue.run("barrier", 0, () => void ran.push(2)),
    queue.run("allReduceSum", 4, () => void ran.push(3)),
  ];
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(begun, ["1 allReduceSum"]);
  first.resolve();
  await Promise.all(calls);
  assert.deepEqual(ran, [1, 2, 3]);
  assert.deepEqual(begun, ["1 allReduceSum", "2 barrier", "3 allReduceSum"]);
  const { allReduceSum, barrier, broadcast } = queue.traffic;
  assert.deepEqual([allReduceSum.calls, allReduceSum.bytes], [2, 12]);
  assert.ok(allReduceSum.seconds >= 0.015, `${allReduceSum.seconds}`);
  assert.deepEqual([barrier.calls, broadcast.calls], [1, 0]);
});

Deno.test("after a failed call all later ones fail with its cause", async () => {
  const queue = new CallQueue();
  const failed = queue.run("allGather", 4, () => Promise.reject(new Error("no route to host")));
  const later = queue.run("barrier", 0, () => assert.fail("it must not run"));
  await assert.rejects(failed, new Error("no route to host"));
  const message = "Cannot run barrier: an earlier collective failed: no route to host";
  await assert.rejects(later, new Error(message));
  assert.equal(queue.broken, "no route to host");
  assert.equal(queue.traffic.allGather.calls, 0);
});

Deno.test("a call that takes too long fails, and says whom it waits for", async () => {
  const queue = new CallQueue({
    timeoutSeconds: 0.02,
    explainWait: (call) => `rank 3 is not at ${call}`,
  });
  await assert.rejects(
    queue.run("broadcast", 1, () => new Promise(() => {})),
    new Error(
      "Cannot finish broadcast (collective 1): it took longer than 0.02 s: rank 3 is not at 1",
    ),
  );
  await assert.rejects(queue.run("barrier", 0, () => {}), /an earlier collective failed/);
});

Deno.test("a closed queue ends what was queued and takes nothing more", async () => {
  const queue = new CallQueue();
  const wait = Promise.withResolvers<void>();
  const call = queue.run("barrier", 0, () => wait.promise);
  const closed = queue.close();
  await assert.rejects(
    queue.run("barrier", 0, () => {}),
    new Error("Cannot run barrier: the communicator is closed"),
  );
  wait.resolve();
  await Promise.all([call, closed]);
  assert.equal(queue.traffic.barrier.calls, 1);
});
