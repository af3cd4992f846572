/**
 * The names of a model's tensors in GGUF files and in Hugging Face's, and how their numbers differ there.
 *
 * In: a family and a name. Out: the other name, and what is done to the numbers. GGUF's names and layouts are
 * those of llama.cpp (`gguf-py/gguf/constants.py`, `conversion/`).
 *
 * @module
 */

import type { ModelType } from "../../model/families/families.ts";
import { EMBEDDING, FINAL_NORM, LM_HEAD } from "../../model/parameters.ts";

/** What is done to a tensor's numbers on the way to GGUF, and undone on the way back. */
export type TensorChange =
  /** Rows of each head: that of a pair's second half comes right after its first. llama.cpp turns neighbours. */
  | "pair-rows"
  /** 1 is added: llama.cpp multiplies by a norm's weight alone. */
  | "add-one"
  /** a becomes −exp(a), and heads of values are in the order of `tile-rows`. */
  | "decay-rate"
  /** Heads of values that share a head of keys lie apart, not together: rows in another order. */
  | "tile-rows"
  /** The same for the last heads alone, behind those of queries and keys; [channels, 1, taps] loses its 1. */
  | "tile-value-rows"
  /** The same for columns. */
  | "tile-columns";

/** A tensor's name in GGUF files. */
export interface GgufTensorName {
  /** One, such as `blk.0.attn_q.weight`; or two, of the first and the second half of the rows. */
  readonly names: readonly string[];
  /** @default the numbers are the same */
  readonly change?: TensorChange;
}

/** How llama.cpp knows a family. */
export interface GgufArchitecture {
  /** `general.architecture`, and what the family's keys begin with. */
  readonly name: string;
  /** Names inside a layer, with their ends: `self_attn.q_proj.weight`. */
  readonly layer: Readonly<Record<string, GgufTensorName>>;
  /** The norm behind the last layer. */
  readonly finalNorm: GgufTensorName;
}

type Row = readonly [ours: string, theirs: string, change?: TensorChange];

const weights = (rows: readonly Row[]): Record<string, GgufTensorName> =>
  Object.fromEntries(
    rows.map(([ours, theirs, change]) => [`${ours}.weight`, {
      names: [`${theirs}.weight`],
      ...change && { change },
    }]),
  );

/** Projections of attention with their biases; `turned`, what is done to queries and keys. */
const attention = (turned?: TensorChange): Record<string, GgufTensorName> =>
  Object.fromEntries(
    (["weight", "bias"] as const).flatMap((end) =>
      ([
        ["self_attn.q_proj", "attn_q", turned],
        ["self_attn.k_proj", "attn_k", turned],
        ["self_attn.v_proj", "attn_v"],
        ["self_attn.o_proj", "attn_output"],
      ] as readonly Row[]).map(([ours, theirs, change]) => [
        `${ours}.${end}`,
        { names: [`${theirs}.${end}`], ...change && { change } },
      ])
    ),
  );

const MLP = weights([
  ["mlp.gate_proj", "ffn_gate"],
  ["mlp.up_proj", "ffn_up"],
  ["mlp.down_proj", "ffn_down"],
]);
/** Norms before attention and before the MLP. */
const NORMS = weights([
  ["input_layernorm", "attn_norm"],
  ["post_attention_layernorm", "ffn_norm"],
]);
const FINAL: GgufTensorName = { names: ["output_norm.weight"] };
const FINAL_PLUS_ONE: GgufTensorName = { ...FINAL, change: "add-one" };

const headNorms = (change?: TensorChange): Record<string, GgufTensorName> =>
  weights([
    ["self_attn.q_norm", "attn_q_norm", change],
    ["self_attn.k_norm", "attn_k_norm", change],
  ]);

/** Llama's names, of families whose pairs are neighbours in llama.cpp. */
const llamaLike = (name: string): GgufArchitecture => ({
  name,
  layer: { ...NORMS, ...attention("pair-rows"), ...MLP },
  finalNorm: FINAL,
});

