import assert from "node:assert/strict";
import type { AddedToken } from "./tokenize/added_vocabulary.ts";
import type { ListedToken } from "./tokenize/added_tokens.ts";
import { FAST_TOKENIZERS, SLOW_TOKENIZERS } from "./tokenizer_classes.ts";
import {
  readTokenizerConfig,
  type TokenizerConfig,
  type TokenizerConfigFiles,
} from "./tokenizer_config.ts";

type Json = Record<string, unknown>;

const read = (config: Json, files: Partial<TokenizerConfigFiles> = {}): TokenizerConfig =>
  readTokenizerConfig({ listed: [], preTokenizer: null, isBpe: true, ...files, config });

function refuses(config: Json, state: string, files: Partial<TokenizerConfigFiles> = {}): void {
  assert.throws(() => read(config, files), {
    name: "TypeError",
    message: `Cannot read the tokenizer: ${state}`,
  });
}

/** A token as files list it: special ones are not normalized. */
const token = (content: string, id?: number, flags: Partial<AddedToken> = {}): ListedToken => {
  const { special = false } = flags;
  return {
    id,
    token: {
      ...{ content, single_word: false, lstrip: false, rstrip: false, normalized: !special },
      ...flags,
      special,
    },
  };
};
const special = (content: string, id?: number, flags: Partial<AddedToken> = {}): ListedToken =>
  token(content, id, { special: true, ...flags });

Deno.test("readTokenizerConfig() lists special tokens by their fields, in transformers' order", () => {
  assert.deepEqual(read({}), { special: {}, tokens: [], notes: [] });
  const config = {
    image_token: "<i>",
    mask_token: "<m>",
    cls_token: "<c>",
    pad_token: "<p>",
    sep_token: "<x>",
    unk_token: { content: "<u>", lstrip: true },
    eos_token: "</s>",
    bos_token: "<s>",
    extra_special_tokens: ["<e>"],
    additional_special_tokens: ["<a>", { content: "<b>" }, "<s>"],
  };
  assert.deepEqual(read(config), {
    special: {
      bos_token: "<s>",
      eos_token: "</s>",
      unk_token: "<u>",
      sep_token: "<x>",
      pad_token: "<p>",
      cls_token: "<c>",
      mask_token: "<m>",
      image_token: "<i>",
    },
    tokens: [
      ...["<s>", "</s>"].map((each) => special(each)),
      special("<u>", undefined, { lstrip: true }),
      ...["<x>", "<p>", "<c>", "<m>", "<i>", "<a>", "<b>", "<e>"].map((each) => special(each)),
    ],
    notes: [],
  });
  // Nothing stands for no token, and one that tokenizer.json lists as it is comes once.
  const { special: named, tokens } = read({ bos_token: "", eos_token: null, pad_token: "<p>" }, {
    listed: [special("<p>", 5)],
  });
  assert.deepEqual([named, tokens], [{ pad_token: "<p>" }, []]);
});

Deno.test("readTokenizerConfig() takes a model's own special tokens from objects by name", () => {
  const config = {
    model_specific_special_tokens: { image: "<i>" },
    extra_special_tokens: { video: { content: "<v>", rstrip: true } },
  };
  assert.deepEqual(read(config, { specialTokensMap: { extra_special_tokens: { audio: "<o>" } } }), {
    special: { image: "<i>", video: "<v>", audio: "<o>" },
    tokens: [special("<i>"), special("<v>", undefined, { rstrip: true }), special("<o>")],
    notes: [],
  });
});

Deno.test("readTokenizerConfig() adds the tokens of added_tokens_decoder by id, and reads no file of old", () => {
  const config = {
    eos_token: "</s>",
    added_tokens_decoder: {
      "12": { content: "<t>", special: false },
      "11": { content: "</s>", special: false, normalized: true },
      "10": { content: "<same>", special: true },
    },
  };
  const files = {
    specialTokensMap: { bos_token: "<old>", odd: 1 },
    addedTokens: { "<old>": 9 },
    listed: [special("<same>", 10)],
  };
  assert.deepEqual(read(config, files), {
    special: { eos_token: "</s>" },
    // A token with a name becomes a special one.
    tokens: [special("</s>", 11, { normalized: true }), token("<t>", 12)],
    notes: [],
  });
  const place = "tokenizer_config.json: added_tokens_decoder";
  refuses(
    { added_tokens_decoder: { "7": "<x>" } },
    `${place}[7] is string "<x>", expected an object`,
  );
  refuses(
    { added_tokens_decoder: { "7x": { content: "a" } } },
    `${place}[7x] has no id or no content`,
  );
  refuses({ added_tokens_decoder: { "7": {} } }, `${place}[7] has no id or no content`);
});

