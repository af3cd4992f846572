/**
 * Token ids, one at a time, to pieces of text that never cut a character.
 *
 * In: one id a call. Out: the text that is certain so far; joined, the pieces are decode(ids).
 *
 * @module
 */

import { textOfByteRun } from "./tokenize/token_decoder.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Options of {@linkcode StreamingDecoder}. */
export interface StreamingDecoderOptions {
  /**
   * Whether to leave out special tokens, such as `<|im_end|>`; `<think>` stays.
   * @default {false}
   */
  readonly skipSpecialTokens?: boolean;
}

/**
 * Decodes ids as they come. A token may end inside a character; its bytes wait for the next one,
 * and become U+FFFD at {@linkcode StreamingDecoder.flush} or before another character.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import { StreamingDecoder } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const decoder = new StreamingDecoder(tokenizer);
 * const pieces = Array.from(tokenizer.encode("né"), (id) => decoder.push(id));
 * assert.deepEqual([...pieces, decoder.flush()], ["n", "", "é", ""]);
 * ```
 */
export class StreamingDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecialTokens: boolean;
  // ignoreBOM: U+FEFF is text here, not a mark to drop.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  // Byte tokens of SentencePiece, which are text once the last in a row is known.
  #run: number[] = [];
  #runDropsBlank = false;
  #atStart = true;

  /** A decoder at the start of a text. */
  constructor(tokenizer: Tokenizer, options: StreamingDecoderOptions = {}) {
    const { skipSpecialTokens = false } = options;
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = skipSpecialTokens;
  }

  /** Takes one id and gives the text it completes, often none. */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(id)) return "";
    if (this.#tokenizer.idToToken(id) === undefined) return "";
    const bytes = this.#tokenizer.tokenBytes(id, { atStart: this.#atStart });
    if (this.#tokenizer.isByteToken(id)) {
      if (this.#run.length === 0) this.#runDropsBlank = bytes.length === 0;
      this.#run.push(this.#tokenizer.tokenBytes(id)[0]);
      this.#atStart = false;
      return "";
    }
    const text = this.#endRun() + this.#utf8.decode(bytes, { stream: true });
    this.#atStart = false;
    return text;
  }

  /** Ends the text: gives what waits, and starts anew. */
  flush(): string {
    this.#atStart = true;
    return this.#endRun() + this.#utf8.decode();
  }

  #endRun(): string {
    if (this.#run.length === 0) return "";
    const text = textOfByteRun(this.#run);
    this.#run = [];
    return this.#runDropsBlank && text.startsWith(" ") ? text.slice(1) : text;
  }
}
