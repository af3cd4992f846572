/**
 * A GGUF's tokens as the files of a Hugging Face tokenizer.
 *
 * In: the keys `tokenizer.*`. Out: tokenizer.json and tokenizer_config.json, and the ids that end a reply. What
 * the keys mean is in llama.cpp's `llama-vocab.cpp`.
 *
 * @module
 */

import type { MetadataReader } from "./metadata_reader.ts";
import { preTokenizerSteps } from "./pre_tokenizer_name.ts";
import { spmMerges } from "./spm_merges.ts";
import { BLANK, CONTROL, UNUSED, USER_DEFINED } from "./token_types.ts";

/** Tokens that end a reply by their text, where the file names them or not: as in llama.cpp. */
const ENDS: ReadonlySet<string> = new Set([
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<EOT>",
  "<eos>",
]);

type Json = Readonly<Record<string, unknown>>;

/** The files, parsed, and what the model's other files say of tokens. */
export interface ImportedTokenizer {
  readonly tokenizerJson: Json;
  readonly tokenizerConfig: Json;
  /** Ids of config.json and generation_config.json: `bos_token_id` and so on, where there are such. */
  readonly ids: Readonly<Record<string, number>>;
  /** Each ends a reply. */
  readonly eosTokenIds: readonly number[];
}

/** Options of {@linkcode importedTokenizer}. */
export interface ImportedTokenizerOptions {
  /** Most tokens of a sequence. */
  readonly maxLength: number;
  /** The Jinja source of a chat template, in place of the file's own. @default the file's */
  readonly chatTemplate?: string;
}

/**
 * The files of a tokenizer.
 *
 * @throws {RangeError} on a kind of tokenizer, or a way to cut text, that is not supported
 */
export function importedTokenizer(
  reader: MetadataReader,
  { maxLength, chatTemplate }: ImportedTokenizerOptions,
): ImportedTokenizer {
  const texts = reader.texts("tokenizer.ggml.tokens");
  const types = Array.from(reader.numbers("tokenizer.ggml.token_type"));
  if (types.length !== texts.length) {
    reader.fail("tokenizer.ggml.token_type", `has ${types.length} types of ${texts.length} tokens`);
  }
  const kind = reader.text("tokenizer.ggml.model");
  if (kind !== "gpt2" && kind !== "llama") {
    reader.fail(
      "tokenizer.ggml.model",
      `is ${
        JSON.stringify(kind)
      }: only gpt2 (byte-level BPE) and llama (SentencePiece) are supported`,
    );
  }
  // llama.cpp writes runs of blanks of SentencePiece as blanks.
  const tokens = kind === "llama" ? texts.map((text) => text.replaceAll(" ", BLANK)) : texts;
  const ids = specialIds(reader, tokens.length);
  const bos = reader.flag("tokenizer.ggml.add_bos_token", kind === "llama")
    ? ids.bos_token_id
    : undefined;
  const added = tokens.flatMap((content, id) =>
    types[id] !== CONTROL && types[id] !== USER_DEFINED ? [] : [{
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      // Places for tokens of one's own are control tokens in GGUF.
      special: types[id] === CONTROL && !content.startsWith("<unused"),
    }]
  );
  const vocab = Object.fromEntries(
    tokens.flatMap((token, id) => types[id] === UNUSED ? [] : [[token, id]]),
  );
  const source: TokenSource = { reader, tokens, types, vocab, ids, bos };
  const config = {
    // A class that goes by tokenizer.json alone.
    tokenizer_class: "PreTrainedTokenizerFast",
    add_bos_token: bos !== undefined,
    add_eos_token: reader.flag("tokenizer.ggml.add_eos_token", false),
    added_tokens_decoder: Object.fromEntries(added.map(({ id, ...rest }) => [id, rest])),
    ...templateOf(reader, chatTemplate),
    clean_up_tokenization_spaces: false,
    model_max_length: maxLength,
    spaces_between_special_tokens: false,
    ...Object.fromEntries(
      ["bos", "eos", "unk", "pad"].flatMap((name) => {
        const id = name === "unk" ? ids.unk_token_id : ids[`${name}_token_id`];
        return id === undefined ? [] : [[`${name}_token`, tokens[id]]];
      }),
    ),
  };
  const { unk_token_id: _unknown, ...namedIds } = ids;
  return {
    tokenizerJson: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      ...kind === "gpt2" ? byteLevel(source) : sentencePiece(source),
    },
    tokenizerConfig: config,
    ids: namedIds,
    eosTokenIds: endsOf(reader, { tokens, types, eos: ids.eos_token_id }),
  };
}

