/**
 * The special tokens that a chat template is given by name, besides bos and eos.
 *
 * In: the parsed tokenizer_config.json. Out: `pad_token` and its like, as transformers passes them
 * (`special_tokens_map`); those that are not set are not defined in the template.
 *
 * @module
 */

import { isRecord } from "../json/is_record.ts";

const NAMES = ["unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** Texts of the tokens that are set, by name. */
export function specialTokens(
  tokenizerConfig: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> {
  const tokens: Record<string, string> = {};
  for (const name of NAMES) {
    const value = tokenizerConfig[name];
    const text = isRecord(value) ? value.content : value;
    if (typeof text === "string") tokens[name] = text;
  }
  return tokens;
}
