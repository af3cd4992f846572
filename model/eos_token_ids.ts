/**
 * The ids that end replies, as config.json and generation_config.json write them. In: `eos_token_id`
 * of such a file. Out: the same with the ids that training taught.
 */

/**
 * Adds the ids in front, since clients that know one end take the first. A value that has them all
 * stays as it is.
 *
 * @param value a number, a list of numbers, or nothing
 */
export function withEosTokenIds(value: unknown, taught: readonly number[]): unknown {
  const known: readonly unknown[] = Array.isArray(value) ? value : value == null ? [] : [value];
  const missing = taught.filter((id) => !known.includes(id));
  if (missing.length === 0) return value;
  return known.length + missing.length === 1 ? missing[0] : [...missing, ...known];
}
