/** A model small enough to train in milliseconds, with random weights. */

import type { Example } from "../../data/examples/example.ts";
import { joinExample } from "../../data/examples/join_example.ts";
import type { LabelledGrid } from "../../model/engine/batch.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import type { ModelType } from "../../model/families/families.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { draws } from "./random.ts";
import { type TempFolder, tempFolder } from "./temp_folder.ts";

/** A two-layer Qwen3 with 64 tokens. */
export function tinyConfig(change: Readonly<Record<string, unknown>> = {}): ModelConfig {
  return parseConfig({
    model_type: "qwen3",
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    vocab_size: 64,
    tie_word_embeddings: true,
    ...change,
  });
}

/**
 * What shows of each family what others do not have, of heads of 16 that are longer than its windows and
 * of two layers.
 */
export const FAMILY_FIELDS: Readonly<Record<ModelType, Readonly<Record<string, unknown>>>> = {
  qwen3: {},
  qwen2: {},
  llama: {},
  mistral: { sliding_window: 5 },
  ministral3: {
    rope_parameters: {
      rope_type: "yarn",
      rope_theta: 10000,
      factor: 4,
      original_max_position_embeddings: 8,
      llama_4_scaling_beta: 0.3,
    },
  },
  smollm3: { no_rope_layer_interval: 2, use_sliding_window: true, sliding_window: 6 },
  granite: {
    attention_multiplier: 0.3,
    embedding_multiplier: 2,
    logits_scaling: 0.6,
    residual_multiplier: 0.4,
  },
  granitemoehybrid: {
    attention_multiplier: 0.3,
    embedding_multiplier: 0.5,
    logits_scaling: 0.5,
    residual_multiplier: 0.6,
    shared_intermediate_size: 32,
    num_local_experts: 0,
    layer_types: ["full_attention", "full_attention"],
  },
  phi3: { partial_rotary_factor: 0.5, sliding_window: 7 },
  olmo2: {},
  gemma3_text: {
    sliding_window: 5,
    sliding_window_pattern: 2,
    query_pre_attn_scalar: 64,
    final_logit_softcapping: 9,
    rope_local_base_freq: 500,
    // With the scaled embedding as its head a random model would repeat its input.
    tie_word_embeddings: false,
  },
  qwen3_5_text: {
    full_attention_interval: 2,
    partial_rotary_factor: 0.5,
    linear_num_key_heads: 2,
    linear_num_value_heads: 4,
    linear_key_head_dim: 6,
    linear_value_head_dim: 5,
  },
};

/** A two-layer model of a family. */
export function familyConfig(
  model_type: ModelType,
  change: Readonly<Record<string, unknown>> = {},
): ModelConfig {
  return tinyConfig({ model_type, ...FAMILY_FIELDS[model_type], ...change });
}

/** Families whose models can be exported as ONNX: those without layers that carry a state. */
export const EXPORTED_FAMILIES: readonly ModelType[] = (Object.keys(FAMILY_FIELDS) as ModelType[])
  .filter((family) => familyConfig(family).layerKinds.every(({ delta }) => !delta));

/** What makes the second of its layers see a window of 3 tokens. */
export const WINDOWED = { use_sliding_window: true, sliding_window: 3, max_window_layers: 1 };

/** A store of the model's tensors, undefined but for the gaps between them. */
export function emptyStore(runtime: Runtime, config: ModelConfig): ParameterStore {
  return new ParameterStore(runtime, layoutParameters(modelParameters(config)));
}

/** Random weights: norms about 1, all else about 0. */
export function randomWeights(runtime: Runtime, config: ModelConfig, seed = 1): ParameterStore {
  const draw = draws(seed);
  const store = emptyStore(runtime, config);
  for (const name of store.names()) {
    const values = store.tensor(name).float32();
    const norm = name.endsWith("norm.weight");
    for (let i = 0; i < values.length; i++) values[i] = norm ? draw(0.5, 1.5) : draw(-0.4, 0.4);
  }
  return store;
}

/** One training example: its tokens, of which the first `prompt` are not predicted. */
export interface TinyExample {
  readonly ids: readonly number[];
  readonly prompt: number;
}

/** Examples with random tokens. */
export function randomExamples(lengths: readonly number[], vocab: number): TinyExample[] {
  const draw = draws(7);
  return lengths.map((length) => ({
    ids: Array.from({ length }, () => Math.floor(draw(0, 1) * vocab)),
    prompt: 2,
  }));
}

/** The same as training takes them. */
export function trainingExamples(
  lengths: readonly number[],
  vocab: number,
  maxLength: number,
): Example[] {
  return randomExamples(lengths, vocab).map(({ ids, prompt }) => {
    const all = Int32Array.from(ids);
    const options = { maxLength, terminated: true };
    return joinExample(all.subarray(0, prompt), all.subarray(prompt), options);
  });
}

/** A folder with config.json and random weights. */
export async function tinyModelFolder(runtime: Runtime, config: ModelConfig): Promise<TempFolder> {
  const folder = await tempFolder();
  using weights = randomWeights(runtime, config);
  await folder.write("config.json", JSON.stringify(config.raw));
  await writeSafetensors(`${folder.path}/model.safetensors`, weights);
  return folder;
}

/** Rows of examples, end to end and padded to `length`, as a batch. */
export function tinyBatch(
  packs: readonly (readonly TinyExample[])[],
  length: number,
  padId = 0,
): LabelledGrid {
  const tokens = packs.length * length;
  const inputIds = new BigInt64Array(tokens).fill(BigInt(padId));
  const positionIds = new BigInt64Array(tokens);
  const segmentIds = new Int32Array(tokens);
  const targets = new Int32Array(tokens).fill(-100);
  let segment = 0;
  packs.forEach((pack, row) => {
    let at = row * length;
    for (const { ids, prompt } of pack) {
      segment++;
      ids.forEach((id, i) => {
        inputIds[at] = BigInt(id);
        positionIds[at] = BigInt(i);
        segmentIds[at] = segment;
        if (i + 1 >= prompt && i + 1 < ids.length) targets[at] = ids[i + 1];
        at++;
      });
    }
  });
  return { rows: packs.length, length, inputIds, positionIds, segmentIds, targets };
}
