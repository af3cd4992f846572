/**
 * A prompt and a reply, joined and cut to length.
 *
 * In: promptIds [prompt] and replyIds [reply]. Out: an Example of at most maxLength tokens whose
 * labels are -100 under the prompt and the ids themselves under the reply.
 */

import type { Example } from "./example.ts";

/** Options of {@linkcode joinExample}. */
export interface JoinExampleOptions {
  /** Most tokens of an example; what is longer is cut. */
  readonly maxLength: number;
  /** Whether the reply ends with the token that ends a reply. */
  readonly terminated: boolean;
  /**
   * At which end a longer one is cut.
   * @default {"right"}
   */
  readonly cut?: "left" | "right";
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
  const { maxLength, terminated, cut = "right" } = options;
  if (!Number.isInteger(maxLength) || maxLength < 1) {
    throw new RangeError(
      `Cannot make an example: maxLength is ${maxLength}, not a positive integer`,
    );
  }
  const whole = promptIds.length + replyIds.length;
  const length = Math.min(whole, maxLength);
  const from = cut === "left" ? whole - length : 0;
  const promptLength = Math.max(0, Math.min(promptIds.length - from, length));
  const inputIds = new Int32Array(length);
  inputIds.set(promptIds.subarray(from, from + promptLength));
  const replyFrom = Math.max(0, from - promptIds.length);
  inputIds.set(replyIds.subarray(replyFrom, replyFrom + length - promptLength), promptLength);
  const labels = inputIds.slice().fill(-100, 0, promptLength);
  return {
    inputIds,
    labels,
    promptLength,
    truncatedTokens: whole - length,
    supervised: length - promptLength,
    terminated: terminated && from + length === whole,
  };
}

/** The ids with one more at their end. */
export function append(ids: Int32Array, id: number): Int32Array {
  const more = new Int32Array(ids.length + 1);
  more.set(ids);
  more[ids.length] = id;
  return more;
}
