/**
 * A frozen base in 8 and 4 bits: what is computed on it in float32 is what a float32 base of the same
 * numbers gives; in products of whole numbers, how far that goes from it.
 */

import assert from "node:assert/strict";
import { createLoraAdapter } from "../lora/block_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../lora/lora_options.ts";
import { BASE_STORAGES, type BaseStorage } from "../model/base_storage.ts";
import type { ModelConfig } from "../model/config.ts";
import { CompiledGraph } from "../model/engine/compiled_graph.ts";
import { loadQuantized } from "../model/engine/load_quantized.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import { QuantizedStore } from "../model/engine/quantized_store.ts";
import { blockBackwardGraph } from "../model/graphs/training_graphs.ts";
import { EMBEDDING, layerName, LM_HEAD, modelParameters } from "../model/parameters.ts";
import { numbersFormat, type Quantization, storedMatrices } from "../model/quantization.ts";
import { roundedSource } from "../model/weights/rounded_source.ts";
import { evaluateShape } from "../ort/graph/dim.ts";
import { cpu, parseDevice } from "../ort/runtime/device.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { dequantizeBlocks, quantizeBlocks } from "../ort/tensor/quantize_blocks.ts";
import { readFloat32, type TensorSource } from "../ort/tensor/tensor_source.ts";
import { type BaseOptions, resolveBaseStorage } from "../train/resolve_base_storage.ts";
import { runTraining } from "../train/runs/run_training.ts";
import { type AdapterCase, adapterPasses, type AdapterResults } from "./support/adapter_passes.ts";
import type { Dense } from "./support/dense.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { draws } from "./support/random.ts";
import { runTask } from "./support/run_task.ts";
import { dense, interpret } from "./support/reference_interpreter.ts";
import { emptyStore, familyConfig, randomWeights, tinyConfig } from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 2 });

/** Rows of which no length is whole blocks of 32. */
const SIZES = { hidden_size: 48, intermediate_size: 80 };

function storageOf(bits: 4 | 8, more: Partial<Quantization>): BaseStorage {
  const storage = BASE_STORAGES[bits === 4 ? "int4" : "int8"];
  return { ...storage, quantization: { ...storage.quantization!, block: 32, ...more } };
}

/** A base in few bits, and one in float32 of the same numbers. */
async function bases(
  config: ModelConfig,
  storage: BaseStorage,
): Promise<readonly [QuantizedStore, ParameterStore]> {
  using source = randomWeights(runtime, config);
  const specs = modelParameters(config);
  const stored = new QuantizedStore(runtime, specs, { dtype: "float32", storage });
  await loadQuantized(runtime, stored, source, { specs });
  const plain = emptyStore(runtime, config);
  const matrices = storedMatrices(specs, storage.quantization!);
  for (const { name, shape } of specs) {
    const values = source.tensor(name).float32();
    const matrix = matrices.get(name);
    const into = plain.tensor(name).float32();
    const { block } = storage.quantization!;
    into.set(matrix ? rounded(values, shape[1], { bits: matrix.bits, block }) : values);
  }
  return [stored, plain];
}

/** What rows become, each padded to whole blocks. */
function rounded(
  values: Float32Array,
  columns: number,
  { bits, block }: { readonly bits: 4 | 8; readonly block: number },
): Float32Array {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += columns) {
    const row = new Float32Array(Math.ceil(columns / block) * block);
    row.set(values.subarray(start, start + columns));
    const quantized = quantizeBlocks(row, { bits, block, scaleDtype: "float32" });
    out.set(dequantizeBlocks(quantized, { bits, block }).subarray(0, columns), start);
  }
  return out;
}

const NO_DROPOUT: LoraOptions = { ...DEFAULT_LORA, dropout: 0 };
const EXACT: Readonly<Record<string, { json: object; bits: 4 | 8 } & Omit<AdapterCase, "config">>> =
  {
    "int8, tied, rsLoRA with dropout": {
      json: {},
      bits: 8,
      lora: { ...DEFAULT_LORA, rslora: true },
    },
    "int4, untied, LoRA with activations kept": {
      json: { tie_word_embeddings: false },
      bits: 4,
      lora: NO_DROPOUT,
      options: { gradientCheckpointing: false },
    },
    "int4, with biases, DoRA": {
      json: { model_type: "llama", attention_bias: true },
      bits: 4,
      lora: { ...NO_DROPOUT, dora: true },
    },
  };

