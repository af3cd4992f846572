/**
 * Initial weights where no PyTorch can write them. In: a shape, a seed. Out: a model folder and a PEFT
 * folder, in the layout and with the settings that torch_side.py's have, other numbers in them.
 */

import { parseConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { withLayerNames } from "../../lora/lora_targets.ts";
import { type DType, elementCount } from "../../ort/tensor/dtype.ts";
import { float32ToBfloat16 } from "../../ort/tensor/half.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
import type { ModelShape } from "./workload.ts";

/** Where and what. */
export interface RandomModelOptions {
  readonly model: string;
  readonly adapter: string;
  readonly shape: ModelShape;
  readonly seed: number;
  readonly dtype: "float32" | "bfloat16";
}

const DEVIATION = 0.02;
// A prime: no length of a weight's row divides it, so that no two rows are alike.
const POOL = 1_048_573;

type Fill = "normal" | "one" | "zero";

interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly fill: Fill;
}

/** The config.json of a shape. */
export function randomModelConfig(
  shape: ModelShape,
  dtype: RandomModelOptions["dtype"],
): Readonly<Record<string, unknown>> {
  return {
    ...shape,
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    attention_bias: false,
    hidden_act: "silu",
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    tie_word_embeddings: true,
    max_position_embeddings: 40960,
    bos_token_id: 0,
    eos_token_id: 1,
    torch_dtype: dtype,
  };
}

/** Writes both folders. */
export async function writeRandomModel(options: RandomModelOptions): Promise<void> {
  const { model, adapter, shape, seed, dtype } = options;
  const config = randomModelConfig(shape, dtype);
  const weights = modelParameters(parseConfig(config)).map(({ name, shape }): Weight => ({
    name,
    shape,
    fill: shape.length > 1 ? "normal" : "one",
  }));
  await writeFolder(model, { dtype, seed, weights, file: "model.safetensors" });
  await Deno.writeTextFile(`${model}/config.json`, JSON.stringify(config, null, 2));
  const { rank, alpha, dropout } = DEFAULT_LORA;
  const { targetModules: targets } = withLayerNames(parseConfig(config), DEFAULT_LORA);
  const layers = weights.filter(({ name }) =>
    (targets as readonly string[]).some((end) => name.endsWith(`${end}.weight`))
  );
  await writeFolder(adapter, {
    dtype: "float32",
    seed: seed + 1,
    file: "adapter_model.safetensors",
    weights: layers.flatMap(({ name, shape: [out, width] }): Weight[] => {
      const layer = `base_model.model.${name.replace(/\.weight$/, "")}`;
      return [
        { name: `${layer}.lora_A.weight`, shape: [rank, width], fill: "normal" },
        { name: `${layer}.lora_B.weight`, shape: [out, rank], fill: "zero" },
      ];
    }),
  });
  await Deno.writeTextFile(
    `${adapter}/adapter_config.json`,
    JSON.stringify({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: model,
      r: rank,
      lora_alpha: alpha,
      lora_dropout: dropout,
      target_modules: targets,
      bias: "none",
      fan_in_fan_out: false,
      inference_mode: false,
    }),
  );
}

async function writeFolder(
  folder: string,
  { file, ...how }: Parameters<typeof source>[0] & { readonly file: string },
): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await writeSafetensors(`${folder}/${file}`, source(how));
}

/** Weights that are made as they are written: all of them would not fit into memory. */
function source({ dtype, seed, weights }: {
  readonly dtype: DType & ("float32" | "bfloat16");
  readonly seed: number;
  readonly weights: readonly Weight[];
}): TensorSource {
  const values = new Float32Array(POOL);
  new TorchGenerator(seed).normal(values, 0, DEVIATION);
  const bits = new Uint16Array(POOL);
  float32ToBfloat16(values, bits);
  const pool = new Uint8Array((dtype === "float32" ? values : bits).buffer);
  const one = new Uint8Array(
    dtype === "float32" ? Float32Array.of(1).buffer : Uint16Array.of(0x3f80).buffer,
  );
  const byName = new Map<string, Weight & { readonly from: number }>();
  let from = 0;
  for (const weight of weights) {
    byName.set(weight.name, { ...weight, from });
    if (weight.fill === "normal") from += elementCount(weight.shape) * one.length;
  }
  return {
    names: () => [...byName.keys()],
    info: (name) => ({ dtype, shape: byName.get(name)!.shape }),
    read: (name, into, offset = 0): Promise<void> => {
      const { fill, from } = byName.get(name)!;
      if (fill === "zero") into.fill(0);
      else copyAround(into, fill === "one" ? one : pool, from + offset);
      return Promise.resolve();
    },
  };
}

/** Fills `into` with `pool` repeated without end, from byte `start` of that on. */
function copyAround(into: Uint8Array, pool: Uint8Array, start: number): void {
  for (let at = 0; at < into.length;) {
    const part = pool.subarray((start + at) % pool.length, pool.length).subarray(
      0,
      into.length - at,
    );
    into.set(part, at);
    at += part.length;
  }
}
