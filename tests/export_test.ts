/** Exports of every family against the engine that trains, and the files that they are made of. */

import assert from "node:assert/strict";
import { loadWeights } from "../model/engine/load_weights.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import { clientConfig, exportClientFiles } from "../infer/export/client_files.ts";
import { exportModel, type ExportModelOptions } from "../infer/export/export_model.ts";
import { ExportedDecoder } from "../infer/export/exported_decoder.ts";
import type { ExportDtype } from "../infer/export/export_format.ts";
import { compareParity, parityReference, type ParityReport } from "../infer/export/parity.ts";
import { checkpointParityModel, exportParityModel } from "../infer/export/parity_models.ts";
import { quantizeBlocks } from "../ort/tensor/quantize_blocks.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import { writeOnnx } from "../ort/graph/onnx_writer.ts";
import * as ops from "../ort/graph/ops.ts";
import { adaptModel } from "../lora/load_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { mergeAdapter } from "../lora/merge_adapter.ts";
import { mergedSource } from "../lora/merged_source.ts";
import { resizedSource } from "../lora/resized_source.ts";
import type { ModelConfig } from "../model/config.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { elementCount } from "../ort/tensor/dtype.ts";
import { readFloat32, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { draws } from "./support/random.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { runAs, runTask, task } from "./support/run_task.ts";
import { type TempFolder, tempFolder } from "./support/temp_folder.ts";
import {
  EXPORTED_FAMILIES,
  FAMILY_FIELDS,
  familyConfig,
  randomWeights,
  tinyConfig,
} from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 2 });

// Measured worst over the four models: 6.2e-6, of logits up to 8.
const LOGITS_FP32 = 1e-4;
// Measured worst: 2.2e-2.
const LOGITS_FP16 = 1e-1;

/**
 * Formats, what their scales are stored as, and the largest error as a share of the largest logit:
 * measured worst 0.0024 for activations in float16, 0.036 for activations in 8 bits.
 */
const QUANTIZED: readonly (readonly [ExportDtype, "float32" | "float16", number])[] = [
  ["q4f16", "float16", 0.01],
  ["q4", "float32", 0.1],
];

/** Sizes that every format can hold. */
const SIZES = {
  hidden_size: 64,
  intermediate_size: 96,
  head_dim: 16,
  max_position_embeddings: 320,
};
const MODELS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  ...Object.fromEntries(
    EXPORTED_FAMILIES.map((model_type) => [model_type, {
      model_type,
      ...FAMILY_FIELDS[model_type],
    }]),
  ),
  llama: { model_type: "llama", tie_word_embeddings: false, attention_bias: true },
  "llama 3": {
    model_type: "llama",
    num_key_value_heads: 4,
    rope_scaling: {
      rope_type: "llama3",
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 64,
    },
  },
};

/** Families whose other formats show nothing that these do not. */
const IN_FP32_ONLY: readonly string[] = ["mistral", "ministral3", "smollm3", "olmo2"];

function questionsOf({ vocabSize }: ModelConfig) {
  const draw = draws(3);
  const ids = (length: number): Int32Array =>
    Int32Array.from({ length }, () => Math.floor(draw(0, vocabSize)));
  return { prompts: [ids(1), ids(9)], greedyTokens: 12, text: [ids(20), ids(7)] };
}

interface Exported extends AsyncDisposable {
  readonly folder: TempFolder;
  readonly report: (dtype: ExportDtype) => Promise<ParityReport>;
}