for (const [name, { json, bits, ...how }] of Object.entries(EXACT)) {
  Deno.test(`${name}: computed in float32, a base in few bits is that of its numbers, to the bit`, async () => {
    const config = tinyConfig({ ...SIZES, ...json });
    const [stored, plain] = await bases(config, storageOf(bits, { compute: "fp32" }));
    const expected = await adapterPasses(runtime, plain, { config, ...how });
    assert.ok(expected.losses.length > 200);
    assert.ok(expected.gradients.values().every((each) => each.some((value) => value !== 0)));
    assert.deepEqual(await adapterPasses(runtime, stored, { config, ...how }), expected);
    stored[Symbol.dispose]();
    plain[Symbol.dispose]();
  });
}

/** ‖actual − expected‖ ÷ ‖expected‖. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [errors, squares] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    errors += (actual[i] - expected[i]) ** 2;
    squares += expected[i] ** 2;
  }
  return Math.sqrt(errors / squares);
}

/**
 * Relative errors in the Euclidean norm, against float32 on the same numbers: activations rounded to 8
 * bits; of gradients also that the transposed copy is rounded apart, which in 4 bits is most of it.
 */
const LIMITS = {
  8: { losses: 1e-2, logits: 4e-2, gradients: 5e-2 }, // measured 5.8e-3, 2.5e-2, 2.8e-2
  4: { losses: 1e-2, logits: 4e-2, gradients: 0.2 }, // measured 6.1e-3, 1.8e-2, 1.4e-1
};

for (const [bits, family] of [[8, "qwen3"], [4, "gemma3_text"]] as const) {
  Deno.test(`int${bits}, ${family}: products of whole numbers are near those of float32`, async () => {
    // A tied head, and one of its own whose logits are capped, on layers of two kinds.
    const config = familyConfig(family, SIZES);
    const [stored, plain] = await bases(config, storageOf(bits, { compute: "int8" }));
    const how = { config, lora: DEFAULT_LORA };
    const expected = await adapterPasses(runtime, plain, how);
    const actual = await adapterPasses(runtime, stored, how);
    const all = ({ gradients }: AdapterResults) =>
      [...gradients.values()].flatMap((each) => [...each]);
    const limits = LIMITS[bits];
    assert.ok(distance(actual.losses, expected.losses) < limits.losses);
    assert.ok(distance(actual.logits, expected.logits) < limits.logits);
    assert.ok(distance(all(actual), all(expected)) < limits.gradients);
    assert.deepEqual(await adapterPasses(runtime, stored, how), actual);
    stored[Symbol.dispose]();
    plain[Symbol.dispose]();
  });
}

Deno.test("the gradients of a block on a base in 4 bits are those of its numbers in float64", async () => {
  const config = tinyConfig({ ...SIZES, num_hidden_layers: 1 });
  const storage = storageOf(4, { compute: "fp32" });
  const [stored, plain] = await bases(config, storage);
  const adapter = createLoraAdapter(config, NO_DROPOUT);
  const tokens = 6;
  const symbols = { rows: 1, length: tokens, positions: tokens };
  const exact = blockBackwardGraph(config, { adapter, accumulate: false });
  const draw = draws(9);
  const inputs: Record<string, Dense> = {};
  for (const { name, shape } of exact.inputs) {
    const sizes = evaluateShape(shape, symbols);
    const own = layerName(0, name);
    if (plain.has(own)) {
      const values = plain.tensor(own).float32();
      inputs[name] = dense(sizes, (i) => values[i]);
    } else if (name === "position_ids") inputs[name] = dense(sizes, (i) => i);
    else if (name === "mask") {
      inputs[name] = dense(sizes, (i) => i % tokens > Math.floor(i / tokens) ? -1e9 : 0);
    } else if (!exact.shapeInputs.has(name)) {
      inputs[name] = dense(sizes, () => Math.fround(draw(-0.5, 0.5)));
    }
  }
  const wanted = interpret(exact, inputs, symbols);
  const quantized = blockBackwardGraph(config, { adapter, accumulate: false, storage });
  using graph = new CompiledGraph(runtime, quantized);
  using owned = new DisposableStack();
  const tensors: Record<string, Tensor> = {};
  for (const { name, dtype, shape } of [...quantized.inputs, ...quantized.outputs]) {
    const own = layerName(0, name);
    if (quantized.shapeInputs.has(name)) continue;
    if (stored.has(own)) tensors[name] = stored.tensor(own);
    else {
      const tensor = Tensor.allocate(runtime, dtype, evaluateShape(shape, symbols));
      tensors[name] = owned.use(tensor);
      const given = inputs[name]?.data;
      if (!given) continue;
      tensor.write(
        dtype === "int64" ? BigInt64Array.from(given, BigInt) : Float32Array.from(given),
      );
    }
  }
  graph.run(tensors, symbols);
  for (const { name } of quantized.outputs) {
    // Measured at most 9.7e-7 of a gradient's largest.
    assertClose(tensors[name].float32(), wanted[name].data, { relativeToMax: 2e-6, label: name });
  }
  stored[Symbol.dispose]();
  plain[Symbol.dispose]();
});

