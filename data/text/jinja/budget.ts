/**
 * What one rendering may use. Templates come from downloaded models, and nobody vouches for them.
 *
 * Every evaluation step, every item of a list and every character that is read or written is
 * charged before it is made, so that a hostile template ends in an error and not in a stalled
 * process. Limits grow with the chat, which is the user's own.
 */

import { TemplateLimitError } from "./errors.ts";

/** Steps for a chat of no length: a template in use takes some 100 for a message. */
const BASE_STEPS = 1_000_000;
/** Characters for a chat of no length; kept, they take up to 2 bytes each. */
const BASE_CHARACTERS = 16 * 1024 * 1024;
/** Steps and characters for each character of the chat: templates go over a text a few times. */
const STEPS_PER_CHARACTER = 8;
const CHARACTERS_PER_CHARACTER = 32;
/**
 * Deepest nesting of calls of macros and loops. Python's own limit, 1000 frames, is reached at some
 * 190 calls.
 */
export const MAX_CALL_DEPTH = 200;
/** Digits that Python reads and prints of an integer. */
export const MAX_DIGITS = 4300;
/** Largest integer in bits: one of {@linkcode MAX_DIGITS} digits has 14,285. */
export const MAX_INTEGER_BITS = 16_384;

/** Counts what a rendering uses, and ends it at the limit. */
export class Budget {
  #steps: number;
  #characters: number;
  #depth = 0;

  /** Takes the characters of the chat, and of all else that the template is given. */
  constructor(inputCharacters: number) {
    this.#steps = BASE_STEPS + STEPS_PER_CHARACTER * inputCharacters;
    this.#characters = BASE_CHARACTERS + CHARACTERS_PER_CHARACTER * inputCharacters;
  }

  /** Charges evaluation steps, or items of a list. */
  step(count = 1): void {
    if (!((this.#steps -= count) >= 0)) exceeded("evaluates more steps than any chat needs");
  }

  /** Charges characters that are read or written. */
  text(characters: number): void {
    if (!((this.#characters -= characters) >= 0)) exceeded("builds more text than any chat needs");
  }

  /** Enters a call of a macro or of a recursive loop. */
  enter(): void {
    if (++this.#depth > MAX_CALL_DEPTH) exceeded(`calls itself more than ${MAX_CALL_DEPTH} deep`);
  }

  /** Leaves it. */
  leave(): void {
    this.#depth--;
  }

  /** Refuses integers that take long to calculate with. */
  integer(bits: number): void {
    if (!(bits <= MAX_INTEGER_BITS)) exceeded(`makes an integer of over ${MAX_INTEGER_BITS} bits`);
  }
}

function exceeded(what: string): never {
  throw new TemplateLimitError(`the template ${what}`);
}
