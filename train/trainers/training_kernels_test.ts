/** Which of ortune's kernels a kind of training launches, of a GPU that takes note of what it is asked for. */

import assert from "node:assert/strict";
import type { LossKernel, Objective } from "../../model/graphs/objective.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { parseDevice } from "../../ort/runtime/device.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { findObjective } from "../objectives/objectives.ts";
import type { MakeOptimizer, OptimizerDescription } from "../optimizers/optimizer_description.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import { findGpu, loadTrainingKernels } from "./training_kernels.ts";

/** Loads whatever it is given. */
const gpu = { load: () => Promise.resolve(new Map()) } as unknown as Gpu;
const config = tinyConfig({ head_dim: 6, hidden_size: 18, intermediate_size: 27 });
const made: MakeOptimizer = () => {
  throw new Error("Nothing is to be optimized");
};

Deno.test("an optimizer is made in kernels where it has any, of the format and constants asked for", async () => {
  const calls: unknown[][] = [];
  const optim: OptimizerDescription = {
    ...findOptimizer(),
    withKernels: (...args) => {
      calls.push(args);
      return Promise.resolve(made);
    },
  };
  const constants = { weightDecay: 0.1 };
  const objective: Objective = { ...findObjective(), loadKernel: undefined };
  const options = { config, precision: "bfloat16", format: "master", optim, objective } as const;
  const own = await loadTrainingKernels(gpu, { ...options, optimizer: constants });
  assert.equal(own.optimizer, made);
  assert.deepEqual(calls, [[gpu, "master", constants]]);
  const { withKernels: _, ...plain } = optim;
  const graphs = await loadTrainingKernels(gpu, { ...options, optim: { ...plain, make: made } });
  assert.equal(graphs.optimizer, made);
  assert.equal(
    (await loadTrainingKernels(gpu, { ...options, optim: plain })).optimizer,
    plain.make,
  );
});

Deno.test("a loss is computed in its kernel where it has one, and logits are the head's product", async () => {
  const kernel = {} as LossKernel;
  const calls: unknown[][] = [];
  const objective: Objective = {
    ...findObjective(),
    loadKernel: (...args) => {
      calls.push(args);
      return Promise.resolve(kernel);
    },
  };
  const { withKernels: _, ...optim } = findOptimizer();
  const options = { config, precision: "float32", format: "float32", optim } as const;
  const { engine } = await loadTrainingKernels(gpu, { ...options, objective });
  assert.equal(engine.loss, kernel);
  assert.deepEqual(calls, [[gpu, "float32"]]);
  const none = { ...objective, loadKernel: undefined };
  const plain = await loadTrainingKernels(gpu, { ...options, objective: none });
  assert.equal(plain.engine.loss, undefined);
  const capped = { ...config, logitCap: 30 };
  const other = await loadTrainingKernels(gpu, { ...options, config: capped, objective });
  assert.equal(other.engine.loss, undefined);
  assert.equal(calls.length, 1);
});

Deno.test("a GPU that cannot be opened is told of in one line", async () => {
  // Nobody's hundredth GPU: no driver, or no such device.
  const { gpu, reason } = await findGpu(parseDevice("cuda:99"), "float32");
  assert.equal(gpu, undefined);
  assert.match(reason!, /^Cannot .+$/);
});
