/**
 * Windows of attention as Qwen's config classes read them: where they are switched on, have a size,
 * and a layer has one.
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";
import type { ConfigReader } from "./config_reader.ts";

/** Refuses windows that any of the layers would have. */
export function refuseWindowLayers({ raw, flag, fail }: ConfigReader, layers: number): void {
  const windowed = flag("use_sliding_window", false);
  const size = raw.sliding_window === undefined ? 4096 : raw.sliding_window;
  if (!windowed || size === null || Array.isArray(raw.layer_types)) return;
  const first = raw.max_window_layers ?? 28;
  if (!Number.isSafeInteger(first)) {
    fail("max_window_layers", `must be a whole number, got ${showValue(first)}`);
  }
  if (first as number >= layers) return;
  fail(
    "use_sliding_window",
    `is true: layers from ${first} on (max_window_layers) see ${showValue(size)} tokens only ` +
      "(sliding_window); only full attention is supported",
  );
}
