/**
 * The tokenizer_config.json of a model, and the two files beside it, as transformers reads them.
 *
 * In: the parsed files: a closed world. Out: the tokens that they add to those of tokenizer.json, in
 * the order in which transformers adds them, and what is not honoured, in words.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { FieldTable, listFields } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { AddedToken } from "./tokenize/added_vocabulary.ts";
import { type ListedToken, readAddedToken } from "./tokenize/added_tokens.ts";
import { refuse } from "./tokenize/step_review.ts";
import { FAST_TOKENIZERS, SLOW_TOKENIZERS } from "./tokenizer_classes.ts";

/** What {@linkcode readTokenizerConfig} reads. */
export interface TokenizerConfigFiles {
  /** The parsed tokenizer_config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The parsed special_tokens_map.json. */
  readonly specialTokensMap?: Readonly<Record<string, unknown>>;
  /** The parsed added_tokens.json. */
  readonly addedTokens?: Readonly<Record<string, unknown>>;
  /** The added tokens of tokenizer.json. */
  readonly listed: readonly ListedToken[];
  /** The parsed pre_tokenizer of tokenizer.json. */
  readonly preTokenizer: unknown;
  /** Whether the model is BPE, for which transformers cleans nothing up. */
  readonly isBpe: boolean;
}

/** What the files say. */
export interface TokenizerConfig {
  /** The texts of special tokens by field: `bos_token`, `eos_token`, `pad_token` and more. */
  readonly special: Readonly<Record<string, string>>;
  /** Tokens to add, or whose flags to change. */
  readonly tokens: readonly ListedToken[];
  /** What is not honoured: one sentence each. */
  readonly notes: readonly string[];
}

/** The fields of special tokens, in the order in which transformers adds them. */
const NAMED = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

const LISTS = ["additional_special_tokens", "extra_special_tokens"] as const;

const FIELDS = new FieldTable({
  honoured: [
    ...NAMED,
    ...LISTS,
    "model_specific_special_tokens",
    "added_tokens_decoder",
    "add_prefix_space",
    "chat_template",
    "tokenizer_class",
  ],
  ignored: [
    // encode() adds no token, pads nothing and cuts nothing: ortune's own options say all of that.
    "add_bos_token",
    "add_eos_token",
    "model_max_length",
    "max_len",
    "max_length",
    "stride",
    "truncation_side",
    "truncation_strategy",
    "padding_side",
    "pad_to_multiple_of",
    "pad_token_type_id",
    "model_input_names",
    // transformers reads these for tokenizers in Python alone; with a tokenizer.json they do nothing.
    "cls_token_segment_id",
    "decode_with_prefix_space",
    "do_basic_tokenize",
    "do_lower_case",
    "errors",
    "keep_accents",
    "legacy",
    "never_split",
    "pad_token_segment_id",
    "remove_space",
    "sp_model_kwargs",
    "spaces_between_special_tokens",
    "strip_accents",
    "tokenize_chinese_chars",
    "use_fast",
    // Where the files came from, and what else goes with them.
    "_commit_hash",
    "_name_or_path",
    "backend",
    "chat_control_tokens",
    "device_map",
    "files_loaded",
    "image_processor_type",
    "init_inputs",
    "is_local",
    "local_files_only",
    "merges_file",
    "model_type",
    "name_or_path",
    "processor_class",
    "response_schema",
    "response_template",
    "special_tokens_map_file",
    "tokenizer_file",
    "transformers_version",
    "trust_remote_code",
    "use_default_system_prompt",
    "vocab_file",
    "clean_up_tokenization_spaces",
  ],
  refused: {
    split_special_tokens: {
      unless: [false],
      remedy: "chats need their special tokens whole; set it to false",
    },
    fix_mistral_regex: {
      unless: [false],
      remedy: "put Mistral's corrected pattern into tokenizer.json and set it to false",
    },
  },
  warned: {
    auto_map: {
      unless: [{}],
      remedy: "its Python code is not run; tokenizer.json alone says how text becomes tokens",
    },
    clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: {
      unless: [false],
      remedy: "blanks before punctuation stay in decoded text",
    },
    from_slow: {
      unless: [false],
      remedy: "tokenizer.json is read, and not made anew of SentencePiece's or other files",
    },
  },
});

