import assert from "node:assert/strict";
import { type LocalCall, localComms } from "../../tests/support/local_comm.ts";
import { ProcessGroup } from "./process_group.ts";

Deno.test("a process alone has its own signal and sums, and asks nobody", async () => {
  const abort = new AbortController();
  const calls: LocalCall[] = [];
  const [comm] = localComms(1, (call) => calls.push(call));
  for (
    const group of [new ProcessGroup(undefined, abort.signal), new ProcessGroup(comm, abort.signal)]
  ) {
    assert.deepEqual([group.rank, group.size, group.signal], [0, 1, abort.signal]);
    const numbers = [1, 2];
    assert.equal(await group.sum(numbers), numbers);
    await group.agree();
  }
  assert.equal(new ProcessGroup(undefined, undefined).signal, undefined);
  assert.deepEqual(calls, []);
});

Deno.test("processes sum numbers, and get the same", async () => {
  const sums = await Promise.all(
    localComms(3).map(async (comm) => {
      const group = new ProcessGroup(comm, undefined);
      assert.deepEqual([group.rank, group.size], [comm.rank, 3]);
      const numbers = [comm.rank, 0.5, 2 ** 40];
      const sum = await group.sum(numbers);
      assert.deepEqual(numbers, [comm.rank, 0.5, 2 ** 40]);
      return sum;
    }),
  );
  assert.deepEqual(sums, Array(3).fill([3, 1.5, 3 * 2 ** 40]));
});

Deno.test("processes stop together, once any of them is asked to, with the reason of who was", async () => {
  const calls: LocalCall[] = [];
  const abort = new AbortController();
  const groups = localComms(3, (call) => calls.push(call)).map((comm) =>
    new ProcessGroup(
      comm,
      comm.rank === 2 ? undefined : comm.rank === 1 ? abort.signal : new AbortController().signal,
    )
  );
  const agree = () => Promise.all(groups.map((group) => group.agree()));
  await agree();
  assert.deepEqual(groups.map(({ signal }) => signal!.aborted), [false, false, false]);
  const reason = new Error("enough");
  abort.abort(reason);
  assert.deepEqual(groups.map(({ signal }) => signal!.aborted), [false, false, false]);
  await agree();
  assert.deepEqual(groups.map(({ signal }) => signal!.aborted), [true, true, true]);
  assert.equal(groups[1].signal!.reason, reason);
  // Nobody asks again.
  const asked = calls.length;
  await agree();
  assert.deepEqual([asked, calls.length], [6, 6]);
});

Deno.test("two processes are several", async () => {
  const abort = new AbortController();
  const groups = localComms(2).map((comm) => new ProcessGroup(comm, abort.signal));
  const sums = await Promise.all(groups.map((group) => group.sum([group.rank + 1])));
  assert.deepEqual(sums, [[3], [3]]);
  abort.abort();
  assert.deepEqual(groups.map(({ signal }) => signal!.aborted), [false, false]);
  await Promise.all(groups.map((group) => group.agree()));
  assert.deepEqual(groups.map(({ signal }) => signal!.aborted), [true, true]);
});
