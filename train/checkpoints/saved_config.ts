/**
 * The config.json of a checkpoint.
 *
 * In: the base model's. Out: the same text but for the dtype that is written, and the ends of replies
 * that training taught.
 */

import type { ModelConfig } from "../../model/config.ts";
import { withEosTokenIds } from "../../model/eos_token_ids.ts";
import { formatConfig } from "../../model/format_config.ts";

/** Weights are trained and written in float32, so that a resumed run goes on to the bit. */
export function savedConfig({ raw }: ModelConfig, eosTokenIds: readonly number[] = []): string {
  // Both names may be there: newer transformers take the first, older ones know the second only.
  const keys = ["dtype", "torch_dtype"].filter((key) => Object.hasOwn(raw, key));
  if (keys.length === 0) keys.push("torch_dtype");
  const dtypes = Object.fromEntries(keys.map((key) => [key, "float32"]));
  const eos = withEosTokenIds(raw.eos_token_id, eosTokenIds);
  const changed = eos === raw.eos_token_id ? {} : { eos_token_id: eos };
  return formatConfig({ ...raw, ...changed, ...dtypes });
}
