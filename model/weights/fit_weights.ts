/**
 * Reads a file's tensors under the names of the model that config.json describes.
 *
 * In: a config and the tensors as they are named. Out: a source of exactly the model's parameters.
 * Only names and shapes are looked at, so that a wrong config.json is told before anything is laid
 * out for it.
 *
 * @module
 */

import { quoteName } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import { compareWeights, misfitError } from "./compare_weights.ts";
import type { ModelConfig } from "../config.ts";
import {
  blockParameters,
  EMBEDDING,
  FINAL_NORM,
  isBeside,
  layerName,
  LM_HEAD,
  modelParameters,
} from "../parameters.ts";

/** The weights of a model. */
export interface FittedWeights {
  /** All parameters of the model, and nothing else. */
  readonly source: TensorSource;
  /** What is read under another name than its own, a sentence each. */
  readonly notes: readonly string[];
  /** The file's names where a tied model's file has a head too; the two must be the same. */
  readonly tied?: { readonly embedding: string; readonly head: string };
}

/**
 * Finds the model's parameters in a source. Prefixes and wrappers that training tools add to names
 * (`module.`, `_orig_mod.`, `base_model.model.`, `base_layer`, or no `model.` at all) are seen
 * through where everything fits then.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { modelParameters } from "@ortune/ortune/model";
 * import { tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import { fitWeights } from "./fit_weights.ts";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "llama", hidden_size: 4, intermediate_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 1, vocab_size: 8, tie_word_embeddings: true });
 * const tensors = modelParameters(config).map(({ name, shape }) => [`module.${name}`, {
 *   dtype: "float32", shape, data: new Uint8Array(4 * shape.reduce((a, b) => a * b)),
 * }] as const);
 * const { source, notes } = fitWeights(config, tensorSourceFromMap(new Map(tensors)));
 * assert.ok(source.names().includes("model.norm.weight"));
 * assert.match(notes[0], /named as "module\.model\.embed_tokens\.weight"/);
 * ```
 *
 * @param from what the tensors come from, for errors
 * @throws {Error} listing together all that does not fit, by field of config.json where one is wrong
 */
export function fitWeights(
  config: ModelConfig,
  source: TensorSource,
  from = "the checkpoint",
): FittedWeights {
  const specs = modelParameters(config);
  const names = source.names().filter((name) => !isBeside(config, name));
  const asNamed = new Map(names.map((name) => [name, name]));
  const canonical = canonicalNames(names);
  const [own, wrapped] = [asNamed, canonical].map((names) => {
    const tied = withTiedHead(config, names);
    const view = renamed(source, tied);
    return { names: tied, view, misfit: compareWeights(specs, view) };
  });
  const fits = own.misfit.problems.length === 0
    ? own
    : wrapped.misfit.problems.length === 0
    ? wrapped
    : undefined;
  if (!fits) {
    const better = hits(specs, wrapped.names) > hits(specs, own.names) ? wrapped : own;
    const fields = wrongFields(config, better.view);
    // The names as they are tell more of what the file is.
    const hint = own.misfit.hint ?? better.misfit.hint ??
      (fields.length > 0 ? CORRECT_CONFIG : undefined);
    throw misfitError(from, { problems: [...fields, ...better.misfit.problems], hint });
  }
  const known = new Set(specs.map(({ name }) => name));
  const used = new Map([...fits.names].filter(([name]) => known.has(name)));
  const isHead = ([name, old]: readonly [string, string]): boolean =>
    name === EMBEDDING && old.endsWith(LM_HEAD);
  const other = [...used].find((entry) => entry[0] !== entry[1] && !isHead(entry));
  const notes = other
    ? [`${from}: its tensors are named as ${quoteName(other[1])}; it is read as ${other[0]}`]
    : [];
  if ([...used].some(isHead)) {
    notes.push(`${from}: it has no embedding but ${LM_HEAD}, which is the same in a tied model`);
  }
  const head = config.tiedEmbeddings ? fits.names.get(LM_HEAD) : undefined;
  return {
    source: renamed(source, used),
    notes,
    tied: head === undefined ? undefined : { embedding: used.get(EMBEDDING)!, head },
  };
}

const CORRECT_CONFIG = "Correct config.json, or take both from the same model";

/** What tools put between the parts of a name. */
const WRAPPERS =
  /(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module|base_layer)(?=\.)/g;