Deno.test("readTokenizerConfig() reads special_tokens_map.json and added_tokens.json where they count", () => {
  const { special: named, tokens, notes } = read({
    bos_token: "<s>",
    additional_special_tokens: null,
  }, {
    specialTokensMap: {
      bos_token: { content: "<map>" },
      own_token: "<own>",
      additional_special_tokens: ["<a>"],
      odd: 1,
    },
    addedTokens: { "<t>": 21, "<a>": 20, "<l>": 5, "<map>": 22 },
    listed: [token("<l>", 5), token("<own>", 6)],
  });
  assert.deepEqual(named, { bos_token: "<map>", own_token: "<own>" });
  assert.deepEqual(tokens, [
    // It is listed, and special by its name from now on.
    token("<own>", 6, { special: true, normalized: true }),
    special("<a>", 20),
    token("<t>", 21),
    token("<map>", 22, { special: true, normalized: false }),
  ]);
  assert.deepEqual(notes, ["special_tokens_map.json has fields that ortune doesn't know: odd"]);
  // Of the configuration where the map has nothing.
  assert.deepEqual(
    read({ bos_token: "<s>" }, { specialTokensMap: { bos_token: null } }).special,
    { bos_token: "<s>" },
  );
  refuses({}, "special_tokens_map.json: bos_token is number 1, expected a token", {
    specialTokensMap: { bos_token: 1 },
  });
  refuses({ bos_token: 1 }, "tokenizer_config.json: bos_token is number 1, expected a token");
  refuses(
    {},
    "special_tokens_map.json: additional_special_tokens is number 1, expected an array of tokens",
    {
      specialTokensMap: { additional_special_tokens: 1 },
    },
  );
  refuses(
    { extra_special_tokens: ["<a>", 1] },
    "tokenizer_config.json: extra_special_tokens[1] is number 1, expected a token",
  );
  refuses(
    { model_specific_special_tokens: { a: 1 } },
    "model_specific_special_tokens.a is number 1, expected a token",
  );
  refuses({}, "added_tokens.json: <t> has no id or no content", { addedTokens: { "<t>": "1" } });
});

Deno.test("readTokenizerConfig() adds a listed token again where a flag differs, and only there", () => {
  for (const flag of ["single_word", "lstrip", "rstrip", "normalized", "special"] as const) {
    for (const given of [true, false]) {
      const base = {
        content: "<t>",
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      };
      const listed = token("<t>", 7, { normalized: false });
      const tokens =
        read({ added_tokens_decoder: { "7": { ...base, special: false, [flag]: given } } }, {
          listed: [listed],
        }).tokens;
      const other = { ...listed, token: { ...listed.token, [flag]: true } };
      assert.deepEqual(tokens, given ? [other] : [], flag);
    }
  }
});

Deno.test("readTokenizerConfig() notes what the file asks for and does not come to pass", () => {
  const notes = (config: Json, files: Partial<TokenizerConfigFiles> = {}): readonly string[] =>
    read(config, files).notes;
  const cleanup = [
    "tokenizer_config.json: clean_up_tokenization_spaces is true: blanks before punctuation stay in decoded text, as a text that streams cannot take them back",
  ];
  assert.deepEqual(notes({ clean_up_tokenization_spaces: true }, { isBpe: false }), cleanup);
  assert.deepEqual(notes({ clean_up_tokenization_spaces: true }), []);
  assert.deepEqual(notes({ clean_up_tokenization_spaces: false }, { isBpe: false }), []);
  const prefix = (add_prefix_space: unknown, preTokenizer: unknown): readonly string[] =>
    notes({ add_prefix_space }, { preTokenizer });
  const note = (asked: boolean, said: string): string[] => [
    `tokenizer_config.json: add_prefix_space is ${asked} and the pre_tokenizer of tokenizer.json says ${said}: tokenizer.json is followed, as by transformers 5; write it there to change it`,
  ];
  const level = (add_prefix_space?: boolean): Json => ({ type: "ByteLevel", add_prefix_space });
  const meta = (prepend_scheme?: string): Json => ({ type: "Metaspace", prepend_scheme });
  const sequence = (...pretokenizers: Json[]): Json => ({ type: "Sequence", pretokenizers });
  const cases: [boolean, unknown, string | undefined][] = [
    [true, level(false), "false"],
    [false, level(true), "true"],
    [true, level(true), undefined],
    [false, level(false), undefined],
    [true, level(), "nothing of it"],
    [false, level(), undefined],
    [true, null, "nothing of it"],
    [false, null, undefined],
    [true, meta(), undefined],
    [false, meta(), "true"],
    [true, meta("first"), undefined],
    [true, meta("never"), "false"],
    [false, meta("never"), undefined],
    [true, sequence({ type: "Digits" }, level(false), meta()), "false"],
    [true, sequence({ type: "Digits" }), "nothing of it"],
    [true, { type: "Sequence" }, "nothing of it"],
  ];
  for (const [asked, pre, said] of cases) {
    assert.deepEqual(
      prefix(asked, pre),
      said === undefined ? [] : note(asked, said),
      JSON.stringify(pre),
    );
  }
  assert.deepEqual(prefix("yes", level(false)), []);
  assert.deepEqual(notes({ odd: 1, own_token: 1, other_token: "<o>", more: 2 }), [
    "tokenizer_config.json has fields that ortune doesn't know, and does without: odd, own_token, more",
  ]);
  assert.deepEqual(notes({ from_slow: true, auto_map: {} }), [
    "tokenizer_config.json: from_slow is true: tokenizer.json is read, and not made anew of SentencePiece's or other files",
  ]);
  refuses(
    { split_special_tokens: true },
    "tokenizer_config.json: split_special_tokens is true: chats need their special tokens whole; set it to false",
  );
});

Deno.test("readTokenizerConfig() knows transformers' classes", () => {
  const notes = (tokenizer_class: unknown): readonly string[] => read({ tokenizer_class }).notes;
  for (const name of FAST_TOKENIZERS) {
    assert.deepEqual([...notes(name), ...notes(`${name}Fast`)], []);
  }
  assert.deepEqual([...notes(null), ...notes(undefined)], []);
  assert.deepEqual(notes("Odd"), [
    "tokenizer_config.json: tokenizer_class is Odd, which ortune doesn't know: tokenizer.json alone says how text becomes tokens",
  ]);
  for (const name of SLOW_TOKENIZERS) {
    refuses(
      { tokenizer_class: name },
      `tokenizer_config.json: tokenizer_class is ${name}, which transformers runs in Python and not by tokenizer.json; use a model with another tokenizer`,
    );
  }
  refuses(
    { tokenizer_class: 1 },
    "tokenizer_config.json: tokenizer_class is number 1, expected a name",
  );
});
