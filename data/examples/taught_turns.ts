/**
 * Which messages of a chat are learned.
 *
 * In: messages, and what is taught. Out: indices of the assistant's messages among them.
 */

import type { Message } from "../text/message.ts";

/**
 * `all` replies but those that their row marks as not learned; the `last` of these; or those alone that
 * it has `marked` as learned.
 */
export type Teach = "all" | "last" | "marked";

/** The replies that are learned, in order. */
export function taughtTurns(messages: readonly Message[], teach: Teach = "all"): number[] {
  const learned = teach === "marked" ? [true] : [true, undefined];
  const turns = [...messages.keys()].filter((turn) =>
    messages[turn].role === "assistant" && learned.includes(messages[turn].learn)
  );
  return teach === "last" ? turns.slice(-1) : turns;
}
