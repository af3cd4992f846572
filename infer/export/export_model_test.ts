/** Exports of a small model against the engine that trains, and their files to the byte. */

import assert from "node:assert/strict";
import { adaptModel } from "../../lora/load_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import type { ModelConfig } from "../../model/config.ts";
import { positionTables } from "../../model/rope.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { float32ToFloat16 } from "../../ort/tensor/half.ts";
import { quantizeBlocks } from "../../ort/tensor/quantize_blocks.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { draws } from "../../tests/support/random.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { familyConfig, randomWeights, tinyConfig } from "../../tests/support/tiny_model.ts";
import { EXPORT_FORMATS, type ExportDtype, modelFile } from "./export_format.ts";
import { exportModel, type ExportModelOptions } from "./export_model.ts";
import { ExportedDecoder } from "./exported_decoder.ts";
import { layOutExternal } from "./external_layout.ts";
import { type GraphWeight, modelGraph } from "./model_graph.ts";
import { compareParity, parityReference } from "./parity.ts";
import {
  checkpointParityModel,
  exportParityModel,
  type LoadedCheckpoint,
} from "./parity_models.ts";

/** Sizes that every format can hold, all different. */
const SIZES = {
  hidden_size: 64,
  intermediate_size: 96,
  head_dim: 16,
  num_hidden_layers: 2,
  max_position_embeddings: 300,
};
const config = tinyConfig(SIZES);

/** A folder with an export. */
async function exported(options: ExportModelOptions) {
  const folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/onnx`);
  return { folder, ...await exportModel(folder.path, options) };
}

/** How far an export is from its checkpoint, as a share of the largest logit. */
async function errorOf(
  runtime: Runtime,
  { dtype, config, weights, adapter }: ExportModelOptions,
  checkpoint: LoadedCheckpoint,
): Promise<number> {
  const { folder } = await exported({ dtype, config, weights, adapter });
  await using _folder = folder;
  const draw = draws(3);
  const ids = (length: number): Int32Array =>
    Int32Array.from({ length }, () => Math.floor(draw(0, config.vocabSize)));
  const questions = { prompts: [ids(1), ids(9)], greedyTokens: 6, text: [ids(20), ids(7)] };
  using model = checkpointParityModel(runtime, checkpoint);
  const reference = await parityReference(model, questions);
  const decoder = new ExportedDecoder(runtime, folder.path, { config, dtype });
  using other = exportParityModel(decoder, config);
  const report = await compareParity(other, questions, reference);
  if (dtype === "fp32") assert.deepEqual(report.greedy.same, [6, 6]);
  return report.maxAbsolute / report.largestLogit;
}

const FAMILIES: Readonly<Record<string, ModelConfig>> = {
  "Qwen3": config,
  "Gemma 3 with two kinds of layers": familyConfig("gemma3_text", SIZES),
  "Ministral with queries that grow": familyConfig("ministral3", SIZES),
  "Granite with biases": familyConfig("granite", {
    ...SIZES,
    attention_bias: true,
    tie_word_embeddings: false,
  }),
};

for (const [name, config] of Object.entries(FAMILIES)) {
  Deno.test(`an export of ${name} has the checkpoint's logits and tokens`, async () => {
    using runtime = new Runtime({ threads: 1 });
    using weights = randomWeights(runtime, config);
    const error = await errorOf(runtime, { config, weights, dtype: "fp32" }, { config, weights });
    // Measured worst: 1e-6.
    assert.ok(error < 1e-5, `${error}`);
  });
}

/** What is left of a matrix in whole numbers of some bits. */
function rounded(values: Float32Array, bits: 4 | 8, scaleDtype: "float32" | "float16"): void {
  const { data, scales } = quantizeBlocks(values, { bits, block: 32, scaleDtype });
  for (let i = 0; i < values.length; i++) {
    const q = bits === 8 ? data[i] - 128 : ((data[i >> 1] >> (4 * (i % 2))) & 15) - 8;
    values[i] = scales[Math.floor(i / 32)] * q;
  }
}

