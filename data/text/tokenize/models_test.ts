/** What the four models make of pieces, as tokenizers 0.23.3 does, and what they refuse. */

import assert from "node:assert/strict";
import { byteTokens } from "./bpe.ts";
import { createModel } from "./create_model.ts";
import { finish, type Slices } from "./slices.ts";
import type { TokenModel } from "./token_model.ts";

type Json = Record<string, unknown>;

/** A vocabulary of tokens in order. */
const vocabOf = (...tokens: readonly string[]): Json =>
  Object.fromEntries(tokens.map((token, id) => [token, id]));

function refuses(model: Json, state: string): void {
  assert.throws(() => createModel(model), {
    name: "TypeError",
    message: `Cannot read the tokenizer: tokenizer.json: model${state}`,
  });
}

/** The ids of a piece in slices, and in how many pauses. */
function inSlices({ encodeInSlices }: TokenModel, piece: string): [readonly number[], number] {
  const work: Slices<readonly number[]> = encodeInSlices!(piece);
  let pauses = 0;
  for (let step = work.next();; step = work.next(), pauses++) {
    if (step.done) return [step.value, pauses];
  }
}

Deno.test("createModel() guesses the type of a file of old by its fields", () => {
  const isBpe = (model: Json): boolean => createModel(model).isBpe === true;
  assert.equal(isBpe({ vocab: vocabOf("a"), merges: [] }), true);
  assert.equal(isBpe({ vocab: vocabOf("a"), merges: [], type: null }), true);
  assert.deepEqual(createModel({ vocab: [["a", -1]] }).encode("a"), [0]);
  const pieces = {
    vocab: vocabOf("[U]", "a", "##b"),
    unk_token: "[U]",
    continuing_subword_prefix: "##",
  };
  assert.deepEqual(createModel({ ...pieces, max_input_chars_per_word: 9 }).encode("ab"), [1, 2]);
  assert.deepEqual(createModel({ vocab: vocabOf("[U]", "ab"), unk_token: "[U]" }).encode("ab"), [
    1,
  ]);
  refuses(
    { vocab: 1 },
    " is of type none, expected BPE, Unigram, WordPiece, WordLevel; use a model with another tokenizer",
  );
});

const BPE: Json = {
  type: "BPE",
  vocab: vocabOf("a", "b", "c", "ab", "abc", "bc"),
  merges: ["a b", "ab c", "b c"],
};
const bpe = (changes: Json): TokenModel => createModel({ ...BPE, ...changes });

Deno.test("a BPE model merges by rank, written as text or as pairs", () => {
  for (
    const merges of [
      ["a b", "ab c", "b c"],
      [["a", "b"], ["ab", "c"], ["b", "c"]],
      ["#version: 0.2", "a b", "ab c", "b c"],
    ]
  ) {
    const model = bpe({ merges });
    assert.deepEqual(model.encode("abcbc"), [4, 5]);
    assert.deepEqual(model.encode("cab"), [2, 3]);
    assert.equal(model.isBpe, true);
  }
  // "b c" goes first.
  assert.deepEqual(bpe({ merges: ["b c", "a b"] }).encode("abc"), [0, 5]);
  assert.deepEqual(bpe({ ignore_merges: true, merges: [] }).encode("abc"), [4]);
  assert.deepEqual(bpe({ merges: [] }).encode("abc"), [0, 1, 2]);
  assert.deepEqual(inSlices(bpe({ ignore_merges: true, merges: [] }), "abc"), [[4], 0]);
});

