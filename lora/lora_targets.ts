/**
 * Which linear layers of a model an adapter is on, and with what rank and scale: as PEFT chooses them.
 *
 * In: a model's config and an adapter's settings. Out: the layers, in the order of the model.
 *
 * @module
 */

import { listFields } from "../internal/json/field_table.ts";
import type { ModelConfig } from "../model/config.ts";
import { blockLinears, blockNorms, layerName, layerOf } from "../model/parameters.ts";
import { distinctKinds, type LayerKind } from "../model/parts/layer_kind.ts";
import { type LoraOptions, loraScale } from "./lora_options.ts";
import { NamePattern, StepLimit } from "./name_pattern.ts";

/** A linear layer with an adapter. */
export interface LoraTarget {
  /** The block's number. */
  readonly layer: number;
  /** Its name inside the block, such as `self_attn.q_proj`. */
  readonly name: string;
  /** Rows of its A and columns of its B. */
  readonly rank: number;
  /** Its alpha. */
  readonly alpha: number;
  /** The factor on B·A·x. */
  readonly scale: number;
}

/** Whether a module's full name is meant. */
type Matches = (name: string) => boolean;

/**
 * The layers that have an adapter.
 *
 * @param from what holds the settings, for errors
 *
 * @example
 * ```ts
 * import { DEFAULT_LORA, parseConfig } from "@ortune/ortune";
 * import { loraTargets } from "@ortune/ortune/lora";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 2, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * const targets = loraTargets(config, {
 *   ...DEFAULT_LORA,
 *   targetModules: ".*self_attn\\.(q|v)_proj",
 *   rankPattern: { "layers.1.self_attn.v_proj": 4 },
 * });
 * assert.deepEqual(targets.map(({ layer, name, rank }) => `${layer} ${name} ${rank}`), [
 *   "0 self_attn.q_proj 8",
 *   "0 self_attn.v_proj 8",
 *   "1 self_attn.q_proj 8",
 *   "1 self_attn.v_proj 4",
 * ]);
 * ```
 *
 * @throws {RangeError} naming what is meant and cannot be adapted, or is not there
 */
export function loraTargets(
  config: ModelConfig,
  lora: LoraOptions,
  options: { readonly from?: string } = {},
): readonly LoraTarget[] {
  let ofModels = CHOSEN.get(lora);
  if (!ofModels) CHOSEN.set(lora, ofModels = new WeakMap());
  let targets = ofModels.get(config);
  if (!targets) ofModels.set(config, targets = chooseTargets(config, lora, options));
  return targets;
}

/** What was chosen already: a stranger's patterns are paid for once, however many ask. */
const CHOSEN = new WeakMap<LoraOptions, WeakMap<ModelConfig, readonly LoraTarget[]>>();

function chooseTargets(
  config: ModelConfig,
  lora: LoraOptions,
  { from }: { readonly from?: string },
): readonly LoraTarget[] {
  const of = from === undefined ? "" : ` of ${from}`;
  const where = from === undefined ? "" : ` in target_modules${of}`;
  const { targetModules } = lora;
  const isLinear = new Set(linearNames(config).map(({ full }) => full));
  const meant: Matches = meansAllLinear(lora) ? (name) => isLinear.has(name) : targeted(lora, of);
  const excluded = excludes(lora, of);
  const adapted: Matches = (name) => !excluded(name) && meant(name);
  const lost = typeof targetModules === "string" ? [] : unmatched(config, targetModules);
  const others = otherModules(config).filter(adapted).map((name) => asMeant(name, targetModules));
  const known = blockLinears(config).map(({ name }) => lastPart(name)).join(", ");
  if (others.length > 0 || lost.length > 0) {
    throw new RangeError(
      `Cannot adapt ${listFields([...new Set([...lost, ...others])])}: the linear layers are ` +
        `${known}; name some of these${where}` +
        (from === undefined ? "" : ", or merge the adapter with PEFT"),
    );
  }
  const rankOf = patternValue(`rank_pattern${of}`, lora.rankPattern);
  const alphaOf = patternValue(`alpha_pattern${of}`, lora.alphaPattern);
  const targets = linearNames(config).filter(({ full }) => adapted(full)).map(
    ({ layer, name, full }): LoraTarget => {
      const rank = rankOf(full) ?? lora.rank;
      const alpha = alphaOf(full) ?? lora.alpha;
      return { layer, name, rank, alpha, scale: loraScale({ ...lora, rank, alpha }) };
    },
  );
  if (targets.length > 0) return targets;
  throw new RangeError(
    `Cannot adapt the model: target_modules${
      restrictions(lora)
    } choose no linear layer in any of ` +
      `its ${config.layers} blocks; the linear layers are ${known}; name some of these${where}`,
  );
}