async function exported(
  options: ExportModelOptions,
  checkpoint: Parameters<typeof checkpointParityModel>[1],
): Promise<Exported> {
  const folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/onnx`);
  await exportModel(folder.path, options);
  const { config } = options;
  const questions = questionsOf(config);
  return {
    folder,
    report: async (dtype: ExportDtype): Promise<ParityReport> => {
      using model = checkpointParityModel(runtime, checkpoint);
      const reference = await parityReference(model, questions);
      const decoder = new ExportedDecoder(runtime, folder.path, { config, dtype });
      using other = exportParityModel(decoder, config);
      const report = await compareParity(other, questions, reference);
      if (Deno.env.get("ORTUNE_REPORT")) {
        console.log(dtype, report.maxAbsolute, report.maxAbsolute / report.largestLogit);
      }
      return report;
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** Replaces matrices by what their quantized form stands for. */
function dequantize(weights: ParameterStore, scaleDtype: "float32" | "float16"): ParameterStore {
  for (const name of weights.names()) {
    const tensor = weights.tensor(name);
    if (tensor.shape.length < 2) continue;
    const values = tensor.float32();
    const bits = /embed_tokens|lm_head/.test(name) ? 8 : 4;
    const { data, scales } = quantizeBlocks(values, { bits, block: 32, scaleDtype });
    for (let i = 0; i < values.length; i++) {
      const q = bits === 8 ? data[i] - 128 : ((data[i >> 1] >> (4 * (i % 2))) & 15) - 8;
      values[i] = scales[Math.floor(i / 32)] * q;
    }
  }
  return weights;
}

for (const [name, change] of Object.entries(MODELS)) {
  const config = tinyConfig({ ...SIZES, ...change });

  Deno.test(`an export of ${name} in fp32 has the checkpoint's logits, tokens and perplexity`, async () => {
    using weights = randomWeights(runtime, config);
    await using result = await exported({ config, weights, dtype: "fp32" }, { config, weights });
    const report = await result.report("fp32");
    assert.ok(report.maxAbsolute <= LOGITS_FP32, String(report.maxAbsolute));
    assert.ok(report.largestLogit > 1);
    assert.deepEqual(report.greedy.same, [12, 12]);
    assert.equal(report.positions.same, report.positions.all);
    assert.ok(Math.abs(report.perplexity.difference) < 1e-3 * report.perplexity.checkpoint);
  });

  if (IN_FP32_ONLY.includes(name)) continue;

  Deno.test(`an export of ${name} in fp16 is near the checkpoint`, async () => {
    using weights = randomWeights(runtime, config);
    await using result = await exported({ config, weights, dtype: "fp16" }, { config, weights });
    const report = await result.report("fp16");
    assert.ok(report.maxAbsolute <= LOGITS_FP16, String(report.maxAbsolute));
    assert.ok(report.maxAbsolute > LOGITS_FP32, "float16 cannot be that exact");
  });

  for (const [dtype, scaleDtype, share] of QUANTIZED) {
    Deno.test(`an export of ${name} in ${dtype} is its weights rounded to blocks`, async () => {
      using weights = randomWeights(runtime, config);
      using rounded = dequantize(randomWeights(runtime, config), scaleDtype);
      await using result = await exported(
        { config, weights, dtype },
        { config, weights: rounded },
      );
      const report = await result.report(dtype);
      const error = report.maxAbsolute / report.largestLogit;
      assert.ok(error <= share, String(error));
    });
  }
}

Deno.test("exportModel() refuses layers that carry a state, and says what to write instead", async () => {
  const config = familyConfig("qwen3_5_text");
  using weights = randomWeights(runtime, config);
  await assert.rejects(exported({ config, weights, dtype: "fp32" }, { config, weights }), {
    name: "RangeError",
    message: "Cannot export a model with layers of linear_attention: transformers.js keeps their " +
      "states in past_conv and past_recurrent, which the exported graph does not have; export it " +
      "with --format hf",
  });
});

Deno.test("an exported decoder goes on in chunks and grows its cache", async () => {
  const config = tinyConfig({ ...SIZES });
  using weights = randomWeights(runtime, config);
  await using result = await exported({ config, weights, dtype: "fp32" }, { config, weights });
  const options = { config, dtype: "fp32", chunk: 7 } as const;
  using decoder = new ExportedDecoder(runtime, result.folder.path, options);
  const ids = Int32Array.from({ length: 300 }, (_, i) => (i * 37) % config.vocabSize);
  const wanted = decoder.logits(ids).slice(-config.vocabSize);
  decoder.reset();
  await decoder.prefill(ids.subarray(0, 250));
  let logits = new Float32Array();
  for (const id of ids.subarray(250)) logits = Float32Array.from(await decoder.decode(id));
  assertClose(logits, wanted, { absolute: LOGITS_FP32, label: "logits" });
  assert.equal(decoder.position, 300);
  await assert.rejects(decoder.prefill(ids), /320 positions/);
});

