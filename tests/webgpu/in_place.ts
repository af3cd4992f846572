/**
 * Training where outputs may not be written in place of inputs: Dawn under validation refuses them, as
 * browsers do. ortune's own check notices, and graphs write elsewhere.
 */

import assert from "node:assert/strict";
import { checkWebGpu, describeWebGpu } from "../../model/engine/check_webgpu.ts";
import { TrainingEngine } from "../../model/engine/training_engine.ts";
import { loadWeights } from "../../model/engine/load_weights.ts";
import { parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import {
  emptyStore,
  randomExamples,
  randomWeights,
  tinyBatch,
  tinyConfig,
} from "../support/tiny_model.ts";

const strict = new Runtime({
  threads: 2,
  device: parseDevice("webgpu"),
  webGpuSettings: { validationMode: "full" },
});
const host = new Runtime({ threads: 2 });

// Times the largest element. Measured on lavapipe: gradients 2.5e-6, losses 1.4e-7.
const GRADIENTS = 5e-6;
const LOSSES = 2e-6;

async function pass(on: Runtime): Promise<{ losses: number[]; gradients: Float32Array[] }> {
  const config = tinyConfig();
  using source = randomWeights(host, config);
  using weights = emptyStore(on, config);
  await loadWeights(on, weights, source);
  using gradients = emptyStore(on, config);
  using engine = new TrainingEngine(on, config, weights, gradients, {
    graphsOnly: true,
    headChunk: 24,
    skipPadding: false,
  });
  const [a, b, c] = randomExamples([40, 33, 17], 64);
  const losses: number[] = [];
  for (const [i, batch] of [tinyBatch([[a, c]], 60), tinyBatch([[b], [c]], 40)].entries()) {
    losses.push(...(await engine.forwardBackward(batch, { scale: 0.02, first: i === 0 })).losses);
  }
  const values = gradients.names().map((name) => gradients.tensor(name).hostFloat32().slice());
  return { losses, gradients: values };
}

Deno.test("a driver that refuses outputs in place is noticed, and told of once", () => {
  const found = checkWebGpu(strict);
  assert.equal(found.writesInPlace, false);
  assert.equal(strict.writesInPlace, false);
  assert.match(
    describeWebGpu(found),
    /; it writes no output in place of an input, so such outputs/,
  );
});

Deno.test("training gives the CPU's losses and gradients there", async () => {
  const expected = await pass(host);
  const actual = await pass(strict);
  assert.ok(expected.losses.length > 50);
  const losses = assertClose(
    Float32Array.from(actual.losses),
    Float32Array.from(expected.losses),
    { label: "losses", relativeToMax: LOSSES },
  );
  let worst = 0;
  for (const [i, wanted] of expected.gradients.entries()) {
    const { maxAbsolute } = assertClose(actual.gradients[i], wanted, {
      label: `gradient ${i}`,
      relativeToMax: GRADIENTS,
    });
    worst = Math.max(worst, maxAbsolute / (Math.max(...wanted.map(Math.abs)) || 1));
  }
  const largest = Math.max(...expected.losses);
  if (Deno.env.get("ORTUNE_REPORT")) console.log(losses.maxAbsolute / largest, worst);
});