/** Whether all linear layers are meant, whatever the family calls them. */
function meansAllLinear({ targetModules }: LoraOptions): boolean {
  return typeof targetModules === "string" && targetModules.toLowerCase() === "all-linear";
}

/**
 * The settings with how the names of a model's linear layers end in place of `all-linear`. PEFT saves
 * whole names, of the same layers.
 *
 * @example
 * ```ts
 * import { DEFAULT_LORA, parseConfig } from "@ortune/ortune";
 * import { withLayerNames } from "@ortune/ortune/lora";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "phi3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 261, eos_token_id: 258,
 * });
 * assert.deepEqual(withLayerNames(config, DEFAULT_LORA).targetModules, [
 *   "qkv_proj", "o_proj", "gate_up_proj", "down_proj",
 * ]);
 * ```
 */
export function withLayerNames<Lora extends LoraOptions>(config: ModelConfig, lora: Lora): Lora {
  if (!meansAllLinear(lora)) return lora;
  return { ...lora, targetModules: blockLinears(config).map(({ name }) => lastPart(name)) };
}

/** Settings that change no layer of the model, a few words each: PEFT warns of them too. */
export function settingsWithoutLayer(
  config: ModelConfig,
  lora: LoraOptions,
): readonly string[] {
  const names = loraTargets(config, lora).map(({ layer, name }) => layerName(layer, name));
  const idle = (field: string, patterns: Readonly<Record<string, number>> = {}): string[] => {
    const limit = new StepLimit();
    return Object.keys(patterns)
      .filter((key) => !names.some(endsIn(field, key, limit)))
      .map((key) => `${field} has ${JSON.stringify(key)}`);
  };
  const layers = [lora.layersToTransform ?? []].flat().filter((each) => each >= config.layers);
  return [
    ...idle("rank_pattern", lora.rankPattern),
    ...idle("alpha_pattern", lora.alphaPattern),
    ...layers.length > 0 ? [`layers_to_transform has ${listFields(layers.map(String))}`] : [],
  ];
}