const MAP_FIELDS = new FieldTable({ honoured: [...NAMED, ...LISTS] });

/**
 * Reads the files.
 *
 * @throws {TypeError} naming the file, the field and the value that cannot be honoured
 */
export function readTokenizerConfig(files: TokenizerConfigFiles): TokenizerConfig {
  const { config, listed } = files;
  const notes = reviewConfig(files);
  // With added_tokens_decoder, transformers reads neither of the files of old.
  const legacy = !isRecord(config.added_tokens_decoder);
  const map = legacy ? files.specialTokensMap ?? {} : {};
  if (legacy) {
    const { unknown } = MAP_FIELDS.review(map);
    const odd = unknown.filter((field) => !isTokenField(field, map[field]));
    if (odd.length > 0) {
      notes.push(`special_tokens_map.json has fields that ortune doesn't know: ${listFields(odd)}`);
    }
  }
  const named = namedTokens(config, map);
  const extra = LISTS.flatMap((field) => [
    ...tokenList(config[field], `tokenizer_config.json: ${field}`),
    ...tokenList(map[field], `special_tokens_map.json: ${field}`),
  ]);
  const isNamed = new Set([...named.values()].map(({ token: { content } }) => content));
  const special = new Set([...isNamed, ...extra.map(({ token: { content } }) => content)]);
  const entries = legacy
    ? addedTokensFile(files.addedTokens ?? {}, listed, special)
    : decoderEntries(config.added_tokens_decoder as Record<string, unknown>);

  const known = new Map(listed.map(({ token }) => [token.content, token]));
  // transformers adds all of these again, so that a token with a name becomes a special one.
  const again = (legacy ? [...listed, ...entries] : entries).map(({ token, id }) => ({
    token: { ...token, special: token.special || isNamed.has(token.content) },
    id,
  }));
  const tokens = again.filter(({ token }) => !isSame(known.get(token.content), token));
  const have = new Set([...known.keys(), ...tokens.map(({ token }) => token.content)]);
  for (const each of [...named.values(), ...extra]) {
    if (have.has(each.token.content)) continue;
    have.add(each.token.content);
    tokens.push(each);
  }
  return {
    special: Object.fromEntries([...named].map(([field, { token }]) => [field, token.content])),
    tokens,
    notes,
  };
}

function reviewConfig({ config, preTokenizer, isBpe }: TokenizerConfigFiles): string[] {
  const { refused, warned, unknown } = FIELDS.review(config);
  if (refused.length > 0) refuse("tokenizer_config.json:", refused[0].message);
  const notes = warned.map(({ message }) => `tokenizer_config.json: ${message}`);
  const odd = unknown.filter((field) => !isTokenField(field, config[field]));
  if (odd.length > 0) {
    notes.push(
      `tokenizer_config.json has fields that ortune doesn't know, and does without: ${
        listFields(odd)
      }`,
    );
  }
  if (config.clean_up_tokenization_spaces === true && !isBpe) {
    notes.push(
      "tokenizer_config.json: clean_up_tokenization_spaces is true: blanks before punctuation stay in decoded text, as a text that streams cannot take them back",
    );
  }
  const prefix = prefixSpace(preTokenizer);
  if (
    typeof config.add_prefix_space === "boolean" && (prefix ?? false) !== config.add_prefix_space
  ) {
    notes.push(
      `tokenizer_config.json: add_prefix_space is ${config.add_prefix_space} and the pre_tokenizer of tokenizer.json says ${
        prefix ?? "nothing of it"
      }: tokenizer.json is followed, as by transformers 5; write it there to change it`,
    );
  }
  return [...notes, ...reviewClass(config.tokenizer_class)];
}

/** Whether a pre_tokenizer puts a blank before a text; `undefined` where it has no say. */
function prefixSpace(preTokenizer: unknown): boolean | undefined {
  if (!isRecord(preTokenizer)) return undefined;
  const { type, add_prefix_space, prepend_scheme, pretokenizers } = preTokenizer;
  if (type === "Sequence" && Array.isArray(pretokenizers)) {
    return pretokenizers.map(prefixSpace).find((each) => each !== undefined);
  }
  if (type === "Metaspace") return prepend_scheme !== "never";
  return typeof add_prefix_space === "boolean" ? add_prefix_space : undefined;
}

