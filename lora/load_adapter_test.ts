import assert from "node:assert/strict";
import { GraphBuilder } from "../ort/graph/builder.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import { type TensorData, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { graphText } from "../tests/support/graph_text.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { randomWeights, tinyConfig } from "../tests/support/tiny_model.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, formatAdapterConfig } from "./adapter_config.ts";
import { adaptModel, loadAdapter, readAdapterWeights } from "./load_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "./lora_options.ts";

const config = tinyConfig();
const Q = "self_attn.q_proj";
/** On one layer of the second block alone, whose factor is that of no other. */
const LORA: LoraOptions = {
  ...{ ...DEFAULT_LORA, rank: 2, alpha: 6, dropout: 0, targetModules: ["q_proj"] },
  ...{ rankPattern: { "layers.1.self_attn.q_proj": 3 } },
};

const full = (layer: number, end: string): string => `model.layers.${layer}.${Q}.${end}`;

/** Weights of an adapter's file: each tensor's numbers go on where the last one's ended. */
function weightsOf(names: Readonly<Record<string, readonly number[]>>, change?: number) {
  let next = 1;
  const tensors = Object.entries(names).map(([name, shape]): [string, TensorData] => {
    const count = shape.reduce((product, each) => product * each, 1);
    const numbers = Float32Array.from({ length: count }, () => next++);
    if (change !== undefined) numbers[0] = change;
    return [name, { dtype: "float32", shape, data: new Uint8Array(numbers.buffer) }];
  });
  return tensorSourceFromMap(new Map(tensors));
}

const FILE = {
  [full(0, "lora_A.weight")]: [2, 16],
  [full(0, "lora_B.weight")]: [32, 2],
  [full(1, "lora_A.weight")]: [3, 16],
  [full(1, "lora_B.weight")]: [32, 3],
};

async function folderOf(lora: LoraOptions, file: Parameters<typeof weightsOf>[0], change?: number) {
  const folder = await tempFolder();
  await folder.write(ADAPTER_CONFIG, formatAdapterConfig(lora, { baseModel: "base" }));
  await writeSafetensors(`${folder.path}/${ADAPTER_WEIGHTS}`, weightsOf(file, change));
  return folder;
}

Deno.test("adaptModel() gives an adapter's weights and what is derived of them beside the model's", async () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  using adapted = adaptModel(runtime, { config, base, lora: LORA });
  assert.equal(adapted.lora, LORA);
  assert.deepEqual(adapted.notes, []);
  assert.deepEqual(
    Object.fromEntries(adapted.parameters.map(({ name, shape }) => [name, shape])),
    FILE,
  );
  // In memory each block has the largest rank.
  assert.deepEqual(adapted.trained.names(), Object.keys(FILE));
  assert.deepEqual(adapted.trained.info(full(0, "lora_A.weight")).shape, [3, 16]);
  const { weights } = adapted;
  assert.deepEqual([...weights.tensor(full(0, "lora_scale")).float32()], [3]);
  assert.deepEqual([...weights.tensor(full(1, "lora_scale")).float32()], [2]);
  assert.deepEqual(weights.tensor(full(1, "lora_scale")).shape, [1]);
  assert.equal(weights.tensor(full(1, "weight")), base.tensor(full(1, "weight")));
  assert.equal(weights.has(full(0, "lora_weight_norm")), false);
  assert.equal(await adapted.refresh(), undefined);
});

Deno.test("adaptModel() has DoRA's norms too, notes that are given, and no constants where all blocks are alike", () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  const { rankPattern: _, ...alike } = LORA;
  const lora = { ...alike, dora: true, notes: ["one"] };
  using adapted = adaptModel(runtime, { config, base, lora });
  assert.deepEqual(adapted.notes, ["one"]);
  assert.equal(adapted.weights.has(full(0, "lora_weight_norm")), true);
  assert.equal(adapted.weights.has(full(0, "lora_scale")), false);
  assert.equal(adapted.weights.has(full(0, "lora_magnitude_vector")), true);
});