Deno.test("an adapter kept apart gives the adapted model's logits, and its file is exchanged alone", async () => {
  const config = tinyConfig({ ...SIZES });
  using base = randomWeights(runtime, config);
  const lora = { ...DEFAULT_LORA, rank: 4, targetModules: ["q_proj", "down_proj"] };
  const fill = (seed: number) => {
    const adapted = adaptModel(runtime, { config, base, lora });
    const draw = draws(seed);
    const values = adapted.trained.flat.float32();
    for (let i = 0; i < values.length; i++) values[i] = draw(-0.1, 0.1);
    return adapted;
  };
  using first = fill(1);
  using second = fill(2);
  const options = { config, weights: base, dtype: "fp32" } as const;
  const one = { ...options, adapter: { lora, weights: first.trained } };
  const other = { ...options, adapter: { lora, weights: second.trained } };
  await using kept = await exported(one, { config, weights: base, adapted: first });
  await using next = await exported(other, { config, weights: base, adapted: second });
  const files = ["model.onnx", "model.onnx_data", "model.onnx_data_1"].map((name) =>
    [kept, next].map(({ folder }) => Deno.readFileSync(`${folder.path}/onnx/${name}`))
  );
  assert.deepEqual(files.map(([a, b]) => a.length === b.length && a.every((x, i) => x === b[i])), [
    true,
    true,
    false,
  ]);
  assert.ok((await kept.report("fp32")).maxAbsolute <= LOGITS_FP32);
  // The second's file in the first's folder makes the second.
  await Deno.writeFile(`${next.folder.path}/onnx/model.onnx_data_1`, files[2][0]);
  assert.ok((await next.report("fp32")).maxAbsolute > 0.01);
  await Deno.writeFile(`${next.folder.path}/onnx/model.onnx_data_1`, files[2][1]);
  assert.ok((await next.report("fp32")).maxAbsolute <= LOGITS_FP32);

  // Merged on the way, at any offset.
  using merged = mergedSource(runtime, { config, base, adapter: first.trained, lora });
  await using whole = await exported(
    { config, weights: merged, dtype: "fp32" },
    { config, weights: base, adapted: first },
  );
  assert.ok((await whole.report("fp32")).maxAbsolute <= LOGITS_FP32);
  const name = "model.layers.1.mlp.down_proj.weight";
  const numbers = await readFloat32(merged, name);
  const bytes = new Uint8Array(1001);
  await merged.read(name, bytes, 777);
  assert.deepEqual(bytes, new Uint8Array(numbers.buffer).slice(777, 1778));
});

Deno.test("an adapter of different ranks and scales, on some blocks, is kept apart and merged", async () => {
  const config = tinyConfig({ ...SIZES });
  using base = randomWeights(runtime, config);
  const lora = {
    ...DEFAULT_LORA,
    rank: 4,
    targetModules: ["q_proj", "down_proj"],
    excludeModules: ["layers.0.self_attn.q_proj"],
    rankPattern: { "layers.1.mlp.down_proj": 7 },
    alphaPattern: { "layers.1.*": 5 },
  };
  using adapted = adaptModel(runtime, { config, base, lora });
  const draw = draws(5);
  const weights = tensorSourceFromMap(
    new Map(adapted.parameters.map(({ name, shape }) => {
      const values = Float32Array.from({ length: elementCount(shape) }, () => draw(-0.1, 0.1));
      return [name, { dtype: "float32", shape, data: new Uint8Array(values.buffer) }];
    })),
  );
  const { specs } = adapted.trained.layout;
  await loadWeights(
    runtime,
    adapted.trained,
    resizedSource(weights, specs, { fillAbsent: true }),
  );
  const checkpoint = { config, weights: base, adapted };
  await using kept = await exported(
    { config, weights: base, dtype: "fp32", adapter: { lora, weights } },
    checkpoint,
  );
  assert.ok((await kept.report("fp32")).maxAbsolute <= LOGITS_FP32);
  const { size } = await Deno.stat(`${kept.folder.path}/onnx/model.onnx_data_1`);
  const numbers = adapted.parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  assert.ok(size >= 4 * numbers && size < 4 * numbers + 4096 * adapted.parameters.length);
  using merged = mergedSource(runtime, { config, base, adapter: weights, lora });
  await using whole = await exported({ config, weights: merged, dtype: "fp32" }, checkpoint);
  assert.ok((await whole.report("fp32")).maxAbsolute <= LOGITS_FP32);
});