Deno.test("a BPE model does with unknown characters what its fields say", () => {
  const vocab = vocabOf("a", "b", "?", "<0xC3>", "<0xA9>");
  const encode = (fields: Json, piece = "aééb"): readonly number[] =>
    bpe({ vocab, merges: [], ...fields }).encode(piece);
  assert.deepEqual(encode({}), [0, 1]);
  assert.equal(bpe({ vocab, merges: [] }).dropsUnknown, true);
  assert.deepEqual(encode({ unk_token: "?" }), [0, 2, 2, 1]);
  assert.equal(bpe({ vocab, merges: [], unk_token: "?" }).dropsUnknown, false);
  assert.deepEqual(encode({ unk_token: "?", fuse_unk: true }), [0, 2, 1]);
  assert.deepEqual(encode({ unk_token: "?", fuse_unk: true }, "ééa"), [2, 0]);
  assert.deepEqual(encode({ unk_token: "?", fuse_unk: true }, "aéé"), [0, 2]);
  assert.deepEqual(encode({ byte_fallback: true }), [0, 3, 4, 3, 4, 1]);
  assert.equal(bpe({ vocab, merges: [], byte_fallback: true }).dropsUnknown, false);
  // One byte has no token.
  assert.deepEqual(encode({ byte_fallback: true, unk_token: "?" }, "aèéb"), [0, 3, 4, 2, 1]);
  assert.deepEqual(encode({ byte_fallback: true }, "aèb"), [0, 1]);
  assert.throws(() => encode({ unk_token: "!" }, "é"), {
    name: "Error",
    message: 'Cannot encode "é": the unknown token "!" is not in the vocabulary',
  });
});

Deno.test("a BPE model writes a prefix before all characters but the first, a suffix after the last", () => {
  const vocab = vocabOf("a", "##b", "##c", "##c</w>", "a##b", "ab", "ab</w>", "##b</w>", "a</w>");
  const fields = { vocab, continuing_subword_prefix: "##", end_of_word_suffix: "</w>" };
  assert.deepEqual(bpe({ ...fields, merges: [] }).encode("abc"), [0, 1, 3]);
  assert.deepEqual(bpe({ ...fields, merges: [] }).encode("a"), [8]);
  // The prefix of the right part goes.
  assert.deepEqual(bpe({ ...fields, merges: ["a ##b"] }).encode("abc"), [5, 3]);
  assert.deepEqual(bpe({ ...fields, merges: ["a ##b</w>"] }).encode("ab"), [6]);
});

Deno.test("a BPE model pauses after 8192 characters and takes pairs of surrogates whole", () => {
  const model = bpe({ vocab: vocabOf("a", "b", "\u{1f389}"), merges: [] });
  // Symbols and pairs of the merge, 4096 at a time.
  assert.deepEqual(inSlices(model, "a".repeat(8192)), [new Array(8192).fill(0), 1 + 2]);
  assert.deepEqual(inSlices(model, "a".repeat(8193)), [new Array(8193).fill(0), 2 + 2]);
  const party = `a${"\u{1f389}".repeat(4096)}b`;
  assert.deepEqual(inSlices(model, party), [[0, ...new Array(4096).fill(2), 1], 2 + 1]);
  // An unknown character waits over a pause.
  const unknown = bpe({ vocab: vocabOf("a", "?"), merges: [], unk_token: "?", fuse_unk: true });
  const text = `${"a".repeat(8190)}bbbba`;
  assert.deepEqual(inSlices(unknown, text), [[...new Array(8190).fill(0), 1, 0], 2 + 2]);
});

Deno.test("a BPE model's merges are named where they are none", () => {
  const merges = (list: unknown, state: string): void =>
    refuses({ ...BPE, merges: list }, `.merges${state}`);
  merges("a b", ' is string "a b", expected an array');
  merges(undefined, " is nothing, expected an array");
  merges(["ab"], '[0] is string "ab", expected "left right" as in the first');
  merges(["a b", ["b", "c"]], '[1] is array of 2, expected "left right" as in the first');
  merges([["a", "b"], "b c"], '[1] is string "b c", expected ["left", "right"] as in the first');
  merges([["a", 1]], '[0] is array of 2, expected ["left", "right"] as in the first');
  merges([[1, "a"]], '[0] is array of 2, expected ["left", "right"] as in the first');
  merges([["a"]], '[0] is array of 1, expected ["left", "right"] as in the first');
  merges([["a", "b", "c"]], '[0] is array of 3, expected ["left", "right"] as in the first');
  const missing = (token: string): string =>
    `[1] needs the token "${token}", which is not in the vocabulary`;
  merges(["a b", "x b"], missing("x"));
  merges(["a b", "a x"], missing("x"));
  merges(["a b", "a c"], missing("ac"));
});