// Measured worst: 0.0009 and 0.0013 for activations in float16, 0.02 for activations in 8 bits.
const SHARES: readonly (readonly [ExportDtype, number, readonly boolean[]])[] = [
  ["fp16", 0.01, [true]],
  ["q4f16", 0.01, [true, false]],
  ["q4", 0.06, [false]],
];
for (const [dtype, share, heads] of SHARES) {
  Deno.test(`an export in ${dtype} is the checkpoint as it is rounded`, async () => {
    for (const tied of heads) {
      const config = tinyConfig({ ...SIZES, tie_word_embeddings: tied });
      using runtime = new Runtime({ threads: 1 });
      using weights = randomWeights(runtime, config);
      using reference = randomWeights(runtime, config);
      const { bits, float } = EXPORT_FORMATS[dtype];
      for (const name of reference.names()) {
        const { shape } = reference.tensor(name);
        if (!bits || shape.length < 2) continue;
        const own = /embed_tokens|lm_head/.test(name) ? bits.table : bits.blocks;
        rounded(reference.tensor(name).float32(), own, float);
      }
      const options = { config, weights, dtype };
      const error = await errorOf(runtime, options, { config, weights: reference });
      assert.ok(error < share, `${error}`);
    }
  });
}

Deno.test("an adapter that is kept apart has a file of its own, and its scale", async () => {
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  const lora = { ...DEFAULT_LORA, rank: 4, alpha: 6 };
  using adapted = adaptModel(runtime, { config, base: weights, lora });
  const draw = draws(5);
  const values = adapted.trained.flat.float32();
  for (let i = 0; i < values.length; i++) values[i] = draw(-0.2, 0.2);
  const adapter = { lora, weights: adapted.trained };
  const options = { config, weights, dtype: "fp32", adapter } as const;
  const error = await errorOf(runtime, options, { config, weights, adapted });
  assert.ok(error < 1e-5, `${error}`);
  const { folder, files } = await exported(options);
  await using _folder = folder;
  assert.deepEqual(files.map(({ path }) => path), [
    "onnx/model.onnx_data",
    "onnx/model.onnx_data_1",
    "onnx/model.onnx",
  ]);
  await assert.rejects(
    exported({ ...options, adapter: { ...adapter, lora: { ...lora, dora: true } } }),
    new RangeError(
      "Cannot keep a DoRA adapter apart from its model: its magnitudes scale the model's own rows; " +
        "leave out --keep-adapter to merge it",
    ),
  );
});

Deno.test("an exported decoder goes on in chunks, grows, forgets, and says what is wrong", async () => {
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  const { folder } = await exported({ config, weights, dtype: "fp32" });
  await using _folder = folder;
  const decoder = new ExportedDecoder(runtime, folder.path, { config, dtype: "fp32", chunk: 100 });
  const ids = Int32Array.from({ length: 260 }, (_, i) => (i * 37 + 63) % config.vocabSize);
  const all = decoder.logits(ids).slice();
  assert.equal(all.length, 260 * config.vocabSize);
  assert.equal(decoder.position, 260);
  const row = (token: number) =>
    all.subarray(token * config.vocabSize, (token + 1) * config.vocabSize);
  const same = (logits: Float32Array, token: number): void =>
    void assertClose(logits, row(token), { absolute: 1e-4, label: `${token}` });
  decoder.reset();
  assert.equal(decoder.position, 0);
  same(await decoder.prefill(ids.subarray(0, 250)), 249);
  assert.equal(decoder.position, 250);
  same(await decoder.decode(ids[250]), 250);
  same(await decoder.prefill(ids.subarray(251, 258)), 257);
  const enough = new Error("enough");
  await assert.rejects(decoder.prefill([1, 2], AbortSignal.abort(enough)), enough);
  assert.equal(decoder.position, 258);
  same(await decoder.decode(ids[258]), 258);
  await assert.rejects(decoder.prefill([]), /the prompt has no tokens/);
  await assert.rejects(decoder.decode(64), /id 64 is not in the vocabulary/);
  assert.throws(() => decoder.logits([64]), /id 64 is not in the vocabulary/);
  await assert.rejects(decoder.prefill(Array(42).fill(1)), /model has 300 positions/);
  decoder[Symbol.dispose]();
  decoder[Symbol.dispose]();
  await assert.rejects(
    decoder.decode(1),
    new ReferenceError("Cannot decode: the model was disposed of"),
  );
});