Deno.test("weights are split into files of bounded size, in order", async () => {
  const config = tinyConfig({ ...SIZES });
  using weights = randomWeights(runtime, config);
  const options = { config, weights, dtype: "fp32", maxFileBytes: 60_000 } as const;
  await using result = await exported(options, { config, weights });
  const names = (await Array.fromAsync(Deno.readDir(`${result.folder.path}/onnx`))).map((entry) =>
    entry.name
  ).sort();
  assert.deepEqual(names.slice(0, 4), [
    "model.onnx",
    "model.onnx_data",
    "model.onnx_data_1",
    "model.onnx_data_2",
  ]);
  for (const name of names.slice(1)) {
    const { size } = await Deno.stat(`${result.folder.path}/onnx/${name}`);
    assert.ok(size <= 60_000, `${name}: ${size}`);
  }
  assert.ok((await result.report("fp32")).maxAbsolute <= LOGITS_FP32);
});

Deno.test("a DoRA adapter is merged where it is read as it is in memory, and cannot be kept apart", async () => {
  const config = tinyConfig({ ...SIZES });
  using base = randomWeights(runtime, config);
  const lora = { ...DEFAULT_LORA, rank: 4, dora: true, targetModules: ["q_proj", "down_proj"] };
  using adapted = adaptModel(runtime, { config, base, lora });
  const draw = draws(3);
  const values = adapted.trained.flat.float32();
  for (let i = 0; i < values.length; i++) values[i] = draw(0.1, 0.3);
  await adapted.refresh();
  using source = mergedSource(runtime, { config, base, adapter: adapted.trained, lora });
  const names = ["self_attn.q_proj", "mlp.down_proj"].map((name) =>
    `model.layers.1.${name}.weight`
  );
  const read = () => Promise.all(names.map((name) => readFloat32(source, name)));
  const merged = await read();
  mergeAdapter(runtime, { config, base, adapted });
  for (const [i, name] of names.entries()) {
    // Measured 3e-7: the norm is summed in another order.
    assertClose(merged[i], base.tensor(name).float32(), { relativeToMax: 2e-6, label: name });
  }
  await using folder = await tempFolder();
  await assert.rejects(
    exportModel(folder.path, {
      config,
      weights: base,
      dtype: "fp32",
      adapter: { lora, weights: adapted.trained },
    }),
    /Cannot keep a DoRA adapter apart from its model.*leave out --keep-adapter/,
  );
});

