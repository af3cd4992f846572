/** Layers that carry a state from token to token, where other families' tests do not look. */

import assert from "node:assert/strict";
import { Decoder } from "../infer/generate/decoder.ts";
import { assertDevice, deviceKindsFor } from "../model/engine/assert_device.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine, type TrainingEngineOptions } from "../model/engine/training_engine.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { familyConfig, randomExamples, randomWeights, tinyBatch } from "./support/tiny_model.ts";

// Measured: losses of up to 10 2.2e-5, gradients 1.4e-6 of the largest.
const LOSSES = 5e-5;
const GRADIENTS = 1e-5;

const runtime = new Runtime({ threads: 2 });
const config = familyConfig("qwen3_5_text");

Deno.test("packed examples have the losses and gradients that they have alone, within chunks and across", async () => {
  using weights = randomWeights(runtime, config);
  // Ends of examples and of chunks of 64 tokens fall together once, and the convolution reads no other example.
  const examples = randomExamples([30, 2, 32, 70, 3, 40], config.vocabSize);
  const run = async (
    batch: ReturnType<typeof tinyBatch>,
    options: TrainingEngineOptions = {},
  ): Promise<{ losses: Float32Array; gradients: Float32Array }> => {
    using gradients = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
    using engine = new TrainingEngine(runtime, config, weights, gradients, options);
    const { losses } = await engine.forwardBackward(batch, { scale: 0.01, first: true });
    return { losses: losses.slice(), gradients: gradients.flat.float32().slice() };
  };
  const alone = await run(tinyBatch(examples.map((each) => [each]), 70), { skipPadding: false });
  const packs = [examples.slice(0, 4), examples.slice(4)];
  for (
    const [title, batch, options] of [
      ["packed", tinyBatch(packs, 150), {}],
      ["in one row", tinyBatch([examples], 200), {}],
      ["by segments", tinyBatch(packs, 150), { attentionChunk: 48 }],
      ["kept", tinyBatch(packs, 150), { gradientCheckpointing: false }],
    ] as const
  ) {
    const { losses, gradients } = await run(batch, options);
    const label = (what: string): string => `${title}: ${what}`;
    assertClose(losses, alone.losses, { absolute: LOSSES, label: label("losses") });
    assertClose(gradients, alone.gradients, {
      relativeToMax: GRADIENTS,
      label: label("gradients"),
    });
  }
});

Deno.test("a device without a kernel for the walk over tokens is refused, and never chosen", () => {
  assert.deepEqual(deviceKindsFor(config), ["cuda", "cpu"]);
  assertDevice(config, { kind: "cuda" });
  assert.throws(() => assertDevice(config, { kind: "webgpu" }), {
    name: "RangeError",
    message: "Cannot run qwen3_5_text on webgpu: ONNX Runtime has no kernel there for Scan, by " +
      "which layers of linear_attention go from token to token; pass --device cpu",
  });
  assert.deepEqual(deviceKindsFor(familyConfig("qwen3")), ["cuda", "webgpu", "cpu"]);
});

Deno.test("Decoder goes on after a chunk that was aborted between two layers as if it had not begun", async () => {
  using weights = randomWeights(runtime, config);
  using decoder = new Decoder(runtime, config, weights, { chunk: 4 });
  const first = Float32Array.from(await decoder.prefill([1, 2, 3, 4, 5, 6]));
  decoder.reset();
  await decoder.prefill([1, 2, 3]);
  for (const ids of [[9], [9, 9, 9]]) {
    let turns = 0;
    // Not before the second layer, when the first one has gone on.
    const signal = {
      throwIfAborted: () => {
        if (++turns === 2) throw new Error("enough");
      },
    } as AbortSignal;
    await assert.rejects(decoder.prefill(ids, signal), /enough/);
    assert.equal(decoder.position, 3);
  }
  const logits = await decoder.prefill([4, 5, 6]);
  assertClose(logits, first, { absolute: LOSSES, label: "logits" });
});
