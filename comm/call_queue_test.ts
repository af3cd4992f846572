import assert from "node:assert/strict";
import { CallQueue } from "./call_queue.ts";

Deno.test("calls are handed over at once, settle in order, and their traffic is counted", async () => {
  const queue = new CallQueue();
  const numbers: number[] = [];
  const first = Promise.withResolvers<number>();
  const settled: string[] = [];
  const calls = [
    queue.run("allReduceSum", 8, (call) => (numbers.push(call), first.promise)),
    queue.run("barrier", 0, (call) => (numbers.push(call), Promise.resolve(0.25))),
    queue.run("allReduceSum", 4, (call) => (numbers.push(call), Promise.resolve(0.5))),
  ].map((each, i) => each.then(() => settled.push(`${i}`)));
  assert.deepEqual(numbers, [1, 2, 3]);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(settled, []);
  first.resolve(2);
  await Promise.all(calls);
  assert.deepEqual(settled, ["0", "1", "2"]);
  const none = { calls: 0, bytes: 0, seconds: 0 };
  assert.deepEqual(queue.traffic, {
    allReduceSum: { calls: 2, bytes: 12, seconds: 2.5 },
    reduceScatterSum: none,
    allGather: none,
    broadcast: none,
    barrier: { calls: 1, bytes: 0, seconds: 0.25 },
  });
});

Deno.test("after a failed call all later ones fail with its cause", async () => {
  const queue = new CallQueue();
  const failed = queue.run("allGather", 4, () => Promise.reject(new Error("no route to host")));
  const queued = queue.run("barrier", 0, () => Promise.reject(new Error("not started")));
  await assert.rejects(failed, new Error("no route to host"));
  const message = "Cannot run barrier: an earlier collective failed: no route to host";
  await assert.rejects(queued, new Error(message));
  await assert.rejects(
    queue.run("barrier", 0, () => assert.fail("it must not start")),
    new Error(message),
  );
  assert.equal(queue.broken, "no route to host");
  assert.equal(queue.traffic.allGather.calls, 0);
});

Deno.test("a call that takes too long fails, and says whom it waits for", async () => {
  const queue = new CallQueue({
    timeoutSeconds: 0.05,
    explainWait: (call) => `rank 3 is not at ${call}`,
  });
  const slow = (milliseconds: number) => (): Promise<number> =>
    new Promise((resolve) => setTimeout(resolve, milliseconds, 0));
  // The time of a call begins when those before it have ended.
  const early = queue.run("barrier", 0, slow(30));
  const queued = queue.run("barrier", 0, slow(60));
  const late = queue.run("broadcast", 1, () => new Promise(() => {}));
  await Promise.all([early, queued]);
  await assert.rejects(
    late,
    new Error(
      "Cannot finish broadcast (collective 3): it took longer than 0.05 s: rank 3 is not at 3",
    ),
  );
});

Deno.test("a closed queue ends what was queued and takes nothing more", async () => {
  const queue = new CallQueue();
  const wait = Promise.withResolvers<number>();
  const call = queue.run("barrier", 0, () => wait.promise);
  const closed = queue.close();
  await assert.rejects(
    queue.run("barrier", 0, () => Promise.resolve(0)),
    new Error("Cannot run barrier: the communicator is closed"),
  );
  wait.resolve(0);
  await Promise.all([call, closed]);
  assert.equal(queue.traffic.barrier.calls, 1);
});

Deno.test("a call has all the time there is unless it is told otherwise, and who waits may be unknown", async () => {
  const patient = new CallQueue();
  const slow = () => new Promise<number>((resolve) => setTimeout(resolve, 60, 0.5));
  await patient.run("barrier", 3, slow);
  assert.deepEqual(patient.traffic.barrier, { calls: 1, bytes: 3, seconds: 0.5 });
  assert.equal(patient.broken, undefined);
  for (const explainWait of [undefined, () => undefined]) {
    const queue = new CallQueue({ timeoutSeconds: 0.02, explainWait });
    const message = "Cannot finish allGather (collective 1): it took longer than 0.02 s";
    await assert.rejects(
      queue.run("allGather", 1, () => new Promise(() => {})),
      new Error(message),
    );
    assert.equal(queue.broken, message);
    await queue.close();
  }
});
