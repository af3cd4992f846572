import assert from "node:assert/strict";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { draws } from "../../tests/support/random.ts";
import { type Language, Languages } from "./languages.ts";
import { type TokenSet, TokenTrie } from "./token_trie.ts";

/** A tokenizer of these tokens; `<…>` are added ones, and those that are missing have no id's text. */
function vocabulary(tokens: readonly (string | undefined)[]): Tokenizer {
  const encoder = new TextEncoder();
  return {
    vocabSize: tokens.length,
    isAdded: (id: number) => /^<.+>$/.test(tokens[id] ?? ""),
    idToToken: (id: number) => tokens[id],
    tokenBytes: (id: number) => encoder.encode(tokens[id]),
  } as Tokenizer;
}

/** All that a generator returns, and how often it paused. */
function run<T>(steps: Generator<void, T, void>): { readonly made: T; readonly pauses: number } {
  for (let pauses = 0;; pauses++) {
    const { done, value } = steps.next();
    if (done) return { made: value as T, pauses };
  }
}

/** Ids of a set. */
function idsOf(set: TokenSet): number[] {
  return Array.from({ length: set.length * 32 }, (_, id) => id)
    .filter((id) => set[id >> 5] >>> (id & 31) & 1);
}

/** Ids of the tokens that a language's strings begin with, each by itself. */
function slowly(
  tokens: readonly (string | undefined)[],
  languages: Languages,
  language: Language,
): number[] {
  return [...tokens.keys()].filter((id) => {
    const token = tokens[id];
    if (token === undefined || token === "" || /^<.+>$/.test(token)) return false;
    let left = language;
    for (const byte of new TextEncoder().encode(token)) left = languages.after(left, byte);
    return left !== languages.none;
  });
}

/** Lists, which nest, of words of a and b. */
function lists(languages: Languages): Language {
  const word = languages.repetition(languages.bytes([97, 98]), 1, 3);
  const item: Language = languages.later(() => languages.choice(word, list));
  const more = languages.repetition(languages.sequence(languages.text(","), item));
  const list = languages.sequence(
    languages.text("["),
    languages.optional(languages.sequence(item, more)),
    languages.text("]"),
  );
  return list;
}

Deno.test("TokenTrie finds the tokens that a language lets come, and no added or empty ones", () => {
  const tokens = [
    ...["[", "a", "ab", "", "[a", undefined, "<[>", "]", "[", "b", "[[", "[ab,", ",", "[c"],
    ...["[]", "é", "[", "]]"],
  ];
  const { made } = run(TokenTrie.of(vocabulary(tokens)));
  const languages = new Languages();
  const allowed = (text: string): number[] => {
    let left = lists(languages);
    for (const byte of new TextEncoder().encode(text)) left = languages.after(left, byte);
    return idsOf(made.allowed(languages, left));
  };
  assert.equal(made.size, 18);
  assert.deepEqual(allowed(""), [0, 4, 8, 10, 11, 14, 16]);
  assert.deepEqual(allowed("["), [0, 1, 2, 4, 7, 8, 9, 10, 11, 14, 16]);
  assert.deepEqual(allowed("[aa"), [1, 7, 9, 12]);
  assert.deepEqual(allowed("[[aab"), [7, 12, 17]);
  assert.deepEqual(allowed("[]"), []);
  assert.deepEqual(allowed("a"), []);
});

Deno.test("TokenTrie finds what is found token by token, of a large vocabulary", () => {
  const random = draws(4);
  const pick = (below: number): number => Math.floor(random(0, below));
  const letters = ["[", "]", ",", "a", "b", "a", "é"];
  const tokens = Array.from({ length: 3001 }, (_, id) => {
    if (id % 97 === 0) return undefined;
    const token = Array.from({ length: pick(8) }, () => letters[pick(letters.length)]).join("");
    return id % 89 === 0 ? `<${token}>` : token;
  });
  const trie = run(TokenTrie.of(vocabulary(tokens))).made;
  const languages = new Languages();
  let left = lists(languages);
  for (const text of ["", "[", "[", "aa", "b", ",", "[", "a", "]", "]", ",b", "]"]) {
    for (const byte of new TextEncoder().encode(text)) left = languages.after(left, byte);
    const set = trie.allowed(languages, left);
    assert.equal(set.length, 94);
    assert.deepEqual(idsOf(set), slowly(tokens, languages, left));
    // Found again, of what is known now.
    assert.deepEqual(trie.allowed(languages, left), set);
  }
});

Deno.test("TokenTrie lets the highest ids of a set's last word come", () => {
  for (const size of [31, 32, 33, 64]) {
    const trie = run(TokenTrie.of(vocabulary(Array.from({ length: size }, () => "a")))).made;
    const languages = new Languages();
    const set = trie.allowed(languages, languages.text("aa"));
    assert.equal(set.length, Math.ceil(size / 32));
    assert.deepEqual(idsOf(set), Array.from({ length: size }, (_, id) => id));
  }
});

Deno.test("TokenTrie.of() pauses every 256 tokens, and reads a tokenizer once", () => {
  const pauses = (count: number): number =>
    run(TokenTrie.of(vocabulary(Array.from({ length: count }, (_, id) => `${id}`)))).pauses;
  // One at the start, one each 256 ids that are read, and one each 256 tokens that are put in.
  assert.deepEqual([0, 1, 255, 256, 257, 512, 513].map(pauses), [0, 1, 1, 2, 3, 4, 5]);
  const tokenizer = vocabulary(["a", "b"]);
  const first = run(TokenTrie.of(tokenizer));
  const second = run(TokenTrie.of(tokenizer));
  assert.equal(second.made, first.made);
  assert.deepEqual([first.pauses, second.pauses], [1, 0]);
});
