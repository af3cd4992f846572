/**
 * The checks and messages that every TensorSource shares.
 *
 * In: what a caller asked for and what there is. Out: an error to throw, or nothing.
 */

/**
 * Quotes a name for a message. A hostile header may hold names of megabytes, so it is cut at 120
 * characters.
 *
 * @example
 * ```ts
 * import { quoteName } from "./tensor_errors.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(quoteName("a\nb"), '"a\\nb"');
 * ```
 */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 119)}…` : name);
}

/**
 * Names for a message: the first `limit`, then how many more.
 *
 * @example
 * ```ts
 * import { quoteNames } from "./tensor_errors.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(quoteNames(["a", "b", "c"], 2), '"a", "b" and 1 more');
 * ```
 */
export function quoteNames(names: readonly string[], limit = 10): string {
  const shown = names.slice(0, limit).map(quoteName).join(", ");
  return names.length > limit ? `${shown} and ${names.length - limit} more` : shown;
}

/**
 * The RangeError for a tensor that a source lacks, listing up to three near names.
 *
 * @example
 * ```ts
 * import { missingTensorError } from "./tensor_errors.ts";
 * import assert from "node:assert/strict";
 *
 * const error = missingTensorError("model.nrm.weight", ["model.norm.weight"], "model.safetensors");
 * assert.match(error.message, /Did you mean "model.norm.weight"\?/);
 * ```
 */
export function missingTensorError(
  name: string,
  names: readonly string[],
  where: string,
): RangeError {
  const near = nearNames(name, names);
  const hint = near.length > 0
    ? `Did you mean ${near.map(quoteName).join(", ")}?`
    : names.length > 0
    ? `It holds ${quoteNames(names, 3)}`
    : "It holds no tensors";
  return new RangeError(
    `Cannot find tensor ${quoteName(name)}: ${where} does not hold it. ${hint}`,
  );
}

/**
 * Throws a RangeError unless `into` fits inside a tensor of `bytes` bytes from `offset` on.
 *
 * @example
 * ```ts
 * import { checkTensorRange } from "./tensor_errors.ts";
 * import assert from "node:assert/strict";
 *
 * checkTensorRange("a", 8, new Uint8Array(4), 4);
 * assert.throws(() => checkTensorRange("a", 8, new Uint8Array(4), 5), RangeError);
 * ```
 */
export function checkTensorRange(
  name: string,
  bytes: number,
  into: Uint8Array,
  offset: number,
): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + into.byteLength > bytes) {
    throw new RangeError(
      `Cannot read ${into.byteLength} bytes of tensor ${
        quoteName(name)
      } from byte ${offset} on: it ` +
        `has ${bytes} bytes. Ask for bytes inside it`,
    );
  }
}

/** Names within a third of their length in edits, nearest first. */
function nearNames(name: string, names: readonly string[]): string[] {
  // A message is not worth more than some milliseconds: bound the work on hostile files.
  if (name.length > 200) return [];
  const limit = Math.max(1, Math.floor(name.length / 3));
  return names.slice(0, 10_000)
    .filter((other) => other.length <= 200 && Math.abs(other.length - name.length) <= limit)
    .map((other) => ({ other, edits: editDistance(name, other) }))
    .filter(({ edits }) => edits <= limit)
    .sort((a, b) => a.edits - b.edits)
    .slice(0, 3)
    .map(({ other }) => other);
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Uint32Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = new Uint32Array(b.length + 1);
    next[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const change = a.charCodeAt(i - 1) === b.charCodeAt(j - 1) ? 0 : 1;
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + change);
    }
    row = next;
  }
  return row[b.length];
}