Deno.test("exportModel() refuses what a format cannot hold", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/onnx`);
  const odd = tinyConfig({ ...SIZES, head_dim: 8 });
  using oddWeights = randomWeights(runtime, odd);
  await assert.rejects(
    exportModel(folder.path, { config: odd, weights: oddWeights, dtype: "fp32" }),
    /head_dim 8.*multiples of 16.*--format hf/,
  );
  const narrow = tinyConfig({ ...SIZES, intermediate_size: 40 });
  using narrowWeights = randomWeights(runtime, narrow);
  await assert.rejects(
    exportModel(folder.path, { config: narrow, weights: narrowWeights, dtype: "q4" }),
    /4 bits: rows of 40 numbers are not whole blocks of 32/,
  );
  const config = tinyConfig({ ...SIZES });
  using weights = randomWeights(runtime, config);
  weights.tensor("model.norm.weight").float32()[3] = 70_000;
  await assert.rejects(
    exportModel(folder.path, { config, weights, dtype: "fp16" }),
    /Cannot export model.norm.weight: it holds 70000, which float16 cannot/,
  );
  weights.tensor("model.layers.0.mlp.up_proj.weight").float32()[9] = NaN;
  for (const dtype of ["fp32", "q4"] as const) {
    await assert.rejects(
      exportModel(folder.path, { config, weights, dtype }),
      /Cannot export model.layers.0.mlp.up_proj.weight/,
    );
  }
  const left = (await Array.fromAsync(Deno.readDir(`${folder.path}/onnx`))).map(({ name }) => name);
  assert.deepEqual(left, [], "a file that was not finished stayed");
});

Deno.test("an exported decoder refuses ids outside of the vocabulary, and no ids", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/onnx`);
  const config = tinyConfig({ ...SIZES });
  using weights = randomWeights(runtime, config);
  await exportModel(folder.path, { config, weights, dtype: "fp32" });
  using decoder = new ExportedDecoder(runtime, folder.path, { config, dtype: "fp32" });
  const wrong = new RegExp(`token 1 of 2: id ${config.vocabSize} is not in the vocabulary`);
  await assert.rejects(decoder.prefill([1, config.vocabSize]), wrong);
  assert.throws(() => decoder.logits([1, config.vocabSize]), wrong);
  assert.throws(() => decoder.logits([]), /the prompt has no tokens/);
});

Deno.test("an exported decoder refuses what another program exported", async () => {
  await using folder = await tempFolder();
  const b = new GraphBuilder("foreign");
  const ids = b.input("input_ids", "int64", ["n"]);
  b.output("logits", ops.add(b, ids, b.input("position_ids", "int64", ["n"])));
  await Deno.mkdir(`${folder.path}/onnx`);
  await Deno.writeFile(`${folder.path}/onnx/model.onnx`, writeOnnx(b.build()));
  const options = { config: tinyConfig({ ...SIZES }), dtype: "fp32" } as const;
  assert.throws(
    () => new ExportedDecoder(runtime, folder.path, options),
    /model\.onnx: it wants position_ids, which no export of ortune does/,
  );
});

Deno.test("the client's config counts each model's files and names float16 caches", () => {
  const config = tinyConfig({ ...SIZES, num_key_value_heads: undefined });
  const file = (path: string) => ({ path, bytes: 1, sha256: "" });
  const client = clientConfig(config, [
    { dtype: "fp32", files: ["onnx/model.onnx_data", "onnx/model.onnx"].map(file) },
    {
      dtype: "q4f16",
      files: ["onnx/model_q4f16.onnx_data", "onnx/model_q4f16.onnx_data_1", "onnx/model_q4f16.onnx"]
        .map(file),
    },
  ]);
  assert.deepEqual(client["transformers.js_config"], {
    dtype: "fp32",
    use_external_data_format: { "model.onnx": 1, "model_q4f16.onnx": 2 },
    kv_cache_dtype: { q4f16: "float16" },
  });
  assert.equal(client.num_key_value_heads, 4);
});

Deno.test("a chat template in a file of its own goes into tokenizer_config.json", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  await Deno.writeTextFile(`${model}/chat_template.jinja`, "{{ messages }}");
  await exportClientFiles(folder.path, { model, config: tinyConfig(), exported: [] });
  const written = JSON.parse(await Deno.readTextFile(`${folder.path}/tokenizer_config.json`));
  assert.equal(written.chat_template, "{{ messages }}");
  assert.equal(written.tokenizer_class, "Qwen2Tokenizer");
});