const PAGE = 4096;
const aligned = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

/** Weights whose parts have these bytes. */
function weightOf(source: string, bytes: readonly number[], adapter = false): GraphWeight {
  const parts = bytes.map((count, i) => ({
    kind: "float" as const,
    values: ["a", "b"].slice(0, i + 1).map((each) => ({
      name: `${source}.${i}${each}`,
      dtype: "uint8" as const,
      shape: [count],
    })),
  }));
  return { source, parts, adapter };
}

Deno.test("layOutExternal() lays parts at pages, in files up to their size, adapters in the last", () => {
  const weights = [
    weightOf("w", [10, PAGE]),
    weightOf("x", [PAGE + 1]),
    weightOf("y", [3]),
    weightOf("z", [5], true),
  ];
  const place = (location: string, offset: number, length: number) => ({
    location,
    offset,
    length,
  });
  const { files, places } = layOutExternal("m.onnx", weights, { maxFileBytes: 4 * PAGE + 1 });
  assert.deepEqual(
    files.map(({ name, bytes, weights }) => [name, bytes, weights.map((each) => each.source)]),
    [
      ["m.onnx_data", 3 * PAGE + 1, ["w", "x"]],
      ["m.onnx_data_1", 3, ["y"]],
      ["m.onnx_data_2", 5, ["z"]],
    ],
  );
  assert.deepEqual(Object.fromEntries(places), {
    "w.0a": place("m.onnx_data", 0, 10),
    "w.1a": place("m.onnx_data", PAGE, PAGE),
    "w.1b": place("m.onnx_data", PAGE, PAGE),
    "x.0a": place("m.onnx_data", 2 * PAGE, PAGE + 1),
    "y.0a": place("m.onnx_data_1", 0, 3),
    "z.0a": place("m.onnx_data_2", 0, 5),
  });
  const names = (maxFileBytes?: number) =>
    layOutExternal("m.onnx", weights, { maxFileBytes }).files.map(({ weights }) => weights.length);
  assert.deepEqual(names(4 * PAGE + 3), [3, 1]);
  assert.deepEqual(names(4 * PAGE + 2), [2, 1, 1]);
  assert.deepEqual(names(3 * PAGE), [1, 2, 1]);
  assert.deepEqual(names(1), [1, 1, 1, 1]);
  assert.deepEqual(names(), [3, 1]);
  // Two GB, which one byte more is beyond.
  const half = aligned(1e9);
  const two = (last: number) =>
    layOutExternal("m", [weightOf("a", [1e9]), weightOf("b", [last])]).files.length;
  assert.deepEqual([two(2e9 - half), two(2e9 - half + 1)], [1, 2]);
});

/** The bytes of a float weight in a format. */
function floats(numbers: Float32Array, float: "float32" | "float16"): Uint8Array {
  if (float === "float32") return new Uint8Array(numbers.slice().buffer);
  const halves = new Uint16Array(numbers.length);
  float32ToFloat16(numbers, halves);
  return new Uint8Array(halves.buffer);
}

