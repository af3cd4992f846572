import assert from "node:assert/strict";
import type { Comm } from "../../comm/comm.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { HostOptimizer, type HostUpdate } from "./host_optimizer.ts";

/** What an update of gradients of a norm is told. */
async function clipOf(norm: number, maxGradNorm: number): Promise<number | undefined> {
  let told: number | undefined;
  const update: HostUpdate = {
    gradientNorm: () => Promise.resolve(norm),
    update: ({ clip }) => Promise.resolve(void (told = clip)),
    state: () => assert.fail("its state was asked for"),
    load: () => assert.fail("it was loaded"),
    [Symbol.dispose]: () => {},
  };
  const optimizer = new HostOptimizer(update, maxGradNorm);
  optimizer.begin({ learningRate: 1, tokens: 1, seed: 0 });
  await optimizer.update();
  return told;
}

Deno.test("HostOptimizer clips by the norm and 1e-6, as PyTorch does, and by no more than 1", async () => {
  assert.equal(await clipOf(1e-6, 1e-6), 0.5);
  assert.equal(await clipOf(3, 1), 1 / (3 + 1e-6));
  assert.equal(await clipOf(0.5, 1), 1);
  assert.equal(await clipOf(1e9, 0), 1);
  assert.equal(await clipOf(0, 1), 1);
  for (const norm of [NaN, Infinity]) assert.equal(await clipOf(norm, 1), undefined);
});

Deno.test("HostOptimizer takes means of losses over all processes, counts its updates, and tells results once", async () => {
  const runtime = new Runtime({ threads: 2 });
  const told: unknown[] = [];
  const norms = [1, NaN, 4, 2];
  const parts = { settle: () => Promise.resolve(), write: () => Promise.resolve(undefined) };
  const source = tensorSourceFromMap(new Map());
  const update: HostUpdate = {
    gradientNorm: () => Promise.resolve(norms[Math.min(told.length, 2)]),
    update: (options) => Promise.resolve(void told.push(options)),
    state: () => source,
    load: (given) => Promise.resolve(void told.push(given)),
    parts,
    [Symbol.dispose]: () => void told.push("disposed"),
  };
  const comm: Comm = {
    ...localComms(1)[0],
    // As if another process had the same.
    allReduceSum: (values) => Promise.resolve(void (values[0] *= 2)),
  };
  const optimizer = new HostOptimizer(update, 2, comm);
  assert.equal(optimizer.maxUnread, Infinity);
  using losses = Tensor.allocate(runtime, "float32", [3, 1]);
  const make = async (learningRate: number, batches: readonly (readonly number[])[]) => {
    optimizer.begin({ learningRate, tokens: 8, seed: 0 });
    for (const values of batches) {
      losses.float32().set(values);
      optimizer.addLosses(losses);
    }
    await optimizer.update();
  };
  await make(0.5, [[1, 2, 3], [4, 0, 2]]);
  // Not finite: nothing is changed, and the number of the update stays.
  await make(0.25, [[1, 1, 1]]);
  assert.equal(told.length, 1);
  norms[1] = 4;
  await make(0.125, [[NaN, 1, 1]]);
  assert.equal(told.length, 1);
  await make(0.125, [[1, 1, 2]]);
  assert.deepEqual(told, [
    { learningRate: 0.5, clip: 1, step: 1 },
    { learningRate: 0.125, clip: 2 / (4 + 1e-6), step: 2 },
  ]);
  assert.deepEqual(optimizer.results(), [
    { loss: 3, gradNorm: 1, skipped: false },
    { loss: 0.75, gradNorm: NaN, skipped: true },
    { loss: NaN, gradNorm: 4, skipped: true },
    { loss: 1, gradNorm: 4, skipped: false },
  ]);
  assert.deepEqual(optimizer.results(), []);
  optimizer.resumeAt(41);
  await make(1, [[0, 0, 0]]);
  assert.deepEqual(told[2], { learningRate: 1, clip: 2 / (4 + 1e-6), step: 42 });
  assert.equal(optimizer.state(), source);
  assert.equal(optimizer.parts, parts);
  await optimizer.load(source);
  optimizer[Symbol.dispose]();
  assert.deepEqual(told.slice(3), [source, "disposed"]);
});