Deno.test("deno task export writes a folder that deno task inference runs, and a report", async () => {
  await using folder = await quickstartFolder();
  const model = "--model models/tiny";
  const { code, stdout, stderr } = await runTask(
    "export",
    folder.path,
    `${model} --output-dir output/export --dtype fp32,q4 --parity-tokens 4`,
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^fp32: 4\.\d+ MiB in .*onnx\/model\.onnx_data, onnx\/model\.onnx\n/);
  const parity = JSON.parse(await Deno.readTextFile(`${folder.path}/output/export/parity.json`));
  assert.deepEqual(parity.exports.fp32.parity.greedy.same, [4, 4, 4]);
  assert.ok(parity.exports.fp32.parity.maxAbsolute < LOGITS_FP32);
  assert.ok(parity.exports.q4.bytes < parity.exports.fp32.bytes / 4);
  for (const dtype of ["fp32", "q4"]) {
    const { maxAbsolute, meanAbsolute, positions, greedy, perplexity } = parity.exports[dtype]
      .parity as ParityReport;
    // Nothing of a report is empty: rounding shows everywhere, and more of it in 4 bits.
    assert.ok(maxAbsolute > meanAbsolute && meanAbsolute > (dtype === "q4" ? 1e-3 : 0));
    assert.ok(positions.all > 10 && positions.same <= positions.all);
    assert.equal(perplexity.difference, perplexity.export - perplexity.checkpoint);
    const whole = greedy.same.filter((tokens) => tokens === 4).length;
    const line = `${dtype}: logits differ by at most ${maxAbsolute.toExponential(1)}, ` +
      `${meanAbsolute.toExponential(1)} on average; the likeliest token is the same at ` +
      `${positions.same} of ${positions.all} positions; 4 greedy tokens are the same after ` +
      `${whole} of 3 prompts${whole === 3 ? "" : ` (${greedy.same.join(", ")})`}; perplexity ` +
      `${perplexity.checkpoint.toFixed(4)} → ${perplexity.export.toFixed(4)}`;
    assert.ok(stdout.split("\n").includes(line), `${line}\n${stdout}`);
  }
  const page = await Deno.readTextFile(`${folder.path}/output/export/parity.html`);
  assert.match(page, /Exports of models\/tiny</);
  const ask = (more: string) =>
    runTask("inference", folder.path, `${more} --question Hi --greedy --max-new-tokens 5`);
  const q4 = await ask("--model output/export");
  assert.match(q4.stderr, /^exported: q4\n/);
  // A checkpoint that came with a folder onnx stays a checkpoint.
  const shipped = `${folder.path}/models/tiny/onnx`;
  await Deno.mkdir(shipped);
  await Deno.copyFile(
    `${folder.path}/output/export/onnx/model_q4.onnx`,
    `${shipped}/model_q4.onnx`,
  );
  await Deno.remove(`${folder.path}/output/export/onnx/model_q4.onnx`);
  const fp32 = await ask("--model output/export");
  assert.match(fp32.stderr, /^exported: fp32\n/);
  assert.equal(fp32.stdout, (await ask(model)).stdout);
  const again = await runTask("export", folder.path, `${model} --output-dir output/export`);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /Cannot export into output\/export: it is not empty/);
});