Deno.test("each value lies in the files where the graph says, in the format's numbers", async () => {
  using runtime = new Runtime({ threads: 1 });
  const config = tinyConfig({ ...SIZES, num_hidden_layers: 1 });
  using weights = randomWeights(runtime, config);
  const [kind] = config.layerKinds;
  const tables = positionTables(kind, config.maxPositions);
  for (const dtype of ["fp32", "fp16", "q4", "q4f16"] as const) {
    const format = EXPORT_FORMATS[dtype];
    const graph = modelGraph(config, { format });
    const layout = layOutExternal(modelFile(dtype), graph.weights);
    const progress: (readonly [number, number])[] = [];
    const { folder, files } = await exported({
      config,
      weights,
      dtype,
      onBytes: (...each) => progress.push(each),
    });
    await using _folder = folder;
    const data = await Deno.readFile(`${folder.path}/onnx/${modelFile(dtype)}_data`);
    assert.deepEqual([files[0].bytes, layout.files[0].bytes], [data.length, data.length]);
    assert.deepEqual(progress.at(-1), [data.length, data.length]);
    assert.ok(progress.every(([written], i) => i === 0 || written > progress[i - 1][0]));
    for (const { source, parts, bits } of graph.weights) {
      const numbers = source.startsWith("rotary.")
        ? tables[source.slice("rotary.".length)].data as Float32Array
        : await readFloat32(weights as TensorSource, source);
      const blocks = bits &&
        quantizeBlocks(numbers, { bits, block: 32, scaleDtype: format.float });
      for (const { kind, values: [{ name }] } of parts) {
        const { offset, length } = layout.places.get(name)!;
        const found = data.subarray(offset, offset + length);
        const expected = kind === "float"
          ? floats(numbers, format.float)
          : kind === "blocks"
          ? blocks!.data
          : floats(blocks!.scales, format.float);
        assert.deepEqual(found, new Uint8Array(expected), `${dtype} ${name}`);
      }
    }
  }
});

Deno.test("exportModel() refuses what a format or ONNX Runtime cannot hold", async () => {
  using runtime = new Runtime({ threads: 1 });
  const refuses = async (
    change: Readonly<Record<string, unknown>>,
    dtype: ExportDtype,
    message: string,
    poison?: number,
  ): Promise<void> => {
    const config = tinyConfig({ ...SIZES, num_hidden_layers: 1, ...change });
    using weights = randomWeights(runtime, config);
    if (poison !== undefined) {
      weights.tensor("model.layers.0.mlp.up_proj.weight").float32()[7] = poison;
    }
    await using folder = await tempFolder();
    await Deno.mkdir(`${folder.path}/onnx`);
    const exporting = exportModel(folder.path, { config, weights, dtype });
    await assert.rejects(exporting, { name: "RangeError", message });
    assert.deepEqual(await Array.fromAsync(Deno.readDir(`${folder.path}/onnx`)), []);
  };
  await refuses(
    { head_dim: 8 },
    "fp32",
    "Cannot export a model with head_dim 8: ONNX Runtime's attention turns heads in multiples of 16; " +
      "export it with --format hf",
  );
  await refuses(
    { hidden_size: 48, intermediate_size: 40 },
    "q4",
    "Cannot export in 4 bits: rows of 48 and 40 numbers are not whole blocks of 32; export with " +
      "--dtype fp32 or fp16",
  );
  const name = "model.layers.0.mlp.up_proj.weight";
  const half = (value: number, remedy: string) =>
    `Cannot export ${name}: it holds ${value}, which float16 cannot; ${remedy}`;
  await refuses({}, "fp16", half(65520, "export with --dtype fp32 or q4"), 65520);
  await refuses({}, "fp16", half(-70000, "export with --dtype fp32 or q4"), -70000);
  await refuses({}, "fp16", half(NaN, "go back to an earlier checkpoint"), NaN);
  await refuses(
    {},
    "fp32",
    `Cannot export ${name}: it holds Infinity, which float32 cannot; go back to an earlier checkpoint`,
    Infinity,
  );
  const config = tinyConfig({ ...SIZES, num_hidden_layers: 1 });
  using weights = randomWeights(runtime, config);
  weights.tensor(name).float32()[7] = 65519;
  const { folder } = await exported({ config, weights, dtype: "fp16" });
  await folder[Symbol.asyncDispose]();
});

Deno.test("exportModel() stops where it is told to, and leaves no file that is not whole", async () => {
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/onnx`);
  const controller = new AbortController();
  const enough = new Error("enough");
  const exporting = exportModel(folder.path, {
    config,
    weights,
    dtype: "fp32",
    signal: controller.signal,
    onBytes: () => controller.abort(enough),
  });
  await assert.rejects(exporting, enough);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(`${folder.path}/onnx`)), []);
});