Deno.test("byteTokens() gives the token of each byte, and nothing where one is missing", () => {
  const all = new Map(
    Array.from({ length: 256 }, (_, byte) => [
      `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
      byte + 1000,
    ]),
  );
  assert.deepEqual(byteTokens(all)("\0aé\u{1f389}"), [
    ...[1000, 1097, 1195, 1169, 1240, 1159, 1142, 1137],
  ]);
  all.delete("<0xA9>");
  assert.equal(byteTokens(all)("aé"), undefined);
});

const UNIGRAM: Json = {
  type: "Unigram",
  vocab: [["<unk>", 0], ["a", -1], ["b", -2], ["ab", -2.5], ["bab", -3], ["\u{1f389}", -4]],
  unk_id: 0,
};
const unigram = (changes: Json): TokenModel => createModel({ ...UNIGRAM, ...changes });

Deno.test("a Unigram model takes the cut of the highest score, and of equal ones the first", () => {
  const { encode, dropsUnknown, isBpe } = unigram({});
  assert.deepEqual([dropsUnknown, isBpe], [false, undefined]);
  assert.deepEqual(encode("ab"), [3]);
  // a + bab is -4, ab + ab -5.
  assert.deepEqual(encode("abab"), [1, 4]);
  assert.deepEqual(encode("ba"), [2, 1]);
  assert.deepEqual(encode("a\u{1f389}b"), [1, 5, 2]);
  assert.deepEqual(unigram({ vocab: [["?", 0], ["a", -1], ["b", -2], ["ab", -3]] }).encode("ab"), [
    3,
  ]);
  const equal = [["?", 0], ["a", -1], ["ab", -2], ["b", -1], ["bc", -2], ["c", -1]];
  assert.deepEqual(unigram({ vocab: equal }).encode("abc"), [1, 4]);
  assert.deepEqual(encode(""), []);
});

Deno.test("a Unigram model makes one token of unknown characters in a row", () => {
  const { encode } = unigram({});
  assert.deepEqual(encode("xx"), [0]);
  assert.deepEqual(encode("axxb"), [1, 0, 2]);
  assert.deepEqual(encode("\u{1f600}a\u{1f600}\u{1f600}"), [0, 1, 0]);
  // An unknown character is 10 worse than the worst token, here -13: with `a` at 10 both cuts are equal.
  const cut = (score: number): readonly number[] =>
    unigram({ vocab: [["?", 0], ["a", score], ["ax", -3]] }).encode("ax");
  assert.deepEqual(cut(10.5), [1, 0]);
  assert.deepEqual(cut(10), [2]);
  assert.deepEqual(cut(9.5), [2]);
  // The fused characters may be a token that lost by its score.
  const lost = [["?", 0], ["xy", -40], ["a", -1]];
  assert.deepEqual(unigram({ vocab: lost }).encode("axy"), [2, 1]);
  const bytes = [["?", 0], ["a", -1], ["<0xC3>", -1], ["<0xA9>", -1]];
  assert.deepEqual(unigram({ vocab: bytes, byte_fallback: true }).encode("aé"), [1, 2, 3]);
  assert.deepEqual(unigram({ vocab: bytes, byte_fallback: true }).encode("aè"), [1, 0]);
  assert.deepEqual(unigram({ vocab: bytes }).encode("aé"), [1, 0]);
  assert.throws(() => unigram({ unk_id: null }).encode("ax"), {
    message: 'Cannot encode "x": it is not in the vocabulary, which has no unknown token',
  });
  assert.throws(() => unigram({ unk_id: undefined }).encode("\u{1f600}"), {
    message: 'Cannot encode "\u{1f600}": it is not in the vocabulary, which has no unknown token',
  });
  assert.deepEqual(unigram({ unk_id: null }).encode("ab"), [3]);
});

Deno.test("a Unigram model pauses after 2048 characters", () => {
  const model = unigram({});
  for (const [count, pauses] of [[2047, 0], [2048, 1], [4095, 1], [4096, 2]]) {
    assert.deepEqual(inSlices(model, "a".repeat(count)), [new Array(count).fill(1), pauses]);
    const party = "\u{1f389}".repeat(count);
    assert.deepEqual(inSlices(model, party), [new Array(count).fill(5), pauses]);
  }
});

Deno.test("a Unigram model's vocabulary and unknown token are named where they are none", () => {
  const vocab = (value: unknown, state: string): void =>
    refuses({ ...UNIGRAM, vocab: value }, state);
  vocab([], ".vocab is array of 0, expected an array of tokens and scores");
  vocab({}, ".vocab is object, expected an array of tokens and scores");
  vocab([["a", 1], "b"], '.vocab[1] is string "b", expected ["token", score]');
  vocab([["a"]], '.vocab[0] is array of 1, expected ["token", score]');
  vocab([["a", 1, 2]], '.vocab[0] is array of 3, expected ["token", score]');
  vocab([["a", "1"]], '.vocab[0] is array of 2, expected ["token", score]');
  vocab([[1, 1]], ".vocab has the token number 1, expected Unicode text");
  const unk = (unk_id: unknown, shown: string): void =>
    refuses({ ...UNIGRAM, unk_id }, ` (Unigram): unk_id is ${shown}, expected the id of a token`);
  unk(6, "number 6");
  unk(-1, "number -1");
  unk("0", 'string "0"');
  assert.deepEqual(unigram({ unk_id: 5 }).encode("x"), [5]);
  // An empty token stands for no text.
  assert.deepEqual(unigram({ vocab: [["", 0], ["a", -1]] }).encode("a"), [1]);
});

const PIECES: Json = {
  type: "WordPiece",
  vocab: vocabOf("[U]", "a", "ab", "##c", "##cd", "abcd", "##\u{1f389}", "c"),
  unk_token: "[U]",
  continuing_subword_prefix: "##",
  max_input_chars_per_word: 5,
};

Deno.test("a WordPiece model takes the longest token from the left", () => {
  const model = createModel(PIECES);
  assert.equal(model.dropsUnknown, false);
  const cases: [string, number[]][] = [
    ["ab", [2]],
    ["abcd", [5]],
    ["abc", [2, 3]],
    ["acd", [1, 4]],
    ["acc", [1, 3, 3]],
    ["c", [7]],
    ["a\u{1f389}", [1, 6]],
    ["ax", [0]],
    ["x", [0]],
    ["acccc", [1, 3, 3, 3, 3]],
    // More than five characters, by code points.
    ["accccc", [0]],
    [`a${"\u{1f389}".repeat(4)}`, [1, 6, 6, 6, 6]],
    [`a${"\u{1f389}".repeat(5)}`, [0]],
    ["", []],
  ];
  for (const [piece, ids] of cases) assert.deepEqual(model.encode(piece), ids, piece);
});

Deno.test("WordPiece and WordLevel models name what they lack", () => {
  for (const longest of [0, 1000]) createModel({ ...PIECES, max_input_chars_per_word: longest });
  for (const longest of [-1, 1001, 1.5]) {
    refuses(
      { ...PIECES, max_input_chars_per_word: longest },
      ` (WordPiece): max_input_chars_per_word is ${longest}, expected 0 to 1000`,
    );
  }
  assert.deepEqual(createModel({ ...PIECES, max_input_chars_per_word: 0 }).encode("a"), [0]);
  refuses(
    { ...PIECES, continuing_subword_prefix: 1 },
    " (WordPiece): continuing_subword_prefix is number 1, expected a string",
  );
  refuses({ ...PIECES, unk_token: null }, " (WordPiece): unk_token is null, expected a string");
  const level = { type: "WordLevel", vocab: vocabOf("a", "b"), unk_token: "[U]" };
  const model = createModel(level);
  assert.deepEqual([model.encode("b"), model.dropsUnknown], [[1], false]);
  for (const each of [model, createModel({ ...PIECES, unk_token: "none" })]) {
    assert.throws(() => each.encode("x".repeat(50)), {
      name: "Error",
      message: `Cannot encode ${
        JSON.stringify("x".repeat(40))
      }: it is not in the vocabulary, which has no unknown token`,
    });
  }
  assert.deepEqual(createModel({ ...level, unk_token: "a" }).encode("x"), [0]);
});

Deno.test("finish() goes on to the end and gives the result", () => {
  const log: number[] = [];
  function* work(): Slices<string> {
    for (let at = 0; at < 3; at++) {
      log.push(at);
      yield;
    }
    return "done";
  }
  assert.equal(finish(work()), "done");
  assert.deepEqual(log, [0, 1, 2]);
});
