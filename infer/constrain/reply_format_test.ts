import assert from "node:assert/strict";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { Languages } from "./languages.ts";
import { type ConstraintOptions, ReplyFormat } from "./reply_format.ts";
import type { Grammar } from "./schema_language.ts";
import { TokenTrie } from "./token_trie.ts";
import { atOnce } from "../serve/slice_queue.ts";

const NO = -Infinity;
/** Ids 0 to 7; the scores have three more, to which the vocabulary is padded. */
const TOKENS = ["a", "<think>", "</think>", "<end>", "b", "ab", "<stop>", "x"];
const SIZE = 11;

function tokenizerOf(tokens: readonly string[], added = /^<.+>$/): Tokenizer {
  return {
    vocabSize: tokens.length,
    isAdded: (id: number) => added.test(tokens[id]),
    idToToken: (id: number) => tokens[id],
    tokenToId: (token: string) => {
      const id = tokens.indexOf(token);
      return id < 0 || !added.test(token) ? undefined : id;
    },
    tokenBytes: (id: number) => new TextEncoder().encode(tokens[id]),
    decode: (ids: ArrayLike<number>) => Array.from(ids, (id) => tokens[id]).join(""),
  } as Tokenizer;
}

/** One or several times ab. */
function grammar(): Grammar {
  const languages = new Languages();
  return { languages, root: languages.repetition(languages.text("ab"), 1, 2) };
}

function formatOf(tokenizer: Tokenizer): ReplyFormat {
  return new ReplyFormat(grammar(), atOnce(TokenTrie.of(tokenizer)), tokenizer);
}

const format = formatOf(tokenizerOf(TOKENS));

/** Scores that are left after some tokens, and whether the reply is whole. */
function after(
  pushed: readonly number[],
  options: Partial<ConstraintOptions> = {},
  of = format,
): { readonly may: readonly number[]; readonly finished: boolean } {
  const constraint = of.constraint({
    ends: new Set([3, 6]),
    state: "start",
    mayThink: true,
    ...options,
  });
  for (const id of pushed) constraint.push(id);
  const scores = Float32Array.from({ length: SIZE }, (_, id) => id + 1);
  constraint.apply(scores);
  const may = [...scores.keys()].filter((id) => scores[id] !== NO);
  // What may come keeps its score.
  assert.deepEqual([...scores], Array.from(scores, (_, id) => may.includes(id) ? id + 1 : NO));
  return { may, finished: constraint.finished };
}

Deno.test("an answer is held to the format, and ends where the format may end", () => {
  const answer = { state: "answer", mayThink: true } as const;
  assert.deepEqual(after([], answer), { may: [0, 5], finished: false });
  assert.deepEqual(after([0], answer), { may: [4], finished: false });
  assert.deepEqual(after([0, 4], answer), { may: [0, 3, 5, 6], finished: false });
  assert.deepEqual(after([5, 0], answer), { may: [4], finished: false });
  assert.deepEqual(after([5, 0, 4], answer), { may: [3, 6], finished: true });
});

Deno.test("a reply may begin with thinking, which is free but for its end", () => {
  assert.deepEqual(after([]), { may: [0, 1, 5], finished: false });
  assert.deepEqual(after([], { mayThink: false }), { may: [0, 5], finished: false });
  const free = [0, 1, 2, 4, 5, 7, 8, 9, 10];
  assert.deepEqual(after([1]), { may: free, finished: false });
  assert.deepEqual(after([1, 7, 7]), { may: free, finished: false });
  assert.deepEqual(after([1, 7, 2]), { may: [0, 5], finished: false });
  assert.deepEqual(after([1, 2, 5, 5]), { may: [3, 6], finished: true });
  assert.deepEqual(after([0]), { may: [4], finished: false });
  // Without leave the tag is no way in.
  assert.deepEqual(after([5], { mayThink: false }), { may: [0, 3, 5, 6], finished: false });
});

Deno.test("thinking that the prompt has begun goes on until its tag", () => {
  const thinking = { state: "thinking", mayThink: false } as const;
  assert.deepEqual(after([], thinking).may, [0, 1, 2, 4, 5, 7, 8, 9, 10]);
  assert.deepEqual(after([0, 4], thinking).may, [0, 1, 2, 4, 5, 7, 8, 9, 10]);
  assert.deepEqual(after([0, 2], thinking).may, [0, 5]);
});

