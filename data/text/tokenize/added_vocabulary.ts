/**
 * Added tokens in a text, found as Hugging Face's Rust library finds them.
 *
 * In: the added tokens. Out: a text cut into tokens and the stretches between them, which the
 * normalizer and the model get.
 */

import { trimmedEnd } from "./normalizer.ts";
import { WORD_OF_REGEX } from "./rust_sets.ts";

/** A token that is matched as a whole, before the model sees the text. */
export interface AddedToken {
  readonly content: string;
  /** Whether no letter or digit may stand beside it. */
  readonly single_word: boolean;
  /** Whether it takes the blanks before it along. */
  readonly lstrip: boolean;
  /** Whether it takes the blanks after it along. */
  readonly rstrip: boolean;
  /** Whether it is searched in the normalized text, in its normalized form. */
  readonly normalized: boolean;
  readonly special: boolean;
}

/** An added token with the text that stands for it. */
export interface Needle {
  readonly text: string;
  readonly id: number;
  readonly token: AddedToken;
}

/** A node of the tree of all needles, by UTF-16 unit. */
interface TreeNode {
  readonly next: Map<number, TreeNode>;
  needle?: Needle;
}

/** A part of a text: from where to where, and which token it is, where it is one. */
export interface TextPart {
  readonly start: number;
  readonly end: number;
  readonly id?: number;
}

const STARTS_WITH_WORD = new RegExp(`^${WORD_OF_REGEX}`, "v");
const ENDS_WITH_WORD = new RegExp(`${WORD_OF_REGEX}$`, "v");

/** Finds the longest needle that begins first, and goes on after it. */
export class AddedTokenFinder {
  readonly #root: TreeNode = { next: new Map() };
  readonly #first: RegExp | undefined;

  constructor(needles: readonly Needle[]) {
    const units = new Set<number>();
    for (const needle of needles) {
      let node = this.#root;
      for (let at = 0; at < needle.text.length; at++) {
        const unit = needle.text.charCodeAt(at);
        let next = node.next.get(unit);
        if (next === undefined) node.next.set(unit, next = { next: new Map() });
        node = next;
      }
      node.needle = needle;
      units.add(needle.text.charCodeAt(0));
    }
    if (units.size === 0) return;
    const set = [...units].map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
    this.#first = new RegExp(`[${set}]`, "g");
  }

  /** The parts of a text in order; all at once, since a search has a state of its own. */
  parts(text: string): readonly TextPart[] {
    const parts: TextPart[] = [];
    let from = 0;
    const first = this.#first;
    if (first !== undefined) {
      first.lastIndex = 0;
      for (let found = first.exec(text); found !== null; found = first.exec(text)) {
        const needle = this.#longest(text, found.index);
        if (needle === undefined) continue;
        let start = found.index;
        let end = start + needle.text.length;
        // What follows is searched from here even if the token is not taken.
        first.lastIndex = end;
        const { single_word, lstrip, rstrip } = needle.token;
        if (single_word && touchesWord(text, start, end)) continue;
        if (lstrip) start = Math.max(trimmedEnd(text, start), from);
        if (rstrip) end = leadingBlanksEnd(text, end);
        // Tokens of blanks may lie in the blanks that the one before took along.
        if (start >= end) continue;
        if (from < start) parts.push({ start: from, end: start });
        parts.push({ start, end, id: needle.id });
        from = end;
      }
    }
    if (from !== text.length) parts.push({ start: from, end: text.length });
    return parts;
  }

  #longest(text: string, start: number): Needle | undefined {
    let node: TreeNode | undefined = this.#root;
    let found: Needle | undefined;
    for (let at = start; at < text.length; at++) {
      node = node.next.get(text.charCodeAt(at));
      if (node === undefined) break;
      found = node.needle ?? found;
    }
    return found;
  }
}

function touchesWord(text: string, start: number, end: number): boolean {
  return ENDS_WITH_WORD.test(text.slice(Math.max(0, start - 2), start)) ||
    STARTS_WITH_WORD.test(text.slice(end, end + 2));
}

function leadingBlanksEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && /\p{White_Space}/v.test(text[end])) end++;
  return end;
}
