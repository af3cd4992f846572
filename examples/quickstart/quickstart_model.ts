/**
 * The quickstart's base model: a Qwen3 of about a million parameters with random weights. Out: a
 * model folder in Hugging Face's layout, like a downloaded one.
 */

import { parseConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { type TensorData, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
import { quickstartTokenizerConfig, quickstartTokenizerJson } from "./quickstart_tokenizer.ts";

/** config.json of the quickstart's model. */
export const quickstartConfig: Readonly<Record<string, unknown>> = {
  architectures: ["Qwen3ForCausalLM"],
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: null,
  eos_token_id: 1021,
  head_dim: 32,
  hidden_act: "silu",
  hidden_size: 128,
  initializer_range: 0.05,
  intermediate_size: 448,
  max_position_embeddings: 512,
  model_type: "qwen3",
  num_attention_heads: 4,
  num_hidden_layers: 4,
  num_key_value_heads: 2,
  pad_token_id: 1019,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 10000,
  tie_word_embeddings: true,
  torch_dtype: "float32",
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 1024,
};

const generationConfig = { do_sample: false, eos_token_id: [1021, 1019], pad_token_id: 1019 };

/** Writes the model folder; the same seed gives the same bytes. `change` replaces fields of config.json. */
export async function writeQuickstartModel(
  directory: string,
  seed: number,
  change: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const config = { ...quickstartConfig, ...change };
  const random = new TorchGenerator(seed);
  const tensors = new Map<string, TensorData>();
  const std = quickstartConfig.initializer_range as number;
  for (const { name, shape } of modelParameters(parseConfig(config))) {
    const values = new Float32Array(elementCount(shape));
    if (shape.length > 1) random.normal(values, 0, std);
    else values.fill(1);
    tensors.set(name, { dtype: "float32", shape, data: new Uint8Array(values.buffer) });
  }
  await Deno.mkdir(directory, { recursive: true });
  await writeSafetensors(`${directory}/model.safetensors`, tensorSourceFromMap(tensors));
  const files = {
    "config.json": config,
    "generation_config.json": generationConfig,
    "tokenizer.json": quickstartTokenizerJson(),
    "tokenizer_config.json": quickstartTokenizerConfig(),
  };
  for (const [name, json] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, JSON.stringify(json, null, 2) + "\n");
  }
}
