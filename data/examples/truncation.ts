/**
 * What becomes of an example that is longer than training takes.
 *
 * In: the ids of a prompt and of a reply, and how they are cut. Out: an Example of at most maxLength
 * tokens, or none.
 */

import type { Example } from "./example.ts";
import { joinExample } from "./join_example.ts";

/**
 * `right` cuts the end off; `left` leaves the oldest turns out, and cuts the beginning off where that
 * is not enough; `drop` leaves the example out; `error` is an error.
 */
export type Truncation = "right" | "left" | "drop" | "error";

/** How long an example may be, and what is done with a longer one. */
export interface TruncationOptions {
  /** Most tokens of an example. */
  readonly maxLength: number;
  /**
   * What becomes of a longer one.
   * @default {"right"}
   */
  readonly truncation?: Truncation;
  /** Is told of an example that is left out. */
  readonly onDropped?: () => void;
}

/** A prompt and its reply as ids. */
export interface PromptAndReply {
  readonly prompt: Int32Array;
  readonly reply: Int32Array;
  /** Whether the reply ends with the token that ends a reply. */
  readonly terminated: boolean;
}

/** Makes an example that fits; `undefined` where it is left out. */
export function fitExample(
  whole: PromptAndReply,
  { maxLength, truncation = "right", onDropped }: TruncationOptions,
  { name, shorten = (): undefined => undefined }: {
    /** As errors call it, such as `message 3`. */
    readonly name: string;
    /** The same without its oldest turns, as few of them as it takes; none where there are none. */
    readonly shorten?: () => PromptAndReply | undefined;
  },
): Example | undefined {
  const tokens = whole.prompt.length + whole.reply.length;
  const join = ({ prompt, reply, terminated }: PromptAndReply, cut: "left" | "right"): Example =>
    joinExample(prompt, reply, { maxLength, terminated, cut });
  if (tokens <= maxLength || truncation === "right") return join(whole, "right");
  if (truncation === "drop") {
    onDropped?.();
    return undefined;
  }
  if (truncation === "error") {
    throw new RangeError(
      `Cannot make an example of ${name}: its ${tokens} tokens exceed maxLength ${maxLength}; raise ` +
        "that, shorten the row, or give another truncation than error",
    );
  }
  const example = join(shorten() ?? whole, "left");
  return { ...example, truncatedTokens: tokens - example.inputIds.length };
}
