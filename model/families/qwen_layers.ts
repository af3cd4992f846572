/**
 * The layers of Qwen2 and Qwen3: windows of attention where `use_sliding_window` switches them on, in
 * the layers that `layer_types` names, or from `max_window_layers` on.
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";
import type { LayerKind } from "../parts/layer_kind.ts";
import type { ConfigReader } from "./config_reader.ts";
import type { FamilySizes } from "./family.ts";
import { readLayerTypes, readWindow } from "./layer_types.ts";

/** A kind for each layer. */
export function qwenLayers(
  reader: ConfigReader,
  { layers, readRope }: FamilySizes,
): readonly LayerKind[] {
  const { raw, flag, fail } = reader;
  const rope = readRope();
  const window = flag("use_sliding_window", false) ? readWindow(reader, 4096) : undefined;
  const first = raw.max_window_layers ?? 28;
  if (!Number.isSafeInteger(first)) {
    fail("max_window_layers", `must be a whole number, got ${showValue(first)}`);
  }
  const full: LayerKind = { name: "full_attention", rope };
  const sliding: LayerKind = { name: "sliding_attention", window, rope };
  const types = readLayerTypes(reader, layers, ["full_attention", "sliding_attention"]);
  if (window === undefined && types?.includes("sliding_attention")) {
    fail(
      "layer_types",
      "has sliding_attention, but use_sliding_window is not true or sliding_window is null: say " +
        "how many tokens are seen, or make it full_attention",
    );
  }
  return Array.from({ length: layers }, (_, layer) => {
    const slides = types
      ? types[layer] === "sliding_attention"
      : window !== undefined && layer >= (first as number);
    return slides ? sliding : full;
  });
}