function reviewClass(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (typeof value !== "string") {
    refuse("tokenizer_config.json:", `tokenizer_class is ${describeValue(value)}, expected a name`);
  }
  if (SLOW_TOKENIZERS.has(value)) {
    refuse(
      "tokenizer_config.json:",
      `tokenizer_class is ${value}, which transformers runs in Python and not by tokenizer.json; use a model with another tokenizer`,
    );
  }
  if (FAST_TOKENIZERS.has(value.replace(/Fast$/, ""))) return [];
  return [
    `tokenizer_config.json: tokenizer_class is ${value}, which ortune doesn't know: tokenizer.json alone says how text becomes tokens`,
  ];
}

/** A model's own special tokens: `image_token` and the like, where they are text. */
function isTokenField(field: string, value: unknown): boolean {
  return field.endsWith("_token") && (typeof value === "string" || isRecord(value));
}

function namedTokens(
  config: Readonly<Record<string, unknown>>,
  map: Readonly<Record<string, unknown>>,
): Map<string, ListedToken> {
  const own = Object.keys({ ...config, ...map }).filter((field) =>
    !NAMED.includes(field as (typeof NAMED)[number]) &&
    isTokenField(field, map[field] ?? config[field])
  );
  const found = new Map<string, ListedToken>();
  for (const field of [...NAMED, ...own]) {
    const inMap = (map[field] ?? null) !== null;
    const place = `${inMap ? "special_tokens_map.json" : "tokenizer_config.json"}: ${field}`;
    const value = inMap ? map[field] : config[field];
    // Empty text is no token, and null means that there is none.
    if (value === undefined || value === null || value === "") continue;
    found.set(field, specialToken(value, place));
  }
  for (const field of ["model_specific_special_tokens", "extra_special_tokens"]) {
    for (const source of [config, map]) {
      if (!isRecord(source[field])) continue;
      for (const [name, value] of Object.entries(source[field])) {
        found.set(name, specialToken(value, `${field}.${name}`));
      }
    }
  }
  return found;
}

/** A special token stands as text, or as an object with its content and flags. */
function specialToken(value: unknown, place: string): ListedToken {
  const fields = typeof value === "string" ? { content: value } : value;
  if (!isRecord(fields)) refuse(place, `is ${describeValue(value)}, expected a token`);
  return readAddedToken({ ...fields, special: true }, place);
}

function tokenList(value: unknown, place: string): ListedToken[] {
  if (value === undefined || value === null || isRecord(value)) return [];
  if (!Array.isArray(value)) {
    refuse(place, `is ${describeValue(value)}, expected an array of tokens`);
  }
  return value.map((each, index) => specialToken(each, `${place}[${index}]`));
}

function decoderEntries(value: Readonly<Record<string, unknown>>): ListedToken[] {
  return Object.entries(value).map(([key, token]) => {
    const place = `tokenizer_config.json: added_tokens_decoder[${key}]`;
    if (!isRecord(token)) refuse(place, `is ${describeValue(token)}, expected an object`);
    return readAddedToken({ ...token, id: /^\d+$/.test(key) ? Number(key) : key }, place);
  }).sort((a, b) => a.id! - b.id!);
}

/** Entries of added_tokens.json; tokenizer.json's own stand in the place of theirs. */
function addedTokensFile(
  value: Readonly<Record<string, unknown>>,
  listed: readonly ListedToken[],
  special: ReadonlySet<string>,
): ListedToken[] {
  const taken = new Set(listed.map(({ id }) => id));
  return Object.entries(value).map(([content, id]) =>
    readAddedToken({ content, id, special: special.has(content) }, `added_tokens.json: ${content}`)
  ).filter(({ id }) => !taken.has(id)).sort((a, b) => a.id! - b.id!);
}

function isSame(a: AddedToken | undefined, b: AddedToken): boolean {
  return a !== undefined && a.single_word === b.single_word && a.lstrip === b.lstrip &&
    a.rstrip === b.rstrip && a.normalized === b.normalized && a.special === b.special;
}
