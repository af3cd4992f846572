/**
 * Fields of config.json that say whether each head's queries and keys are normed, which is a family's
 * own choice.
 *
 * @module
 */

import type { UnsupportedField } from "../../internal/json/field_table.ts";

/**
 * Rules that refuse the other choice.
 *
 * @param normed what the family does
 * @param remedy what the error says
 */
export function headNormFields(
  normed: boolean,
  remedy: string,
): Readonly<Record<string, UnsupportedField>> {
  const rule = { unless: [normed], remedy };
  return { qk_norm: rule, qk_layernorm: rule, use_qk_norm: rule };
}

/** The rules of a family without such norms. */
export const NO_HEAD_NORMS: Readonly<Record<string, UnsupportedField>> = headNormFields(
  false,
  "this family does not norm queries and keys; its model_type would be another",
);
