import assert from "node:assert/strict";
import { AddedTokens, readAddedToken } from "./added_tokens.ts";
import { type AddedToken, AddedTokenFinder } from "./added_vocabulary.ts";
import { listVocabulary, readVocabulary } from "./vocabulary.ts";

const token = (content: string, flags: Partial<AddedToken> = {}): AddedToken => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: false,
  ...flags,
});

function refuses(run: () => unknown, state: string): void {
  assert.throws(run, { name: "TypeError", message: `Cannot read the tokenizer: ${state}` });
}

Deno.test("readAddedToken() gives every flag; normalized is what special is not, where it is missing", () => {
  assert.deepEqual(readAddedToken({ id: 0, content: "a" }, "p"), {
    id: 0,
    token: token("a", { normalized: true }),
  });
  assert.deepEqual(readAddedToken({ content: "a", special: true, __type: "x" }, "p"), {
    id: undefined,
    token: token("a", { special: true }),
  });
  for (const flag of ["single_word", "lstrip", "rstrip", "normalized", "special"] as const) {
    const all = { single_word: true, lstrip: true, rstrip: true, normalized: true, special: true };
    for (const given of [true, false]) {
      assert.deepEqual(readAddedToken({ id: 7, content: "a", ...all, [flag]: given }, "p"), {
        id: 7,
        token: token("a", { ...all, [flag]: given }),
      });
    }
    refuses(
      () => readAddedToken({ content: "a", [flag]: "no" }, "p"),
      `p has ${flag} string "no", expected true or false`,
    );
  }
  assert.equal(readAddedToken({ id: null, content: "a" }, "p").id, undefined);
  refuses(() => readAddedToken("a", "p"), 'p is string "a", expected an object');
  for (const bad of [{ content: "" }, {}, { content: 1 }, { id: -1, content: "a" }]) {
    refuses(() => readAddedToken(bad, "p"), "p has no id or no content");
  }
  refuses(
    () => readAddedToken({ content: "\ud800" }, "p"),
    "p has a content that is no Unicode text",
  );
  refuses(
    () => readAddedToken({ content: "a", odd: 1 }, "p"),
    "p has fields that ortune doesn't know: odd; remove them",
  );
});

Deno.test("AddedTokens gives known tokens their ids, and others the next free ones", () => {
  const added = new AddedTokens(listVocabulary(["a", "b"]));
  assert.deepEqual(added.add([token("<s>"), token("b"), token("<t>", { special: true })]), [
    2,
    1,
    3,
  ]);
  assert.deepEqual(added.add([token("<u>"), token("<s>", { special: true })]), [4, 2]);
  // Once special, a token stays so.
  assert.deepEqual(added.add([token("<t>")]), [3]);
  assert.deepEqual([...added.tokens.keys()], [2, 1, 3, 4]);
  assert.deepEqual(["<s>", "b", "a", "<u>", "z"].map((each) => added.idOf(each)), [
    ...[2, 1, 0, 4, undefined],
  ]);
  assert.deepEqual([0, 1, 2, 4, 5].map((id) => added.textOf(id)), [
    "a",
    "b",
    "<s>",
    "<u>",
    undefined,
  ]);
  assert.deepEqual([0, 1, 2, 3, 4, 9].map((id) => added.isSpecial(id)), [
    ...[false, false, true, true, false, false],
  ]);
  assert.deepEqual(added.notes, []);
});

Deno.test("AddedTokens says where two tokens share an id", () => {
  // The next free id is how many tokens there are, and a vocabulary may have given it away.
  const added = new AddedTokens(readVocabulary({ a: 0, b: 3, c: 2 }));
  assert.deepEqual(added.add([token("<s>"), token("<t>")]), [3, 4]);
  assert.deepEqual(added.notes, [
    "tokenizer.json: the vocabulary leaves out ids, and so the Rust library and transformers give some to two tokens: <s> and b (3); use a model with another tokenizer",
  ]);
  const many = new AddedTokens(readVocabulary({ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }));
  many.add(["1", "2", "3", "4", "5", "6"].map((each) => token(each)));
  assert.match(many.notes[0], /: 1 and f \(6\); use/);
});

