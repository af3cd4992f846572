import assert from "node:assert/strict";
import type { DeviceComm } from "../../comm/device_comm.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { deviceTensorComm, hostTensorComm, openTensorComm } from "./tensor_comm.ts";

const runtime = new Runtime({ threads: 2 });

Deno.test("on the host, tensors are summed, scattered and gathered in place", async () => {
  const results = await Promise.all(
    localComms(2).map(async (own) => {
      using comm = await openTensorComm(own, runtime);
      assert.deepEqual([comm.rank, comm.size], [own.rank, 2]);
      using summed = Tensor.allocate(runtime, "float32", [3]);
      using scattered = Tensor.allocate(runtime, "float32", [3]);
      using gathered = Tensor.allocate(runtime, "bfloat16", [3]);
      summed.float32().set([1, 2, 3].map((each) => each + 10 * own.rank));
      scattered.float32().set([4, 5, 6].map((each) => each + 10 * own.rank));
      gathered.bytes().set([1, 2, 3, 4, 5, 6].map((each) => each + 10 * own.rank));
      comm.allReduceSum(summed);
      comm.reduceScatterSum(scattered, [1, 2]);
      await comm.join();
      comm.allGather(gathered, [1, 2]);
      await comm.finish();
      return [[...summed.float32()], [...scattered.float32()], [...gathered.bytes()]];
    }),
  );
  const gathered = [1, 2, 13, 14, 15, 16];
  assert.deepEqual(results, [
    [[12, 14, 16], [18, NaN, NaN], gathered],
    [[12, 14, 16], [NaN, 20, 22], gathered],
  ]);
});

Deno.test("on the host, a call that failed is told of once, when calls are waited for", async () => {
  const [own] = localComms(1);
  const failure = new Error("rank 1 is gone");
  let gate = Promise.withResolvers<void>();
  const comm = hostTensorComm({
    ...own,
    allReduceSum: () => Promise.reject(failure),
    allGather: () => gate.promise,
  });
  using tensor = Tensor.allocate(runtime, "float32", [2]);
  for (const wait of [comm.join, comm.finish]) {
    comm.allReduceSum(tensor);
    await new Promise((resolve) => setTimeout(resolve, 1));
    await assert.rejects(wait(), (cause) => cause === failure);
    await wait();
    gate = Promise.withResolvers();
    comm.allGather(tensor, [2]);
    let ended = false;
    const waiting = wait().then(() => ended = true);
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert.ok(!ended);
    gate.resolve();
    await waiting;
  }
});

Deno.test("on devices, calls take addresses and counts of elements, and the device's communicator is taken over", async () => {
  const calls: unknown[] = [];
  const record = (name: string) => (...args: unknown[]) => void calls.push([name, ...args]);
  const failure = new Error("aborted");
  const device: DeviceComm = {
    rank: 1,
    size: 3,
    name: "stand-in",
    allReduceSum: record("allReduceSum"),
    reduceScatterSum: record("reduceScatterSum"),
    allGather: record("allGather"),
    broadcast: record("broadcast"),
    join: () => {
      throw failure;
    },
    finish: () => Promise.resolve(record("finish")()),
    [Symbol.dispose]: record("dispose"),
  };
  {
    using comm = deviceTensorComm(device);
    assert.deepEqual([comm.rank, comm.size], [1, 3]);
    using wide = Tensor.allocate(runtime, "float32", [2, 3]);
    using narrow = Tensor.allocate(runtime, "bfloat16", [6]);
    comm.allReduceSum(wide);
    comm.reduceScatterSum(wide, [1, 2, 3]);
    comm.allGather(narrow, [3, 2, 1]);
    await comm.finish();
    await assert.rejects(comm.join(), (cause) => cause === failure);
    assert.deepEqual(calls, [
      ["allReduceSum", wide.address, 6],
      ["reduceScatterSum", wide.address, [1, 2, 3]],
      ["allGather", narrow.address, [3, 2, 1], 2],
      ["finish"],
    ]);
  }
  assert.deepEqual(calls.at(-1), ["dispose"]);
});
