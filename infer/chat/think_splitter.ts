/**
 * Tells thinking from answer while a reply is being made.
 *
 * In: the reply's text, piece by piece. Out: pieces of one kind each, without the tags and the line
 * breaks beside them.
 *
 * @module
 */

import {
  CLOSE_THINK as CLOSE,
  OPEN_THINK as OPEN,
  trimLeadingLineBreaks,
} from "../../data/text/thinking.ts";

import type { ChosenLogprob } from "../sampling/token_logprobs.ts";

/** A piece of a reply; never empty. */
export interface ChatPiece {
  /** Thinking, or what is said to the user. */
  readonly kind: "think" | "answer";
  /** Text to append to what came before of its kind. */
  readonly text: string;
  /**
   * The tokens that came with it, where log probabilities are asked for: of an answer all of its
   * tokens in order, each with the piece that it completes.
   */
  readonly tokens?: readonly ChosenLogprob[];
}

// Before the opening tag alone; beside tags only line breaks are dropped.
const BLANK_HEAD = /^[ \t\r\n]+/;
const LINE_BREAKS_TAIL = /[\r\n]+$/;

/** How a {@linkcode ThinkSplitter} begins and what it takes for a tag. */
export interface ThinkSplitterOptions {
  /**
   * Whether the prompt has opened the thinking already.
   * @default {false}
   */
  readonly thinking?: boolean;
  /**
   * Whether `<think>` and `</think>` in the text are tags, for a tokenizer that has no tokens for
   * them. Otherwise only {@linkcode ThinkSplitter.open} and {@linkcode ThinkSplitter.close} count.
   * @default {false}
   */
  readonly textTags?: boolean;
}

/**
 * Splits a reply. By the rules of `splitThinking`: thinking opens a reply or there is none, and a
 * tag that the answer merely mentions is text. Thinking ends at the first closing tag: what comes
 * after it is not known yet.
 *
 * @example
 * ```ts
 * import { ThinkSplitter } from "@ortune/ortune/infer";
 * import assert from "node:assert/strict";
 *
 * const splitter = new ThinkSplitter({ textTags: true });
 * const pieces = ["<thi", "nk>\nRest.\n", "</think>\n\nLie", " down."].map((text) =>
 *   splitter.push(text).map(({ kind, text }) => `${kind}: ${text}`)
 * );
 * assert.deepEqual(pieces, [[], ["think: Rest."], ["answer: Lie"], ["answer:  down."]]);
 * ```
 */
export class ThinkSplitter {
  readonly #textTags: boolean;
  #state: "start" | "think" | "after" | "answer";
  /** Whether thinking has shown more than line breaks: those before it are dropped. */
  #begun = false;
  /** Text that may yet be a tag, or line breaks that one may follow. */
  #held = "";

  /** A splitter at the start of a reply. */
  constructor({ thinking = false, textTags = false }: ThinkSplitterOptions = {}) {
    this.#textTags = textTags;
    this.#state = thinking ? "think" : "start";
  }

  /** Whether text was taken that is neither given out nor dropped yet. */
  get holds(): boolean {
    return this.#held !== "";
  }

  /** Takes text and gives what is certain of it. */
  push(text: string): ChatPiece[] {
    this.#held += text;
    const pieces: ChatPiece[] = [];
    if (this.#state === "start") this.#start();
    if (this.#state === "think") this.#think(pieces);
    if (this.#state === "after") {
      this.#held = trimLeadingLineBreaks(this.#held);
      if (this.#held !== "") this.#state = "answer";
    }
    if (this.#state === "answer") this.#give(pieces, "answer", this.#held.length);
    return pieces;
  }

  /** Takes the token `<think>`. */
  open(): ChatPiece[] {
    if (this.#state !== "start") return this.#mention(OPEN);
    this.#held = "";
    this.#state = "think";
    return [];
  }

  /** Takes the token `</think>`. */
  close(): ChatPiece[] {
    if (this.#state !== "think" && this.#state !== "start") return this.#mention(CLOSE);
    const pieces = this.#state === "think" ? this.#endThinking(this.#held.length) : [];
    this.#held = "";
    this.#state = "after";
    return pieces;
  }

  /** Ends the reply: gives what was held back. */
  end(): ChatPiece[] {
    if (this.#state === "think") return this.#endThinking(this.#held.length);
    const pieces: ChatPiece[] = [];
    if (this.#state !== "after") this.#give(pieces, "answer", this.#held.length);
    return pieces;
  }

  #start(): void {
    const head = this.#held.replace(BLANK_HEAD, "");
    if (head === "") return;
    if (!this.#textTags || !(head.startsWith(OPEN) || OPEN.startsWith(head))) {
      this.#state = "answer";
    } else if (head.startsWith(OPEN)) {
      this.#held = head.slice(OPEN.length);
      this.#state = "think";
    }
  }

  #think(pieces: ChatPiece[]): void {
    const close = this.#textTags ? this.#held.indexOf(CLOSE) : -1;
    if (close >= 0) {
      pieces.push(...this.#endThinking(close));
      this.#held = this.#held.slice(CLOSE.length);
      this.#state = "after";
      return;
    }
    let certain = this.#held.length;
    if (this.#textTags) certain -= overlap(this.#held, CLOSE);
    const text = this.#held.slice(0, certain).replace(LINE_BREAKS_TAIL, "");
    this.#give(pieces, "think", text.length);
  }

  /** Gives `length` characters of thinking but the line breaks at their end, and drops those. */
  #endThinking(length: number): ChatPiece[] {
    const pieces: ChatPiece[] = [];
    const text = this.#held.slice(0, length).replace(LINE_BREAKS_TAIL, "");
    const rest = this.#held.slice(length);
    this.#give(pieces, "think", text.length);
    this.#held = rest;
    return pieces;
  }

  #mention(tag: string): ChatPiece[] {
    if (this.#state !== "think") this.#state = "answer";
    return this.push(tag);
  }

  #give(pieces: ChatPiece[], kind: ChatPiece["kind"], length: number): void {
    let text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    if (kind === "think" && !this.#begun) text = trimLeadingLineBreaks(text);
    if (text === "") return;
    this.#begun = true;
    pieces.push({ kind, text });
  }
}

/** Length of the longest end of `text` that `tag` begins with. */
function overlap(text: string, tag: string): number {
  for (let length = Math.min(text.length, tag.length - 1); length > 0; length--) {
    if (tag.startsWith(text.slice(-length))) return length;
  }
  return 0;
}
