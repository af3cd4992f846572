/**
 * Which layers see all tokens and which a window of them, as transformers' config classes read it.
 *
 * In: config.json's fields. Out: a kind for each layer.
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import type { ConfigReader } from "./config_reader.ts";

/** transformers' names of how a layer mixes tokens. */
export type LayerType = "full_attention" | "linear_attention" | "sliding_attention";

/** `layer_types`, checked; undefined where config.json has none. */
export function readLayerTypes(
  { raw: { layer_types: types }, fail }: ConfigReader,
  layers: number,
  known: readonly LayerType[],
): readonly LayerType[] | undefined {
  const names = types ?? [];
  // The second is an older name of the first.
  const modern = Array.isArray(names)
    ? names.map((type) => type === "attention" ? "full_attention" : type)
    : undefined;
  if (!modern?.every((type) => known.includes(type))) {
    const supported = known.length === 1
      ? `only ${known[0]} is`
      : `only ${known.join(" and ")} are`;
    return fail("layer_types", `is ${showValue(types)}: ${supported} supported`);
  }
  if (modern.length > 0 && modern.length !== layers) {
    fail("layer_types", `has ${modern.length} entries, but num_hidden_layers is ${layers}`);
  }
  return modern.length > 0 ? modern : undefined;
}

/** `sliding_window`: how many tokens a query sees; undefined for null, which says all. */
export function readWindow(
  { raw, integer }: ConfigReader,
  fallback?: number,
): number | undefined {
  return raw.sliding_window === null
    ? undefined
    : raw.sliding_window === undefined
    ? fallback
    : integer("sliding_window");
}

/**
 * All layers of one kind, without windows. Fields that ask for some are refused: the classes have full
 * attention, but transformers' cache of generation goes by these fields.
 */
export function fullLayers(
  reader: ConfigReader,
  layers: number,
  kind: Omit<LayerKind, "name" | "window">,
): readonly LayerKind[] {
  const { raw, flag, fail } = reader;
  if (flag("use_sliding_window", false)) {
    fail("use_sliding_window", "is true: only full attention is supported");
  }
  if ((raw.sliding_window ?? null) !== null) {
    fail("sliding_window", `is ${showValue(raw.sliding_window)}: only full attention is supported`);
  }
  readLayerTypes(reader, layers, ["full_attention"]);
  return Array<LayerKind>(layers).fill({ name: "full_attention", ...kind });
}

/**
 * All layers of one kind, with a window where `sliding_window` has a size, whatever `layer_types` says.
 * A `layer_types` that says otherwise is refused: transformers' cache of generation goes by it.
 */
export function layersByWindow(
  reader: ConfigReader,
  layers: number,
  { window, ...kind }: Omit<LayerKind, "name">,
): readonly LayerKind[] {
  const name: LayerType = window === undefined ? "full_attention" : "sliding_attention";
  readLayerTypes(reader, layers, [name]);
  return Array<LayerKind>(layers).fill({ name, window, ...kind });
}
