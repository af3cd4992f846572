/** Logits and every gradient of tiny models of all families, against PyTorch in float64. */

import assert from "node:assert/strict";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { readAll, readFloat32 } from "../ort/tensor/tensor_source.ts";
import { expectedBatch, loadFixtureModel, withFixtureFile } from "./support/parity_fixture.ts";

// Measured worst over the six models: logits 2.0e-5 absolute, gradients 6.5e-6 of the largest.
const LOGITS_ABSOLUTE = 1e-4;
const GRADIENT_RELATIVE = 1e-4;

const runtime = new Runtime({ threads: 2 });

const models = await withFixtureFile("expected.safetensors");

for (const name of models) {
  Deno.test(`${name}: logits, loss and every gradient are PyTorch's`, async () => {
    const { config, weights, expected } = await loadFixtureModel(runtime, name);
    using gradients = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
    using engine = new TrainingEngine(runtime, config, weights, gradients, { headChunk: 50 });
    const batch = await expectedBatch(expected);

    const real = Int32Array.from(batch.segmentIds.keys()).filter((i) => batch.segmentIds[i] > 0);
    const logits = await engine.logits(batch, real);
    const wanted = await readFloat32(expected, "logits");
    // Of some models every so manieth column is kept.
    const columns = expected.info("logits").shape.at(-1)!;
    const stride = Math.ceil(config.vocabSize / columns);
    const actual: number[] = [];
    const reference: number[] = [];
    real.forEach((token, row) => {
      for (let column = 0; column < columns; column++) {
        actual.push(logits[row * config.vocabSize + column * stride]);
        reference.push(wanted[token * columns + column]);
      }
    });
    const { maxAbsolute } = assertClose(actual, reference, {
      absolute: LOGITS_ABSOLUTE,
      label: "logits",
    });

    const supervised = batch.targets.filter((target) => target >= 0).length;
    // Garbage in the store shows that the first batch writes, and half the scale twice that the
    // second one adds.
    gradients.flat.float32().fill(7);
    for (const first of [true, false]) {
      await engine.forwardBackward(batch, { scale: 0.5 / supervised, first });
    }
    const { losses } = await engine.evaluate(batch);
    const loss = losses.reduce((sum, each) => sum + each, 0) / supervised;
    assertClose([loss], await readFloat32(expected, "loss"), { relative: 1e-6, label: "loss" });

    let worstGradient = 0;
    for (const parameter of gradients.names()) {
      let got: Float32Array = gradients.tensor(parameter).float32();
      if (
        expected.info(`grad.${parameter}`).shape.join() !== gradients.info(parameter).shape.join()
      ) {
        const rows = new BigInt64Array((await readAll(expected, "grad_rows")).buffer);
        const width = config.hiddenSize;
        const all = got;
        got = Float32Array.from(
          { length: rows.length * width },
          (_, i) => all[Number(rows[Math.floor(i / width)]) * width + i % width],
        );
      }
      const reference = await readFloat32(expected, `grad.${parameter}`);
      const closeness = assertClose(got, reference, {
        relativeToMax: GRADIENT_RELATIVE,
        label: parameter,
      });
      const largest = reference.reduce((max, each) => Math.max(max, Math.abs(each)), 0);
      worstGradient = Math.max(worstGradient, closeness.maxAbsolute / largest);
    }
    if (Deno.env.get("ORTUNE_REPORT")) {
      console.log(name, { logits: maxAbsolute, gradient: worstGradient });
    }
    weights[Symbol.dispose]();
    await expected[Symbol.asyncDispose]();
  });
}

for (const name of models) {
  Deno.test(`${name}: keeping what forward computed gives the very gradients of recomputing it`, async () => {
    const { config, weights, expected } = await loadFixtureModel(runtime, name);
    const batch = await expectedBatch(expected);
    const [recomputed, kept] = await Promise.all([true, false].map(async (checkpointing) => {
      const gradients = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
      using engine = new TrainingEngine(runtime, config, weights, gradients, {
        gradientCheckpointing: checkpointing,
      });
      for (const first of [true, false]) {
        await engine.forwardBackward(batch, { scale: 0.01, first });
      }
      return gradients;
    }));
    assert.deepEqual(kept.flat.bytes(), recomputed.flat.bytes());
    for (const store of [recomputed, kept, weights]) store[Symbol.dispose]();
    await expected[Symbol.asyncDispose]();
  });
}
