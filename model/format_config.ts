/**
 * A config.json as text that Python reads as it was.
 *
 * In: its fields. Out: JSON in which numbers that are whole keep their point where transformers wants a
 * float: 5.24.0 refuses to open a model whose `router_aux_loss_coef` is 0 in place of 0.0.
 */

import { formatFloat } from "../internal/json/python_json.ts";

/** Fields that transformers' config classes of these families declare as float, and not as int too. */
const FLOATS: ReadonlySet<string> = new Set([
  "attn_logit_softcapping",
  "final_logit_softcapping",
  "initializer_range",
  "rms_norm_eps",
  "router_aux_loss_coef",
  "time_step_limit",
]);

// TypeScript's library does not have it yet.
const { rawJSON } = JSON as JSON & { rawJSON(text: string): unknown };

/** The text, with an object's fields on lines of their own. */
export function formatConfig(config: Readonly<Record<string, unknown>>): string {
  const fields = Object.entries(config).map(([name, value]) => [
    name,
    FLOATS.has(name) ? withPoint(value) : value,
  ]);
  return JSON.stringify(Object.fromEntries(fields), null, 2) + "\n";
}

function withPoint(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withPoint);
  return Number.isInteger(value) ? rawJSON(formatFloat(value as number)) : value;
}
