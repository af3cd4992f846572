/**
 * Finding a text in another in time that can be charged: V8's own search takes the product of both
 * lengths where an adversary chose them.
 */

import type { Budget } from "./budget.ts";

/** Longest text that V8's search is used for. */
const MAX_SHORT = 64;

/** Finds one text in others. */
export class Finder {
  readonly #table: Int32Array | undefined;
  /** Cost of a character that is passed over. */
  readonly #cost: number;

  readonly budget: Budget;
  readonly part: string;

  /** Takes the text to find. */
  constructor(budget: Budget, part: string) {
    this.budget = budget;
    this.part = part;
    const isShort = part.length <= MAX_SHORT;
    this.#cost = isShort ? 1 + part.length / 8 : 4;
    if (!isShort) {
      budget.text(part.length * 8);
      this.#table = failureTable(part);
    }
  }

  /** Offset of the first occurrence that begins at `from` or later, or -1. */
  first(text: string, from = 0): number {
    const { part, budget } = this;
    if (this.#table === undefined) {
      const found = text.indexOf(part, from);
      budget.text(((found === -1 ? text.length : found + part.length) - from) * this.#cost);
      return found;
    }
    budget.text((text.length - from) * this.#cost);
    return this.#scan(text, from, text.length, false);
  }

  /** Offset of the last occurrence that ends at `to` or earlier, or -1. */
  last(text: string, to = text.length): number {
    const { part, budget } = this;
    if (to < part.length) return -1;
    if (this.#table === undefined) {
      const found = text.lastIndexOf(part, to - part.length);
      budget.text((to - Math.max(found, 0)) * this.#cost);
      return found;
    }
    budget.text(to * this.#cost);
    return this.#scan(text, 0, to, true);
  }

  /** Knuth, Morris and Pratt's search, which reads each character once. */
  #scan(text: string, from: number, to: number, last: boolean): number {
    const { part } = this;
    const table = this.#table!;
    let matched = 0;
    let found = -1;
    for (let i = from; i < to; i++) {
      const unit = text.charCodeAt(i);
      while (matched > 0 && part.charCodeAt(matched) !== unit) matched = table[matched - 1];
      if (part.charCodeAt(matched) === unit) matched++;
      if (matched < part.length) continue;
      found = i - part.length + 1;
      if (!last) return found;
      matched = table[matched - 1];
    }
    return found;
  }
}

/** Length of the longest beginning that ends at each place, but for the whole. */
function failureTable(part: string): Int32Array {
  const table = new Int32Array(part.length);
  let matched = 0;
  for (let i = 1; i < part.length; i++) {
    const unit = part.charCodeAt(i);
    while (matched > 0 && part.charCodeAt(matched) !== unit) matched = table[matched - 1];
    if (part.charCodeAt(matched) === unit) matched++;
    table[i] = matched;
  }
  return table;
}
