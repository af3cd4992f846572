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
  /** The text between the tags, without line breaks beside them. */
  readonly think: string;
  /** The text after `</think>`, without line breaks before it. */
  readonly answer: string;
}

/** The tag before thinking. */
export const OPEN_THINK = "<think>";
/** The tag after thinking. */
export const CLOSE_THINK = "</think>";
/** What a prompt ends with where its template opens the thinking itself, as DeepSeek R1's does. */
export const OPENED_BY_PROMPT: RegExp = /<think>\s*$/;

// Line breaks alone: blanks indent code, and U+3000 a Chinese paragraph, so they are text.
const LINE_BREAKS_HEAD = /^[\r\n]+/;
const LINE_BREAKS_TAIL = /[\r\n]+$/;
const BLANK_HEAD = /^[ \t\r\n]+/;
const TAG = /<\/?think>/g;
/** A closing tag that ends or begins a line: one that an answer mentions stands inside a line. */
const CLOSE_AT_LINE_EDGE = /(?:^|[\r\n])<\/think>|<\/think>(?:[\r\n]|$)/;

/**
 * Splits a reply into thinking and answer. Only line breaks beside the tags are dropped, as Qwen3's
 * own chat template does: blanks there may be indentation.
 *
 * - Without tags all of it is the answer, unchanged.
 * - `<think>` must open the reply: a tag that an answer merely mentions stays where it is.
 * - Thinking that mentions both tags ends where they balance.
 * - Without `</think>` the thinking is unfinished: all of it is thinking, and the answer is empty.
 * - `</think>` without `<think>` closes thinking that the prompt opened, as DeepSeek R1's does; it
 *   must begin or end a line.
 *
 * @example
 * ```ts
 * import { splitThinking } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const reply = splitThinking("<think>\nA loop will do.\n</think>\n\n    for x in xs:");
 * assert.deepEqual(reply, { think: "A loop will do.", answer: "    for x in xs:" });
 * ```
 */
export function splitThinking(text: string): SplitReply {
  const head = text.replace(BLANK_HEAD, "");
  if (!head.startsWith(OPEN_THINK)) return splitAtOpenedByPrompt(text);
  const body = head.slice(OPEN_THINK.length);
  const close = closingTag(body);
  if (close === -1) return { think: trimLineBreaks(body), answer: "" };
  return splitAt(body, close);
}

/** Drops the line breaks at both ends. */
export function trimLineBreaks(text: string): string {
  return text.replace(LINE_BREAKS_HEAD, "").replace(LINE_BREAKS_TAIL, "");
}

/** Drops the line breaks at the start. */
export function trimLeadingLineBreaks(text: string): string {
  return text.replace(LINE_BREAKS_HEAD, "");
}

/** Whether a tag stands in the text. */
export function mentionsThinkTag(text: string): boolean {
  return text.includes(OPEN_THINK) || text.includes(CLOSE_THINK);
}

function splitAtOpenedByPrompt(text: string): SplitReply {
  const close = text.indexOf(CLOSE_THINK);
  const opened = close !== -1 && !text.slice(0, close).includes(OPEN_THINK) &&
    CLOSE_AT_LINE_EDGE.test(text.slice(Math.max(0, close - 1), close + CLOSE_THINK.length + 1));
  return opened ? splitAt(text, close) : { think: "", answer: text };
}

/** The closing tag that balances the one before the text; the first where none does. */
function closingTag(body: string): number {
  let depth = 1;
  for (const { 0: tag, index } of body.matchAll(TAG)) {
    depth += tag === OPEN_THINK ? 1 : -1;
    if (depth === 0) return index;
  }
  return body.indexOf(CLOSE_THINK);
}

function splitAt(text: string, close: number): SplitReply {
  return {
    think: trimLineBreaks(text.slice(0, close)),
    answer: trimLeadingLineBreaks(text.slice(close + CLOSE_THINK.length)),
  };
}
