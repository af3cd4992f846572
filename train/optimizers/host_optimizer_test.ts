import assert from "node:assert/strict";
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
