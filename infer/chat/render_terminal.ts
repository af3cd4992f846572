/**
 * Shows a reply on a terminal as it is made.
 *
 * In: pieces of a reply. Out: text to write, the thinking dim on a terminal, between tags
 * elsewhere.
 *
 * @module
 */

import type { ChatPiece } from "./think_splitter.ts";

/** Where the text goes. */
export interface RenderTerminalOptions {
  /** Writes text, such as to standard output; awaited before the next piece is read. */
  readonly write: (text: string) => void | Promise<void>;
  /** Whether the text goes to a terminal (`Deno.stdout.isTerminal()`). */
  readonly isTty: boolean;
  /**
   * Whether NO_COLOR is set, https://no-color.org: then a terminal gets what a file gets.
   * @default {false}
   */
  readonly noColor?: boolean;
}

const DIM = "\x1b[2m";
const RESET = "\x1b[0m";
// A reply that writes escape sequences could move the cursor or retitle the window.
const CONTROLS = /[^\P{Cc}\n\t]/gu;

/**
 * Writes a reply, and a line break at its end.
 *
 * @example
 * ```ts
 * import { renderTerminal } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * let shown = "";
 * await renderTerminal([{ kind: "think", text: "Rest." }, { kind: "answer", text: "Lie down." }], {
 *   write: (text) => void (shown += text),
 *   isTty: false,
 * });
 * assert.equal(shown, "<think>\nRest.\n</think>\n\nLie down.\n");
 * ```
 */
export async function renderTerminal(
  pieces: AsyncIterable<ChatPiece> | Iterable<ChatPiece>,
  { write, isTty, noColor = false }: RenderTerminalOptions,
): Promise<void> {
  const styled = isTty && !noColor;
  const head = styled ? `${DIM}💭 thinking\n` : "<think>\n";
  const tail = styled ? RESET : "\n</think>";
  let kind: ChatPiece["kind"] | undefined;
  try {
    for await (const piece of pieces) {
      if (piece.kind === "think" && kind !== "think") await write(head);
      if (piece.kind === "answer" && kind === "think") await write(`${tail}\n\n`);
      kind = piece.kind;
      await write(isTty ? piece.text.replace(CONTROLS, "") : piece.text);
    }
  } finally {
    // Also where the reply failed or was aborted: a terminal must not be left dim.
    if (kind === "think") await write(tail);
    if (kind !== undefined) await write("\n");
  }
}
