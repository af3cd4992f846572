/**
 * Log probabilities of text completions, in the columns of OpenAI's legacy API.
 *
 * In: a prompt's and a choice's tokens with their log probabilities. Out: an entry a token in each
 * column; that of a text's first token, which nothing comes before, is `null`.
 */

import type { Tokenizer } from "../../../data/text/tokenizer.ts";
import type { ChoicePiece } from "../chat_service.ts";
import { logprobAnswers } from "../token_logprobs_format.ts";

/** The columns as the API writes them. */
export interface LogprobFields {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly (number | null)[];
  /** The likeliest tokens, and the chosen one, which may not be among them. */
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  /** Where the character that each token begins or goes on with is, in characters of the choice's text. */
  readonly text_offset: readonly number[];
}

/** Columns that are filled piece by piece. */
export class LogprobColumns {
  readonly #tokenizer: Tokenizer;
  #tokens: string[] = [];
  #logprobs: (number | null)[] = [];
  #top: (Record<string, number> | null)[] = [];
  #offsets: number[] = [];
  /** Characters of the pieces so far. */
  #characters = 0;

  /** @param tokenizer tells the bytes of tokens */
  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Adds the tokens of a piece of the choice's text, be it the prompt or what goes on with it. */
  add({ text, prompt, tokens = [] }: ChoicePiece): void {
    const answers = logprobAnswers(prompt?.logprobs ?? tokens, this.#tokenizer);
    const bytes: ArrayLike<number>[] = answers.map((each) => each.bytes);
    if (prompt) {
      const first = this.#tokenizer.tokenBytes(prompt.ids[0], { atStart: true });
      this.#tokens.push(tokenText(first));
      this.#logprobs.push(null);
      this.#top.push(null);
      bytes.unshift(first);
    }
    this.#addEntries(answers);
    this.#addOffsets(text, bytes);
  }

  /** What came since they were taken last. */
  take(): LogprobFields {
    const fields = {
      tokens: this.#tokens,
      token_logprobs: this.#logprobs,
      top_logprobs: this.#top,
      text_offset: this.#offsets,
    };
    [this.#tokens, this.#logprobs, this.#top, this.#offsets] = [[], [], [], []];
    return fields;
  }

  #addEntries(answers: ReturnType<typeof logprobAnswers>): void {
    for (const { top_logprobs, ...chosen } of answers) {
      this.#tokens.push(tokenText(chosen.bytes));
      this.#logprobs.push(chosen.logprob);
      const all = new Map<string, number>();
      // Of tokens that are written alike the likeliest is told.
      for (const { bytes, logprob } of [...top_logprobs, chosen]) {
        const token = tokenText(bytes);
        if (!all.has(token)) all.set(token, logprob);
      }
      this.#top.push(Object.fromEntries(all));
    }
  }

  #addOffsets(text: string, tokens: readonly ArrayLike<number>[]): void {
    const length = [...text].length;
    // A text may have fewer characters than its tokens: a special one or a stop string is left out.
    const last = Math.max(0, length - 1);
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const count = (bytes: Uint8Array): number =>
      [...decoder.decode(bytes, { stream: true })].length;
    let complete = 0;
    for (const token of tokens) {
      const bytes = Uint8Array.from(token);
      const before = complete;
      complete += count(bytes.subarray(0, 1));
      // A character that its first byte ends is its own, one that it goes on with the one before.
      const within = isContinuation(bytes[0]) ? before : complete - (bytes[0] < 0x80 ? 1 : 0);
      complete += count(bytes.subarray(1));
      this.#offsets.push(this.#characters + Math.min(within, last));
    }
    this.#characters += length;
  }
}

/** Whether a byte goes on with a character of UTF-8. */
function isContinuation(byte: number): boolean {
  return (byte & 0xC0) === 0x80;
}

/** A token's text; of one that is a part of a character its bytes, as OpenAI's legacy API tells them apart. */
function tokenText(bytes: ArrayLike<number>): string {
  const all = Uint8Array.from(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(all);
  } catch {
    return `bytes:${[...all].map((each) => `\\x${each.toString(16).padStart(2, "0")}`).join("")}`;
  }
}