/** Canonical name to the file's own; those that would be two of one name keep theirs. */
function canonicalNames(names: readonly string[]): Map<string, string> {
  const plain = names.map((name) => name.replace(WRAPPERS, "").replace(/^\./, ""));
  const anchor = plain.map((name) => /^(.*?)layers\.\d+\.input_layernorm\.weight$/.exec(name))
    .find((match) => match !== null);
  const prefix = anchor?.[1] ?? "model.";
  const outer = prefix.endsWith("model.") ? prefix.slice(0, -"model.".length) : prefix;
  const found = new Map<string, string>();
  names.forEach((old, i) => {
    const name = canonicalName(plain[i], { prefix, outer });
    found.set(found.has(name) ? old : name, old);
  });
  return found;
}

function canonicalName(
  name: string,
  { prefix, outer }: { readonly prefix: string; readonly outer: string },
): string {
  const inner = name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
  if (inner !== undefined && /^(layers|embed_tokens|norm|rotary_emb)\./.test(inner)) {
    return `model.${inner}`;
  }
  return name === outer + LM_HEAD ? LM_HEAD : name;
}

/** A tied model's file may have the head in place of the embedding. */
function withTiedHead(
  { tiedEmbeddings }: ModelConfig,
  names: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const head = names.get(LM_HEAD);
  if (!tiedEmbeddings || names.has(EMBEDDING) || head === undefined) return names;
  const others = [...names].filter(([name]) => name !== LM_HEAD);
  return new Map([[EMBEDDING, head], ...others]);
}

/** How many of the model's parameters are among the names. */
function hits(
  specs: readonly { readonly name: string }[],
  names: ReadonlyMap<string, string>,
): number {
  return specs.filter(({ name }) => names.has(name)).length;
}

/** A source whose tensors have other names; `names` leads from them to the source's own. */
function renamed(source: TensorSource, names: ReadonlyMap<string, string>): TensorSource {
  const old = (name: string): string => names.get(name) ?? name;
  return {
    names: (): readonly string[] => [...names.keys()],
    info: (name: string): TensorInfo => source.info(old(name)),
    read: (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      source.read(old(name), into, offset),
  };
}

/** Fields of config.json that the shapes of the weights contradict. */
function wrongFields(config: ModelConfig, source: TensorSource): string[] {
  const names = new Set(source.names());
  const shape = (name: string): readonly number[] => names.has(name) ? source.info(name).shape : [];
  const layers = 1 + source.names().reduce((most, name) => {
    const layer = /^model\.layers\.(\d{1,6})\./.exec(name);
    return layer ? Math.max(most, Number(layer[1])) : most;
  }, -1);
  const self = (projection: string): readonly number[] =>
    shape(layerName(0, `self_attn.${projection}.weight`));
  const { heads, kvHeads, headDim } = config;
  const specs = new Map(blockParameters(config).map(({ name, shape }) => [name, shape]));
  // Some families norm all heads together.
  const normed = specs.get("self_attn.q_norm.weight")?.[0] === headDim;
  const layer0 = (name: string): number | undefined => shape(layerName(0, name))[0];
  const half = (name: string): number | undefined => {
    const rows = layer0(name);
    return rows && rows / 2;
  };
  const facts: readonly (readonly [field: string, says: number, has: number | undefined])[] = [
    ["num_hidden_layers", config.layers, layers || undefined],
    ["vocab_size", config.vocabSize, shape(EMBEDDING)[0]],
    ["hidden_size", config.hiddenSize, shape(EMBEDDING)[1] ?? shape(FINAL_NORM)[0]],
    ["intermediate_size", config.intermediateSize, layer0("mlp.gate_proj.weight")],
    ["intermediate_size", config.intermediateSize, half("mlp.gate_up_proj.weight")],
    [
      "shared_intermediate_size",
      config.intermediateSize,
      half("shared_mlp.input_linear.weight"),
    ],
    ["head_dim", headDim, normed ? self("q_norm")[0] : undefined],
    [
      `(num_attention_heads ${heads} + 2 · num_key_value_heads ${kvHeads}) · head_dim ${headDim}`,
      (heads + 2 * kvHeads) * headDim,
      self("qkv_proj")[0],
    ],
    [`num_attention_heads ${heads} · head_dim ${headDim}`, heads * headDim, self("q_proj")[0]],
    [`num_key_value_heads ${kvHeads} · head_dim ${headDim}`, kvHeads * headDim, self("k_proj")[0]],
  ];
  return facts.filter(([, says, has]) => has !== undefined && has !== says)
    .map(([field, says, has]) => `${field} is ${says} in config.json, but ${has} by the weights`);
}
