/**
 * A vocabulary by its tokens' bytes, so that tokens that begin alike are looked at once.
 *
 * In: a tokenizer. Out: the tokens that a language lets come next. Added tokens, such as `<|im_end|>`
 * and `<think>`, are no text and in no language.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { Language, Languages } from "./languages.ts";

/** Tokens that are taken between two pauses: about a millisecond's work. */
const SLICE = 256;

/** Which tokens may come next: a bit an id. */
export type TokenSet = Uint32Array;

/** The tokens of a vocabulary in the order of their bytes, each byte after those it follows. */
export class TokenTrie {
  /** Number of ids. */
  readonly size: number;
  readonly #places: Places;
  /** Of each token the next one with the same bytes, -1 for none. */
  readonly #same: Int32Array;

  private constructor(size: number, places: Places, same: Int32Array) {
    this.size = size;
    this.#places = places;
    this.#same = same;
  }

  /** Reads a vocabulary, with pauses; of one tokenizer once. */
  static *of(tokenizer: Tokenizer): Generator<void, TokenTrie, void> {
    const known = tries.get(tokenizer);
    if (known) return known;
    const { vocabSize: size } = tokenizer;
    // By their first two bytes: sorting a small group takes no time.
    const groups = new Map<string, Entry[]>();
    for (let id = 0; id < size; id++) {
      if (id % SLICE === 0) yield;
      if (tokenizer.isAdded(id) || tokenizer.idToToken(id) === undefined) continue;
      const bytes = tokenizer.tokenBytes(id);
      if (bytes.length === 0) continue;
      const key = String.fromCharCode(...bytes);
      const start = key.slice(0, 2);
      const group = groups.get(start);
      if (group) group.push({ id, key });
      else groups.set(start, [{ id, key }]);
    }
    const same = new Int32Array(size).fill(-1);
    const builder = new PlaceBuilder(same);
    let count = 0;
    for (const start of [...groups.keys()].sort(byBytes)) {
      for (const entry of groups.get(start)!.sort((a, b) => byBytes(a.key, b.key))) {
        builder.add(entry);
        if (++count % SLICE === 0) yield;
      }
    }
    const made = new TokenTrie(size, builder.end(), same);
    tries.set(tokenizer, made);
    return made;
  }

  /** The tokens whose bytes a language's strings begin with. */
  allowed(languages: Languages, language: Language): TokenSet {
    const set: TokenSet = new Uint32Array(Math.ceil(this.size / 32));
    const { count, bytes, depths, ends, tokens } = this.#places;
    const same = this.#same;
    const none = languages.none.id;
    // What is left after the bytes so far, and what is known of what is left after one more.
    const states: Language[] = [language];
    const tables: Int32Array[] = [languages.known(language)];
    for (let at = 0; at < count;) {
      const depth = depths[at];
      let id = tables[depth][bytes[at]];
      if (id < 0) {
        ({ id } = languages.after(states[depth], bytes[at]));
        // Making it may have dropped what was known.
        tables[depth] = languages.known(states[depth]);
      }
      if (id === none) {
        at = ends[at];
        continue;
      }
      for (let token = tokens[at]; token >= 0; token = same[token]) {
        set[token >> 5] |= 1 << (token & 31);
      }
      if (ends[at] > at + 1) {
        states[depth + 1] = languages.byId(id);
        tables[depth + 1] = languages.known(states[depth + 1]);
      }
      at++;
    }
    return set;
  }
}

interface Entry {
  readonly id: number;
  /** Its bytes as characters. */
  readonly key: string;
}

/** Bytes of tokens, each after those that it follows; arrays may be longer than `count`. */
interface Places {
  readonly count: number;
  /** The byte of each place. */
  readonly bytes: Uint8Array;
  /** How many bytes come before it. */
  readonly depths: Uint16Array;
  /** Where the places that it begins end. */
  readonly ends: Int32Array;
  /** First of the tokens that end with it, -1 for none. */
  readonly tokens: Int32Array;
}

const tries = new WeakMap<Tokenizer, TokenTrie>();

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Makes places of tokens in the order of their bytes. */
class PlaceBuilder {
  readonly #same: Int32Array;
  #places: Places = room(1024);
  #count = 0;
  /** Places of the token before. */
  readonly #open: number[] = [];
  #before: Entry = { id: -1, key: "" };

  constructor(same: Int32Array) {
    this.#same = same;
  }

  add(entry: Entry): void {
    const { key: before, id: last } = this.#before;
    const { key, id } = entry;
    this.#before = entry;
    if (key === before) {
      this.#same[last] = id;
      return;
    }
    let shared = 0;
    while (shared < before.length && key[shared] === before[shared]) shared++;
    this.#close(shared);
    for (let depth = shared; depth < key.length; depth++) {
      if (this.#count === this.#places.bytes.length) this.#grow();
      const { bytes, depths, tokens } = this.#places;
      bytes[this.#count] = key.charCodeAt(depth);
      depths[this.#count] = depth;
      tokens[this.#count] = depth === key.length - 1 ? id : -1;
      this.#open.push(this.#count++);
    }
  }

  end(): Places {
    this.#close(0);
    return { ...this.#places, count: this.#count };
  }

  #close(depth: number): void {
    while (this.#open.length > depth) this.#places.ends[this.#open.pop()!] = this.#count;
  }

  #grow(): void {
    const { bytes, depths, ends, tokens } = this.#places;
    const wider = room(2 * this.#count);
    wider.bytes.set(bytes);
    wider.depths.set(depths);
    wider.ends.set(ends);
    wider.tokens.set(tokens);
    this.#places = wider;
  }
}

function room(length: number): Places {
  return {
    count: 0,
    bytes: new Uint8Array(length),
    depths: new Uint16Array(length),
    ends: new Int32Array(length),
    tokens: new Int32Array(length),
  };
}