/** The table: a row a family. */
export const GGUF_ARCHITECTURES: Readonly<Record<ModelType, GgufArchitecture>> = {
  llama: llamaLike("llama"),
  mistral: llamaLike("llama"),
  ministral3: llamaLike("mistral3"),
  smollm3: llamaLike("smollm3"),
  granite: llamaLike("granite"),
  granitemoehybrid: {
    name: "granite",
    layer: {
      ...NORMS,
      ...attention("pair-rows"),
      "shared_mlp.input_linear.weight": { names: ["ffn_gate.weight", "ffn_up.weight"] },
      "shared_mlp.output_linear.weight": { names: ["ffn_down.weight"] },
    },
    finalNorm: FINAL,
  },
  qwen2: { name: "qwen2", layer: { ...NORMS, ...attention(), ...MLP }, finalNorm: FINAL },
  qwen3: {
    name: "qwen3",
    layer: { ...NORMS, ...attention(), ...headNorms(), ...MLP },
    finalNorm: FINAL,
  },
  phi3: {
    name: "phi3",
    layer: {
      ...NORMS,
      ...weights([
        ["self_attn.qkv_proj", "attn_qkv"],
        ["self_attn.o_proj", "attn_output"],
        ["mlp.gate_up_proj", "ffn_up"],
        ["mlp.down_proj", "ffn_down"],
      ]),
    },
    finalNorm: FINAL,
  },
  olmo2: {
    name: "olmo2",
    layer: {
      ...attention(),
      ...headNorms(),
      ...MLP,
      ...weights([
        ["post_attention_layernorm", "post_attention_norm"],
        ["post_feedforward_layernorm", "post_ffw_norm"],
      ]),
    },
    finalNorm: FINAL,
  },
  gemma3_text: {
    name: "gemma3",
    layer: {
      ...attention(),
      ...headNorms("add-one"),
      ...MLP,
      ...weights([
        ["input_layernorm", "attn_norm", "add-one"],
        ["post_attention_layernorm", "post_attention_norm", "add-one"],
        ["pre_feedforward_layernorm", "ffn_norm", "add-one"],
        ["post_feedforward_layernorm", "post_ffw_norm", "add-one"],
      ]),
    },
    finalNorm: FINAL_PLUS_ONE,
  },
  qwen3_5_text: {
    name: "qwen35",
    layer: {
      ...attention(),
      ...headNorms("add-one"),
      ...MLP,
      ...weights([
        ["input_layernorm", "attn_norm", "add-one"],
        ["post_attention_layernorm", "post_attention_norm", "add-one"],
        ["linear_attn.in_proj_qkv", "attn_qkv", "tile-value-rows"],
        ["linear_attn.in_proj_z", "attn_gate", "tile-rows"],
        ["linear_attn.in_proj_b", "ssm_beta", "tile-rows"],
        ["linear_attn.in_proj_a", "ssm_alpha", "tile-rows"],
        ["linear_attn.conv1d", "ssm_conv1d", "tile-value-rows"],
        ["linear_attn.norm", "ssm_norm"],
        ["linear_attn.out_proj", "ssm_out", "tile-columns"],
      ]),
      "linear_attn.A_log": { names: ["ssm_a"], change: "decay-rate" },
      "linear_attn.dt_bias": { names: ["ssm_dt.bias"], change: "tile-rows" },
    },
    finalNorm: FINAL_PLUS_ONE,
  },
};

const LAYER = /^model\.layers\.(\d+)\.(.+)$/;
const GGUF_LAYER = /^blk\.(\d+)\.(.+)$/;

/**
 * A tensor's name in GGUF files.
 *
 * @param name Hugging Face's: `model.layers.0.self_attn.q_proj.weight`
 * @throws {RangeError} where the family has no such tensor
 */
export function ggufTensorName(modelType: ModelType, name: string): GgufTensorName {
  const { layer, finalNorm } = GGUF_ARCHITECTURES[modelType];
  if (name === EMBEDDING) return { names: ["token_embd.weight"] };
  if (name === LM_HEAD) return { names: ["output.weight"] };
  if (name === FINAL_NORM) return finalNorm;
  const [, number, local] = LAYER.exec(name) ?? [];
  if (local !== undefined && Object.hasOwn(layer, local)) {
    const { names, change } = layer[local];
    return { names: names.map((each) => `blk.${number}.${each}`), ...change && { change } };
  }
  throw new RangeError(
    `Cannot name ${name} in GGUF: llama.cpp's ${
      GGUF_ARCHITECTURES[modelType].name
    } has no such tensor`,
  );
}

/** A tensor of a GGUF file under Hugging Face's name. */
export interface HfTensorName {
  /** `model.layers.0.self_attn.q_proj.weight` */
  readonly name: string;
  /** Which half of its rows this is, of a tensor that GGUF has as two. @default all of them */
  readonly half?: 0 | 1;
  /** What was done to the numbers. @default nothing */
  readonly change?: TensorChange;
}

/** The way back; undefined where the family has no such tensor, as of `rope_freqs.weight`. */
export function hfTensorName(modelType: ModelType, name: string): HfTensorName | undefined {
  const { layer, finalNorm } = GGUF_ARCHITECTURES[modelType];
  if (name === "token_embd.weight") return { name: EMBEDDING };
  if (name === "output.weight") return { name: LM_HEAD };
  const change = (change: TensorChange | undefined) => change && { change };
  if (name === "output_norm.weight") return { name: FINAL_NORM, ...change(finalNorm.change) };
  const [, number, local] = GGUF_LAYER.exec(name) ?? [];
  for (const [ours, theirs] of Object.entries(layer)) {
    const at = theirs.names.indexOf(local);
    if (at < 0) continue;
    return {
      name: `model.layers.${number}.${ours}`,
      ...theirs.names.length === 2 && { half: at as 0 | 1 },
      ...change(theirs.change),
    };
  }
}