function restrictions(lora: LoraOptions): string {
  const fields = [
    ...lora.layersToTransform === undefined ? [] : ["layers_to_transform"],
    ...lora.layersPattern === undefined ? [] : ["layers_pattern"],
    ...lora.excludeModules === undefined ? [] : ["exclude_modules"],
  ];
  return fields.map((field) => ` and ${field}`).join("");
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** What a name ends in, the whole of it too, from one part on. */
function endings(name: string): string[] {
  const parts = name.split(".");
  return parts.map((_, i) => parts.slice(i).join("."));
}

/** A module's name as a list has it. */
function asMeant(name: string, targetModules: readonly string[] | string): string {
  if (typeof targetModules === "string") return name;
  return endings(name).find((each) => targetModules.includes(each)) ?? name;
}

/** A model's linear layers but the head, under their names and those inside their blocks. */
function linearNames(config: ModelConfig): { layer: number; name: string; full: string }[] {
  const names = new Map(
    distinctKinds(config).map((kind) => [kind, blockLinears(config, kind).map(({ name }) => name)]),
  );
  return config.layerKinds.flatMap((kind, layer) =>
    names.get(kind)!.map((name) => ({ layer, name, full: layerName(layer, name) }))
  );
}

/** What the MLPs of transformers' classes call their activation. */
const ACTIVATIONS = ["mlp.act_fn", "shared_mlp.activation"];

/** The modules that transformers' model has besides, none of which can be adapted here. */
function otherModules(config: ModelConfig): string[] {
  const isInside = (name: string): boolean => name.includes(".");
  const partsOf = (kind: LayerKind): string[] => {
    const norms = blockNorms(config, kind).map(({ name }) => layerOf(name));
    const holders = new Set(blockLinears(config, kind).map(({ name }) => layerOf(name)));
    return [
      ...holders,
      ...kind.delta ? ["linear_attn.conv1d"] : [],
      ...ACTIVATIONS.filter((name) => holders.has(layerOf(name))),
      ...norms.filter((name) => !isInside(name)),
      ...norms.filter(isInside),
    ];
  };
  const parts = new Map(distinctKinds(config).map((kind) => [kind, partsOf(kind)]));
  const blocks = config.layerKinds.map((kind, layer) => [
    `model.layers.${layer}`,
    ...parts.get(kind)!.map((part) => layerName(layer, part)),
  ]);
  const ends = ["model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"];
  return ["model", "model.layers", ...ends, ...blocks.flat()];
}

/** Names in a list that no module has or ends in. */
function unmatched(config: ModelConfig, targetModules: readonly string[]): string[] {
  const modules = [...linearNames(config).map(({ full }) => full), ...otherModules(config)];
  const known = new Set(modules.flatMap(endings));
  return targetModules.filter((name) => !known.has(name)).map((name) => name || '""');
}

/** PEFT's check_target_module_exists: https://github.com/huggingface/peft/blob/v0.21.2/src/peft/tuners/tuners_utils.py */
function targeted(
  { targetModules, layersToTransform, layersPattern }: LoraOptions,
  of: string,
): Matches {
  if (typeof targetModules === "string") {
    const pattern = new NamePattern(`target_modules${of}`, targetModules);
    return (name) => pattern.matches(name);
  }
  const wanted = new Set(targetModules);
  const layers = new Set(layersToTransform === undefined ? [] : [layersToTransform].flat());
  const layerOf = layerNumber(layersPattern ? [layersPattern].flat() : [], of);
  return (name) => {
    // A full name is taken whatever block it is in.
    if (wanted.has(name)) return true;
    if (!endings(name).some((each) => wanted.has(each))) return false;
    if (layers.size === 0) return true;
    const layer = layerOf(name);
    return layer !== undefined && layers.has(layer);
  };
}

function excludes({ excludeModules = [] }: LoraOptions, of: string): Matches {
  if (typeof excludeModules !== "string") {
    const unwanted = new Set(excludeModules);
    return (name) => endings(name).some((each) => unwanted.has(each));
  }
  if (excludeModules === "") return () => false;
  const pattern = new NamePattern(`exclude_modules${of}`, excludeModules);
  return (name) => pattern.matches(name);
}

/** The block's number in a name, which is its only one, if it is after a part that one of the patterns matches. */
function layerNumber(
  patterns: readonly string[],
  of: string,
): (name: string) => number | undefined {
  const named = patterns.map((each) =>
    new NamePattern(`layers_pattern${of}`, each, { flags: false })
  );
  // re.match(r".*?\.[^.]*\.(?P<idx>\d+)\.", name)
  if (named.length === 0) {
    return (name) => {
      const found = /^.*?\.[^.]*\.(\d+)\./.exec(name);
      return found ? Number(found[1]) : undefined;
    };
  }
  // re.match(rf"(?:^|.*?\.){pattern}\.(?P<idx>\d+)\.", name)
  return (name) => {
    const starts = [0, ...[...name.matchAll(/\./g)].map(({ index }) => index + 1)];
    for (const pattern of named) {
      for (const start of starts) {
        for (const end of pattern.ends(name, [start])) {
          const found = /^\.(\d+)\./.exec(name.slice(end));
          if (found) return Number(found[1]);
        }
      }
    }
    return undefined;
  };
}

/** The value of the first pattern that a name ends in: PEFT's get_pattern_key. */
function patternValue(
  field: string,
  patterns: Readonly<Record<string, number>> = {},
): (name: string) => number | undefined {
  const limit = new StepLimit();
  const entries = Object.entries(patterns).map(([key, value]) => ({
    matches: endsIn(field, key, limit),
    value,
  }));
  return (name) => entries.find(({ matches }) => matches(name))?.value;
}

/** re.match(rf"(.*\.)?({key})$", name) */
function endsIn(field: string, key: string, limit: StepLimit): Matches {
  // There may be one for each of hundreds of layers, most of them plain names.
  if (/^[\w.]+$/.test(key)) {
    const parts = [...key];
    return (name) => {
      const start = name.length - key.length;
      if (start < 0 || start > 0 && name[start - 1] !== ".") return false;
      return parts.every((each, i) => each === "." || each === name[start + i]);
    };
  }
  // By itself first: what becomes a pattern between parentheses need not be one.
  new NamePattern(field, key, { flags: false });
  const pattern = new NamePattern(field, `(.*\\.)?(${key})$`, { limit });
  return (name) => pattern.matches(name);
}
