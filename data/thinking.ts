/**
 * Splits a reply into its thinking and its answer.
 *
 * In: the text of a reply, with or without `<think>…</think>` before the answer.
 * Out: { think, answer }, both without the tags.
 *
 * @module
 */

/** A reply in its two parts; a part that is not there is the empty string. */
export interface SplitReply {
  /** The text between the tags, without blank space around it. */
  readonly think: string;
  /** The text after `</think>`, without blank space before it. */
  readonly answer: string;
}

const OPEN = "<think>";
const CLOSE = "</think>";
// ASCII blanks only: U+3000 indents Chinese paragraphs and belongs to the text.
const BLANK_HEAD = /^[ \t\r\n]+/;
const BLANK_TAIL = /[ \t\r\n]+$/;

/**
 * Splits a reply into thinking and answer, lenient about newlines and spaces around the tags.
 *
 * - Without tags all of it is the answer, unchanged.
 * - `<think>` must open the reply: a tag that an answer merely mentions stays where it is.
 * - Without `</think>` the thinking is unfinished: all of it is thinking, and the answer is empty.
 * - `</think>` without `<think>` closes thinking that the prompt opened, as DeepSeek R1's does.
 *
 * @example
 * ```ts
 * import { splitThinking } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const qwen = splitThinking("<think>\nRest first.\n</think>\n\nLie down.");
 * const seed = splitThinking("<think>Rest first.</think> \n Lie down.");
 * assert.deepEqual(qwen, { think: "Rest first.", answer: "Lie down." });
 * assert.deepEqual(seed, qwen);
 * ```
 */
export function splitThinking(text: string): SplitReply {
  const head = text.replace(BLANK_HEAD, "");
  const opened = head.startsWith(OPEN);
  const body = opened ? head.slice(OPEN.length) : text;
  const close = body.indexOf(CLOSE);
  if (close === -1) return opened ? { think: trim(body), answer: "" } : { think: "", answer: text };
  if (!opened && body.slice(0, close).includes(OPEN)) return { think: "", answer: text };
  return {
    think: trim(body.slice(0, close)),
    answer: body.slice(close + CLOSE.length).replace(BLANK_HEAD, ""),
  };
}

function trim(text: string): string {
  return text.replace(BLANK_HEAD, "").replace(BLANK_TAIL, "");
}