Deno.test("deno task compare puts exports of one checkpoint on one page, and refuses others", async () => {
  await using folder = await quickstartFolder();
  const model = "--model models/tiny --parity-tokens 2 --output-dir output";
  for (const flags of [`${model}/onnx --dtype q4`, `${model}/gguf --format gguf --dtype f16`]) {
    const { code, stderr } = await runTask("export", folder.path, flags);
    assert.equal(code, 0, stderr);
  }
  const compare = (exports: string) => runTask("compare", folder.path, `--exports ${exports}`);
  const { code, stdout, stderr } = await compare("onnx output/gguf/ output/onnx");
  assert.equal(code, 0, stderr);
  const lines = stdout.split("\n");
  // 1,023,104 numbers in float32, and those of q4 with their scales in all.
  assert.match(lines[1], /^checkpoint, in float32 +3\.\d+ MiB +32\.00 +\d+\.\d+$/);
  assert.match(lines[2], /^GGUF f16 \(output\/gguf\) +\d\.\d+ MiB +1\d\.\d+$/);
  assert.match(lines[3], /^ONNX q4 \(output\/onnx\) +\d+ KiB +7\.\d+ +\d+\.\d+ +[+-]?\d.* %/);
  assert.equal(lines[4], "GGUF f16: not compared: export again with --verify");
  assert.equal(
    lines[5],
    "figures and page: output/compare/exports.json, output/compare/report.html",
  );
  const { exports, prompts } = JSON.parse(
    await Deno.readTextFile(`${folder.path}/output/compare/exports.json`),
  );
  assert.deepEqual([exports.length, prompts.length], [2, 3]);
  // Two tokens that a tokenizer has made text of.
  assert.ok(exports[1].replies.every((text: string) => text !== ""));
  const page = await Deno.readTextFile(`${folder.path}/output/compare/report.html`);
  assert.equal(page.match(/<article>/g)?.length, 3);

  const path = "output/gguf/parity.json";
  const parity = await Deno.readTextFile(`${folder.path}/${path}`);
  const other = parity.replace(
    /"sha256": "\w+",(?=\s+"bytes": \d+,\s+"parameters")/,
    '"sha256": "0",',
  );
  for (
    const [text, flags, message] of [
      [
        other,
        "onnx gguf",
        /^error: Cannot compare exports of different checkpoints: output\/onnx is/,
      ],
      [parity, "output", /it has no parity\.json; give folders that deno task export wrote$/],
      [parity, "models/tiny", /^error: Cannot read "models\/tiny\/parity\.json": the task may not/],
      [
        parity,
        "onxx",
        /^error: Cannot find the export onxx: there is no folder onxx or output\/onxx/,
      ],
    ] as const
  ) {
    await folder.write(path, text);
    const failed = await compare(flags);
    assert.ok(failed.code > 0);
    assert.match(failed.stderr, message);
  }
});

Deno.test("deno task export --format hf writes the checkpoint again, and flags that clash exit 2", async () => {
  await using folder = await quickstartFolder();
  const { code, stdout, stderr } = await runTask(
    "export",
    folder.path,
    "--model models/tiny --output-dir output/hf --format hf --parity-tokens 4",
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /hf: logits differ by at most 0\.0e\+0/);
  const bytes = (path: string) => Deno.readFile(`${folder.path}/${path}/model.safetensors`);
  assert.deepEqual(await bytes("output/hf"), await bytes("models/tiny"));
  for (
    const [flags, message] of [
      ["--output-dir output/a", /give --model, --adapter or both/],
      ["--model models/tiny --keep-adapter --output-dir output/a", /give --adapter/],
      ["--model models/tiny --dtype int8 --output-dir output/a", /fp32, fp16, q4, q4f16/],
      [
        "--model models/tiny --format hf --dtype fp16 --output-dir output/a",
        /^error: Cannot write a model folder in fp16: --format hf is float32; leave out --dtype$/,
      ],
    ] as const
  ) {
    const result = await runTask("export", folder.path, flags);
    assert.equal(result.code, 2);
    assert.match(result.stderr, message);
  }
});

Deno.test("deno task export tells files and folders that are not what they should be", async () => {
  await using folder = await quickstartFolder();
  for (
    const [flags, message] of [
      [
        "--output-dir data/train.jsonl",
        /into data\/train\.jsonl: it is a file; give a new --output/,
      ],
      ["--output-dir data/train.jsonl/a", /: Not a directory .*; give a new --output-dir$/],
      ["--output-dir output/a --parity-file data", /read the parity text: data is a folder/],
    ] as const
  ) {
    const { flags: own, script } = task("export");
    const may = own.map((flag) => flag.replace("--allow-write=", "--allow-write=data,"));
    const result = await runAs({ flags: may, script }, folder.path, [
      ...["--model", "models/tiny", ...flags.split(" ")],
    ]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, message);
  }
  await assert.rejects(Deno.stat(`${folder.path}/output/a`), Deno.errors.NotFound);
});