Deno.test("an end outside the scores is no token", () => {
  for (const state of ["thinking", "answer"] as const) {
    const { may } = after([0, 4], { state, ends: new Set([99]) });
    assert.deepEqual(may, state === "answer" ? [0, 5] : [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  }
});

Deno.test("where the tags are texts of several tokens thinking ends with the whole one", () => {
  const pieces = ["a", "</thi", "nk>", "b", "<end>"];
  const of = formatOf(tokenizerOf(pieces, /^<end>$/));
  const may = (pushed: readonly number[]) =>
    after(pushed, { state: "thinking", ends: new Set([4]) }, of).may;
  const free = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10];
  assert.deepEqual(may([0, 1]), free);
  assert.deepEqual(may([1, 0, 2]), free);
  assert.deepEqual(may([0, 1, 2]), [0]);
  assert.deepEqual(may([1, 2, 0]), [3]);
  // A tag is not ruled in where no token is it.
  assert.deepEqual(after([], { ends: new Set([4]) }, of).may, [0]);
});

Deno.test("of a text of thinking its last 64 characters are looked at", () => {
  const long = "</think>" + "x".repeat(56);
  const of = formatOf(tokenizerOf([long, `${long}x`, "a", "b", "<end>"], /^<end>$/));
  const may = (pushed: readonly number[]) =>
    after(pushed, { state: "thinking", ends: new Set([4]) }, of).may;
  assert.deepEqual(may([0]), [2]);
  assert.deepEqual(may([1]), [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]);
});

Deno.test("constraints of one format share what is known, and go their own ways", () => {
  const own = formatOf(tokenizerOf(TOKENS));
  const { states } = own;
  assert.equal(states, grammar().languages.size);
  const [one, other] = [0, 1].map(() =>
    own.constraint({ ends: new Set([3]), state: "answer", mayThink: false })
  );
  one.push(5);
  one.push(5);
  assert.deepEqual([one.finished, other.finished], [true, false]);
  assert.ok(own.states > states);
  const scores = new Float32Array(SIZE);
  other.apply(scores);
  assert.deepEqual([...scores], [0, NO, NO, NO, NO, 0, NO, NO, NO, NO, NO]);
});

Deno.test("a set of tokens is found once for each state, and 512 of them are kept", () => {
  const languages = new Languages();
  const tokenizer = tokenizerOf(["a"]);
  const trie = atOnce(TokenTrie.of(tokenizer));
  let found = 0;
  const counted = {
    allowed: (...each: Parameters<TokenTrie["allowed"]>) => {
      found++;
      return trie.allowed(...each);
    },
  } as TokenTrie;
  const root = languages.text("a".repeat(600));
  const own = new ReplyFormat({ languages, root }, counted, tokenizer);
  const read = (count: number): number => {
    found = 0;
    const constraint = own.constraint({ ends: new Set(), state: "answer", mayThink: false });
    for (let i = 0; i < count; i++) {
      constraint.apply(new Float32Array(1));
      constraint.push(0);
    }
    return found;
  };
  assert.deepEqual([1, 1, 512, 512].map(read), [1, 0, 511, 0]);
  // The next one drops them all.
  assert.deepEqual([513, 1, 512].map(read), [1, 1, 511]);
});

Deno.test("whole words of ids that may come keep their scores, and so do single ids of others", () => {
  const tokens = Array.from({ length: 70 }, (_, id) => id === 40 || id === 69 ? "b" : "a");
  const tokenizer = tokenizerOf(tokens);
  const languages = new Languages();
  const own = new ReplyFormat(
    { languages, root: languages.text("a") },
    atOnce(TokenTrie.of(tokenizer)),
    tokenizer,
  );
  for (const length of [70, 80, 100, 41]) {
    const scores = Float32Array.from({ length }, (_, id) => id + 1);
    own.constraint({ ends: new Set(), state: "answer", mayThink: false }).apply(scores);
    assert.deepEqual(
      [...scores],
      Array.from(scores, (_, id) => id < 70 && id !== 40 && id !== 69 ? id + 1 : NO),
    );
  }
});
