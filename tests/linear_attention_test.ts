/** Layers that carry a state from token to token, where other families' tests do not look. */

import assert from "node:assert/strict";
import { Decoder } from "../infer/generate/decoder.ts";
import { assertDevice, deviceKindsFor } from "../model/engine/assert_device.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine, type TrainingEngineOptions } from "../model/engine/training_engine.ts";
import { parseConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import { fitWeights } from "../model/weights/fit_weights.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
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

Deno.test("a checkpoint with images is read as its text model", () => {
  using weights = randomWeights(runtime, config);
  const { raw } = config;
  const { tie_word_embeddings, ...text_config } = raw;
  const whole = {
    architectures: ["Qwen3_5ForConditionalGeneration"],
    model_type: "qwen3_5",
    text_config,
    vision_config: { depth: 2 },
    image_token_id: 60,
    tie_word_embeddings,
  };
  const read = parseConfig(whole);
  const alone = { ...raw, architectures: ["Qwen3_5ForCausalLM"] };
  assert.deepEqual(read.raw, alone);
  const { raw: _, notes: [note, ...notes], ...same } = read;
  assert.deepEqual({ ...same, notes, raw }, { ...config, notes: config.notes.map(inText) });
  assert.match(note, /^config\.json: it is a model of images and text \(qwen3_5\): its text model/);
  const tensor = (shape: readonly number[]) => {
    const size = shape.reduce((product, dim) => product * dim, 1);
    return { dtype: "float32", shape, data: new Uint8Array(4 * size) } as const;
  };
  const named = modelParameters(config).map(({ name, shape }) =>
    [name.replace("model.", "model.language_model."), tensor(shape)] as const
  );
  const others = ["model.visual.patch_embed.proj.weight", "mtp.fc.weight"];
  const { source } = fitWeights(
    read,
    tensorSourceFromMap(new Map([...named, ...others.map((name) => [name, tensor([1])] as const)])),
  );
  assert.deepEqual(source.names().toSorted(), weights.names().toSorted());
  for (
    const [change, message] of [
      [{ text_config: [] }, /^Cannot read config\.json: text_config must be an object, got \[\]$/],
      [{ quantization_config: {} }, /quantization_config is \{\}: ortune trains float weights/],
      [
        { tie_word_embeddings: false, text_config: raw },
        /tie_word_embeddings is false and text_conf/,
      ],
      [
        { text_config: { ...text_config, hidden_size: 0 } },
        /^Cannot read config\.json: text_config: hidden_size must be a whole number/,
      ],
      [{ model_type: "qwen3_5_moe" }, /is "qwen3_5_moe": mixtures of experts are not supported/],
    ] as const
  ) assert.throws(() => parseConfig({ ...whole, ...change }), { name: "RangeError", message });
});

function inText(note: string): string {
  return note.replace("config.json: ", "config.json: text_config: ");
}

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