interface TokenSource {
  readonly reader: MetadataReader;
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly vocab: Readonly<Record<string, number>>;
  readonly ids: Readonly<Record<string, number>>;
  /** What every sequence begins with. */
  readonly bos: number | undefined;
}

/** Ids that the file names, by config.json's names. */
function specialIds(reader: MetadataReader, tokens: number): Record<string, number> {
  const named = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" };
  return Object.fromEntries(
    Object.entries(named).flatMap(([ours, theirs]) => {
      const key = `tokenizer.ggml.${theirs}_token_id`;
      if (!reader.has(key)) return [];
      const id = reader.whole(key);
      return id < tokens
        ? [[`${ours}_token_id`, id]]
        : reader.fail(key, `is ${id}, but there are ${tokens} tokens`);
    }),
  );
}

/** Ids that end a reply: those that the file names first. */
function endsOf(
  reader: MetadataReader,
  { tokens, types, eos }: {
    readonly tokens: readonly string[];
    readonly types: readonly number[];
    readonly eos: number | undefined;
  },
): readonly number[] {
  const named = ["eot", "eom"].flatMap((name) => {
    const key = `tokenizer.ggml.${name}_token_id`;
    return reader.has(key) ? [reader.whole(key)] : [];
  }).filter((id) => id < tokens.length);
  const told = tokens.flatMap((token, id) => types[id] === CONTROL && ENDS.has(token) ? [id] : []);
  return [...new Set([...eos === undefined ? [] : [eos], ...named, ...told])];
}

function templateOf(reader: MetadataReader, given: string | undefined): Json {
  const template = given ?? reader.text("tokenizer.chat_template", "");
  return template === "" ? {} : { chat_template: template };
}

/** What every byte-level tokenizer has, around the way that its text is cut. */
function byteLevel({ reader, vocab, bos, tokens }: TokenSource): Json {
  const name = reader.text("tokenizer.ggml.pre", "default");
  const steps = preTokenizerSteps(name);
  if (steps === undefined) {
    return reader.fail(
      "tokenizer.ggml.pre",
      `is ${
        JSON.stringify(name)
      }: how this tokenizer cuts text is not known; take the model from its ` +
        "own repository",
    );
  }
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    normalizer: steps.composes ? { type: "NFC" } : null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [...steps.before, { ...level, use_regex: steps.last }],
    },
    post_processor: bos === undefined ? null : beginsWith(tokens[bos], bos),
    decoder: { ...level, use_regex: true },
    model: {
      ...BPE,
      ignore_merges: steps.ignoreMerges,
      vocab,
      merges: reader.texts("tokenizer.ggml.merges"),
    },
  };
}

/** SentencePiece's BPE, whose merges go by the scores of what they make. */
function sentencePiece({ reader, tokens, types, vocab, ids, bos }: TokenSource): Json {
  const scores = reader.numbers("tokenizer.ggml.scores");
  if (scores.length !== tokens.length) {
    reader.fail("tokenizer.ggml.scores", `has ${scores.length} scores of ${tokens.length} tokens`);
  }
  const blanks = { type: "Replace", pattern: { String: " " }, content: BLANK };
  const back = { type: "Replace", pattern: { String: BLANK }, content: " " };
  const prefix = reader.flag("tokenizer.ggml.add_space_prefix", true);
  return {
    normalizer: prefix
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: BLANK }, blanks] }
      : blanks,
    pre_tokenizer: null,
    post_processor: bos === undefined ? null : beginsWith(tokens[bos], bos),
    decoder: {
      type: "Sequence",
      decoders: [
        ...[back, { type: "ByteFallback" }, { type: "Fuse" }],
        ...prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [],
      ],
    },
    model: {
      ...BPE,
      unk_token: ids.unk_token_id === undefined ? null : tokens[ids.unk_token_id],
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      merges: spmMerges(tokens, { scores, types }),
    },
  };
}

const BPE = {
  type: "BPE",
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

/** Puts a token before every sequence. */
function beginsWith(token: string, id: number): Json {
  const [first, second] = [0, 1].map((type) => ({ SpecialToken: { id: token, type_id: type } }));
  const [a, b] = ["A", "B"].map((name, type) => ({ Sequence: { id: name, type_id: type } }));
  return {
    type: "TemplateProcessing",
    single: [first, a],
    pair: [first, a, second, b],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