Deno.test("roundedSource() has a base's numbers in float32, also from amid a row, and a tied head's", async () => {
  const config = tinyConfig(SIZES);
  const [stored, plain] = await bases(config, storageOf(4, { compute: "fp32" }));
  using random = randomWeights(runtime, config);
  const own = (name: string): string => name === LM_HEAD ? EMBEDDING : name;
  const source: TensorSource = {
    names: () => [...random.names(), LM_HEAD],
    info: (name) => random.info(own(name)),
    read: (name, into, offset) => random.read(own(name), into, offset),
  };
  const rounds = roundedSource(source, config, storageOf(4, {}).quantization!);
  for (const name of rounds.names()) {
    const expected = plain.tensor(own(name)).float32();
    const count = expected.length - 5;
    assert.deepEqual(await readFloat32(rounds, name), new Float32Array(expected), name);
    assert.deepEqual(await readFloat32(rounds, name, { start: 5, count }), expected.slice(5), name);
  }
  stored[Symbol.dispose]();
  plain[Symbol.dispose]();
});

Deno.test("train:lora --base-dtype int4 says what it costs, is recorded, and resumes as itself alone", async () => {
  await using folder = await quickstartFolder();
  const lines: string[] = [];
  const run = async (outputDir: string, more: Record<string, unknown> = {}) => {
    const { lora, ...others } = more as { lora?: object };
    await using run = await runTraining({
      model: `${folder.path}/models/tiny`,
      trainFile: `${folder.path}/data/train.jsonl`,
      outputDir: `${folder.path}/output/${outputDir}`,
      maxLength: 512,
      maxSteps: 2,
      saveSteps: 1,
      loggingSteps: 1,
      threads: THREADS,
      reportTo: [],
      lora: { baseDtype: "int4", ...lora },
      ...others,
    }, { say: (line) => lines.push(line) });
    return await folderHashes(run.checkpoint);
  };
  const whole = await run("whole");
  const [base] = lines.filter((line) => line.startsWith("base: "));
  assert.match(
    base,
    /^base: matrices take 1\.\d+ MiB in int4 with blocks of 128, two copies, products in int8, in place of 3\.\d+ MiB in float32; \d+ of \d+ weights are rounded from float32, \d+ of them to 0; the largest relative error of a matrix, ‖W − int4\(W\)‖ ÷ ‖W‖, is 1\.\de-1 \(model\.\S+\)$/,
  );
  const [compared] = lines.filter((line) => line.startsWith("base: loss "));
  assert.match(
    compared,
    /^base: loss of 8 rows before training \d\.\d{4} in int4, \d\.\d{4} in float32 \([+-]\d\.\d\d %\), which took \d+\.\d s to find out$/,
  );
  const manifest = JSON.parse(await Deno.readTextFile(`${folder.path}/output/whole/run.json`));
  assert.equal(manifest.arguments.lora.baseDtype, "int4");
  // Afterwards an adapter stands on the numbers that it was trained over.
  await run("exact", { lora: { baseCompute: "fp32" } });
  const adapter = "--adapter output/exact/checkpoint-2 --model models/tiny";
  const merge = await runTask("merge", folder.path, `${adapter} --output-dir output/merged`);
  assert.match(
    merge.stderr,
    /note: .*checkpoint-2 was trained on a base in int4: the base's weights are rounded as they were then$/m,
  );
  assert.match(
    merge.stdout,
    /: merged; .* is \d\.\d\de-\d+; from those on the base in int4 that it was trained on, \d\.\d\de-[5-9]$/,
  );
  const ask = "--question fever --max-new-tokens 12";
  const asked = await runTask("inference:lora", folder.path, `${adapter} ${ask}`);
  const merged = await runTask("inference", folder.path, `--model output/merged ${ask}`);
  assert.match(asked.stdout, /\S/);
  assert.equal(asked.stdout, merged.stdout);
  const exported = `${adapter} --format hf --no-parity --output-dir output/exported`;
  await runTask("export", folder.path, exported);
  const hashes = ["merged", "exported"].map((name) =>
    folderHashes(`${folder.path}/output/${name}`)
  );
  const [ofMerge, ofExport] = await Promise.all(hashes);
  assert.match(ofMerge["model.safetensors"], /^[0-9a-f]{64}$/);
  assert.equal(ofExport["model.safetensors"], ofMerge["model.safetensors"]);
  await Deno.rename(
    `${folder.path}/output/exact/checkpoint-2/training_args.json`,
    `${folder.path}/output/exact/args.json`,
  );
  const both = "--model models/tiny --adapter output/whole/checkpoint-2 output/exact/checkpoint-2";
  const { code, stderr } = await runTask("serve", folder.path, both);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /Cannot serve both adapters on one base: .*whole\/checkpoint-2 was trained on one in 4 bits in blocks of 128, .*exact\/checkpoint-2 on one in float32; serve each by itself/,
  );
  await Deno.remove(`${folder.path}/output/whole/checkpoint-2`, { recursive: true });
  await assert.rejects(
    run("whole", { resumeFromCheckpoint: true, lora: { baseCompute: "fp32" } }),
    /Cannot resume from .*\n {2}base_compute: "int8" there, "fp32" here\n/,
  );
  assert.deepEqual(await run("whole", { resumeFromCheckpoint: true }), whole);
});