Deno.test("AddedTokens searches normalized tokens in their normalized form", () => {
  const added = new AddedTokens(listVocabulary(["a"]));
  const [s, t] = [token("<S>"), token("<T>", { normalized: true })];
  added.add([s, t]);
  const normalize = (text: string): string => text.toLowerCase();
  assert.deepEqual(added.needles({ normalize }), {
    raw: [{ text: "<S>", id: 1, token: s }],
    normalized: [{ text: "<t>", id: 2, token: t }],
  });
  assert.equal(added.needles({}).normalized[0].text, "<T>");
  refuses(
    () => added.needles({ normalize: () => "" }),
    'tokenizer.json: the added token "<T>" is nothing after the normalizer; set its normalized to false',
  );
  added.add([token("<t>", { normalized: true })]);
  refuses(
    () => added.needles({ normalize }),
    'tokenizer.json: the added token "<t>" is "<T>" after the normalizer; set its normalized to false',
  );
});

/** The parts of a text, as texts and ids. */
function cut(tokens: readonly AddedToken[], text: string): unknown[] {
  const finder = new AddedTokenFinder(
    tokens.map((each, id) => ({ text: each.content, id, token: each })),
  );
  const parts = finder.parts(text);
  // A search leaves nothing behind.
  assert.deepEqual(finder.parts(text), parts);
  return parts.map(({ start, end, id }) =>
    id === undefined ? text.slice(start, end) : [text.slice(start, end), id]
  );
}

Deno.test("AddedTokenFinder takes the longest token that begins first", () => {
  const tokens = [token("ab"), token("abc"), token("b"), token("\u{1f389}x")];
  assert.deepEqual(cut(tokens, ""), []);
  assert.deepEqual(cut([], "ab"), ["ab"]);
  assert.deepEqual(cut(tokens, "xabcb-ab"), ["x", ["abc", 1], ["b", 2], "-", ["ab", 0]]);
  assert.deepEqual(cut(tokens, "aab"), ["a", ["ab", 0]]);
  assert.deepEqual(cut(tokens, "abd"), [["ab", 0], "d"]);
  assert.deepEqual(cut(tokens, "a\u{1f389}\u{1f389}x"), ["a\u{1f389}", ["\u{1f389}x", 3]]);
  assert.deepEqual(cut([token("^]\\-")], "a^]\\-b"), ["a", ["^]\\-", 0], "b"]);
});

Deno.test("AddedTokenFinder takes blanks along, and whole words alone", () => {
  const left = [token("<l>", { lstrip: true })];
  assert.deepEqual(cut(left, "a \t<l> b"), ["a", [" \t<l>", 0], " b"]);
  assert.deepEqual(cut(left, " <l>"), [[" <l>", 0]]);
  const right = [token("<r>", { rstrip: true })];
  assert.deepEqual(cut(right, "a <r> \u3000b"), ["a ", ["<r> \u3000", 0], "b"]);
  assert.deepEqual(cut(right, "<r>  "), [["<r>  ", 0]]);
  const both = [token("<b>", { lstrip: true, rstrip: true })];
  assert.deepEqual(cut(both, "a <b> <b> c"), ["a", [" <b> ", 0], ["<b> ", 0], "c"]);
  // As the Rust library does: a token in the blanks that the one before took along comes once more.
  assert.deepEqual(cut([...right, token("  ")], "<r>   x"), [["<r>   ", 0], ["  ", 1], " x"]);
  assert.deepEqual(cut([...right, token("  ")], "<r> x"), [["<r> ", 0], "x"]);
  // One of which nothing is left is none; the Rust library stops there.
  assert.deepEqual(cut([...right, token(" ", { lstrip: true })], "<r>  x"), [["<r>  ", 0], "x"]);
  const word = [token("ab", { single_word: true })];
  assert.deepEqual(cut(word, "ab"), [["ab", 0]]);
  assert.deepEqual(cut(word, "-ab."), ["-", ["ab", 0], "."]);
  for (const text of ["xab", "abx", "1ab", "ab_", "\u{1d400}ab", "ab\u{1d400}", "abab"]) {
    assert.deepEqual(cut(word, text), [text]);
  }
  // What follows a word that was not taken is searched behind it.
  assert.deepEqual(cut([...word, token("b")], "xab b"), ["xab ", ["b", 1]]);
});
