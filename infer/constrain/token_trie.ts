/**
 * A vocabulary by its tokens' bytes, so that tokens that begin alike are looked at once.
 *
 * In: a tokenizer. Out: the tokens that a language lets come next. Added tokens, such as `<|im_end|>`
 * and `<think>`, are no text and in no language.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { Language, Languages } from "./languages.ts";

/** Tokens that are read between two pauses: about a millisecond's work. */
const SLICE = 1024;

/** Which tokens may come next: a bit an id. */
export type TokenSet = Uint32Array;

/** The tokens of a vocabulary in the order of their bytes, each byte after those it follows. */
export class TokenTrie {
  /** Number of ids. */
  readonly size: number;
  /** The byte of each place. */
  readonly #bytes: Uint8Array;
  /** How many bytes come before it. */
  readonly #depths: Uint16Array;
  /** Where the places that it begins end. */
  readonly #ends: Int32Array;
  /** First of the tokens that end with it, -1 for none. */
  readonly #tokens: Int32Array;
  /** Of each token the next one with the same bytes, -1 for none. */
  readonly #same: Int32Array;

  private constructor(size: number, places: readonly Place[], same: Int32Array) {
    this.size = size;
    this.#bytes = Uint8Array.from(places, ({ byte }) => byte);
    this.#depths = Uint16Array.from(places, ({ depth }) => depth);
    this.#ends = Int32Array.from(places, ({ end }) => end);
    this.#tokens = Int32Array.from(places, ({ token }) => token);
    this.#same = same;
  }

  /** Reads a vocabulary, with pauses; of one tokenizer once. */
  static *of(tokenizer: Tokenizer): Generator<void, TokenTrie, void> {
    const known = tries.get(tokenizer);
    if (known) return known;
    const { vocabSize: size } = tokenizer;
    // By their first byte: each group is sorted by itself.
    const groups = Array.from({ length: 256 }, (): Entry[] => []);
    for (let id = 0; id < size; id++) {
      if (id % SLICE === 0) yield;
      if (tokenizer.isAdded(id) || tokenizer.idToToken(id) === undefined) continue;
      const bytes = tokenizer.tokenBytes(id);
      if (bytes.length === 0) continue;
      groups[bytes[0]].push({ id, key: String.fromCharCode(...bytes) });
    }
    const places: Place[] = [];
    const same = new Int32Array(size).fill(-1);
    for (const group of groups) {
      yield;
      group.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : a.id - b.id);
      addGroup(group, places, same);
    }
    const made = new TokenTrie(size, places, same);
    tries.set(tokenizer, made);
    return made;
  }

  /** The tokens whose bytes a language's strings begin with. */
  allowed(languages: Languages, language: Language): TokenSet {
    const set: TokenSet = new Uint32Array(Math.ceil(this.size / 32));
    const bytes = this.#bytes;
    const states: Language[] = [language];
    for (let at = 0; at < bytes.length;) {
      const depth = this.#depths[at];
      const state = languages.after(states[depth], bytes[at]);
      if (state === languages.none) {
        at = this.#ends[at];
        continue;
      }
      states[depth + 1] = state;
      for (let id = this.#tokens[at]; id >= 0; id = this.#same[id]) set[id >> 5] |= 1 << (id & 31);
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

interface Place {
  readonly byte: number;
  readonly depth: number;
  end: number;
  token: number;
}

const tries = new WeakMap<Tokenizer, TokenTrie>();

/** Appends the places of sorted tokens that begin with one byte. */
function addGroup(group: readonly Entry[], places: Place[], same: Int32Array): void {
  const open: Place[] = [];
  let before = "";
  let last = -1;
  const close = (depth: number): void => {
    while (open.length > depth) open.pop()!.end = places.length;
  };
  for (const { id, key } of group) {
    if (key === before) {
      same[last] = id;
      last = id;
      continue;
    }
    let shared = 0;
    while (shared < before.length && key[shared] === before[shared]) shared++;
    close(shared);
    for (let depth = shared; depth < key.length; depth++) {
      const place: Place = { byte: key.charCodeAt(depth), depth, end: 0, token: -1 };
      places.push(place);
      open.push(place);
    }
    open[key.length - 1].token = id;
    before = key;
    last = id;
  }
  close(0);
}