Deno.test("an adapted model's layers for generation drop nothing", () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  using adapted = adaptModel(runtime, { config, base, lora: { ...LORA, dropout: 0.5 } });
  const b = new GraphBuilder("g");
  const own = new Map([[`${Q}.weight`, b.input("w", "float32", [32, 16])]]);
  b.output("y", adapted.linear(b, own)(Q, b.input("x", "float32", ["n", 16])));
  assert.deepEqual(graphText(b.build()).map((line) => line.replaceAll(`${Q}.`, "")), [
    "Gemm_0 float32 [n,32] = Gemm(x, w) transA=0 transB=1",
    "Gemm_1 float32 [n,3] = Gemm(x, lora_A.weight) transA=0 transB=1",
    "Mul_2 float32 [n,3] = Mul(Gemm_1, lora_scale)",
    "y float32 [n,32] = Gemm(Mul_2, lora_B.weight, Gemm_0) transA=0 transB=1",
  ]);
});

Deno.test("an adapted model releases its own memory, not the base's", () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  const adapted = adaptModel(runtime, { config, base, lora: { ...LORA, dora: true } });
  const own = ["lora_A.weight", "lora_scale", "lora_weight_norm"]
    .map((end) => adapted.weights.tensor(full(1, end)));
  for (const tensor of own) tensor.float32();
  adapted[Symbol.dispose]();
  for (const tensor of own) {
    assert.throws(() => tensor.float32(), {
      name: "ReferenceError",
      message: "Cannot use a tensor: it was disposed of",
    });
  }
  base.tensor(full(1, "weight")).float32();
});

Deno.test("loadAdapter() fills an adapter from its folder, with zeros beyond a block's own rank", async () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  await using folder = await folderOf(LORA, FILE);
  using adapted = await loadAdapter(runtime, folder.path, { config, base });
  assert.deepEqual(adapted.lora, { ...LORA, notes: [] });
  const numbers = (name: string) => [...adapted.trained.tensor(name).float32()];
  const count = (from: number, length: number) => Array.from({ length }, (_, i) => from + i);
  assert.deepEqual(numbers(full(0, "lora_A.weight")), [...count(1, 32), ...Array(16).fill(0)]);
  assert.deepEqual(
    numbers(full(0, "lora_B.weight")),
    count(0, 32).flatMap((row) => [33 + 2 * row, 34 + 2 * row, 0]),
  );
  assert.deepEqual(numbers(full(1, "lora_A.weight")), count(97, 48));
  assert.deepEqual(numbers(full(1, "lora_B.weight")), count(145, 96));
});

Deno.test("loadAdapter() gives all of a block without an adapter as zeros, and DoRA's norms", async () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  const { rankPattern: _, ...lora } = { ...LORA, rank: 3, dora: true, layersToTransform: [1] };
  const file = Object.fromEntries([
    ...Object.entries(FILE).filter(([name]) => name.includes("layers.1")),
    [full(1, "lora_magnitude_vector"), [32]],
  ]);
  await using folder = await folderOf(lora, file);
  using adapted = await loadAdapter(runtime, folder.path, { config, base });
  assert.ok(adapted.trained.tensor(full(0, "lora_A.weight")).float32().every((each) => each === 0));
  assert.deepEqual(
    [...adapted.trained.tensor(full(1, "lora_magnitude_vector")).float32()].slice(0, 2),
    [145, 146],
  );
  const norms = [0, 1].map((layer) =>
    adapted.weights.tensor(full(layer, "lora_weight_norm")).float32()
  );
  assert.ok(norms[0].every((each) => each === 1));
  assert.ok(norms[1].every((each) => each > 100));
});

Deno.test("readAdapterWeights() reads another folder's weights into an adapter", async () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  await using folder = await folderOf(LORA, FILE, 0.5);
  using adapted = adaptModel(runtime, { config, base, lora: LORA });
  await readAdapterWeights(runtime, adapted, folder.path);
  const first = adapted.trained.tensor(full(1, "lora_A.weight")).float32();
  assert.deepEqual([...first.subarray(0, 2)], [0.5, 98]);
  const signal = AbortSignal.abort(new Error("stopped"));
  await assert.rejects(readAdapterWeights(runtime, adapted, folder.path, { signal }), /stopped/);
  await assert.rejects(loadAdapter(runtime, folder.path, { config, base, signal }), /stopped/);
});

Deno.test("weights that are no numbers are refused with the adapter's folder", async () => {
  using runtime = new Runtime({ threads: 1 });
  using base = randomWeights(runtime, config);
  await using folder = await folderOf(LORA, FILE, NaN);
  const message =
    `Cannot load weights from ${folder.path}: "${full(0, "lora_A.weight")}" holds NaN or ` +
    "infinity at element 0; its training went wrong, take an earlier checkpoint";
  await assert.rejects(loadAdapter(runtime, folder.path, { config, base }), { message });
});
