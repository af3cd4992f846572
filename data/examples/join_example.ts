/**
 * A prompt and a reply, joined and cut to length.
 *
 * In: promptIds [prompt] and replyIds [reply]. Out: an Example of at most maxLength tokens whose
 * labels are -100 under the prompt and the ids themselves under the reply.
 */

import type { Example } from "./example.ts";

/** Options of {@linkcode joinExample}. */
export interface JoinExampleOptions {
  /** Most tokens of an example; what is longer is cut at the right. */
  readonly maxLength: number;
  /** Whether the reply ends with the token that ends a reply. */
  readonly terminated: boolean;
}

/**
 * Joins a prompt and a reply that are tokenized already.
 *
 * @example
 * ```ts
 * import { joinExample } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const options = { maxLength: 4, terminated: true };
 * const example = joinExample(Int32Array.of(1, 2), Int32Array.of(3, 4, 5), options);
 * assert.deepEqual([...example.inputIds], [1, 2, 3, 4]);
 * assert.deepEqual([...example.labels], [-100, -100, 3, 4]);
 * assert.deepEqual([example.truncatedTokens, example.terminated], [1, false]);
 * ```
 */
export function joinExample(
  promptIds: Int32Array,
  replyIds: Int32Array,
  options: JoinExampleOptions,
): Example {
  const { maxLength, terminated } = options;
  if (!Number.isInteger(maxLength) || maxLength < 1) {
    throw new RangeError(
      `Cannot make an example: maxLength is ${maxLength}, not a positive integer`,
    );
  }
  const whole = promptIds.length + replyIds.length;
  const length = Math.min(whole, maxLength);
  const promptLength = Math.min(promptIds.length, length);
  const inputIds = new Int32Array(length);
  inputIds.set(promptIds.subarray(0, promptLength));
  inputIds.set(replyIds.subarray(0, length - promptLength), promptLength);
  const labels = inputIds.slice().fill(-100, 0, promptLength);
  return {
    inputIds,
    labels,
    promptLength,
    truncatedTokens: whole - length,
    supervised: length - promptLength,
    terminated: terminated && length === whole,
  };
}

/** The ids with one more at their end. */
export function append(ids: Int32Array, id: number): Int32Array {
  const more = new Int32Array(ids.length + 1);
  more.set(ids);
  more[ids.length] = id;
  return more;
}