Deno.test("what of a base in few bits does not go together is refused in a sentence", () => {
  const cases: readonly (readonly [device: string, BaseOptions, message: string])[] = [
    [
      "cpu",
      { baseDtype: "fp16", baseCompute: "int8" },
      "Cannot use --base-compute with a base in fp16: it is for --base-dtype int8 and int4",
    ],
    [
      "cpu",
      { baseDtype: "int8", baseBlockSize: 48 },
      "Cannot share a scale among 48 numbers: --base-block-size is one of 32, 64, 128",
    ],
    [
      "webgpu",
      { baseDtype: "int4", baseCompute: "int8" },
      "Cannot compute in int8 on webgpu: whether products round their inputs to 8 bits would be up to " +
      "its kernels; leave out --base-compute, and none does",
    ],
    [
      "cuda",
      { baseDtype: "fp16" },
      "Cannot keep the base in fp16 on cuda:0: there it is kept in what --precision computes in, by " +
      "default bf16, which takes as much memory as fp16; leave out --base-dtype",
    ],
  ];
  for (const [device, options, message] of cases) {
    const resolve = () => resolveBaseStorage(parseDevice(device), options);
    assert.throws(resolve, { name: "RangeError", message });
  }
  assert.throws(() => resolveBaseStorage(cpu, { baseDtype: "int8" }, { dora: true }), {
    message:
      "Cannot train with DoRA on a base that computes in int8: it needs the norms of the rows " +
      "of the base's matrices, which are there in float32 alone; take --base-compute fp32",
  });
  assert.throws(
    () => numbersFormat(4, 7),
    /^RangeError: Cannot keep a matrix of 7 columns in 4 bits: two share a byte; take --base-dtype int8$/,
  );
});
