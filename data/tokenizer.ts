/**
 * A model's tokenizer: text to token ids and back, and chats to text.
 *
 * In: a model folder, or the parsed tokenizer.json and tokenizer_config.json.
 * Out: a Tokenizer; encode gives ids as Int32Array [tokens] and never adds a token of its own.
 *
 * @module
 */

import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkChatTemplate, renderChat } from "./chat_template.ts";
import type { RenderChatOptions } from "./chat_template.ts";
import { isRecord } from "../json/is_record.ts";
import type { Message } from "./message.ts";
import { withSplitPatterns } from "./pre_tokenizer.ts";
import { specialTokens } from "./special_tokens.ts";
import { tokenByteCodec } from "./token_bytes.ts";

/** Options of {@linkcode Tokenizer.render}; the texts of bos and eos come from the tokenizer. */
export type RenderOptions = Omit<RenderChatOptions, "bosToken" | "eosToken" | "specialTokens">;

/** Options of {@linkcode Tokenizer.decode}. */
export interface DecodeOptions {
  /**
   * Whether to leave out special tokens, such as `<|im_end|>`. `<think>` is an added token but not
   * a special one, and stays.
   * @default {false}
   */
  readonly skipSpecialTokens?: boolean;
}

/** Text to token ids and back. */
export interface Tokenizer {
  /**
   * Token ids of a text, `[tokens]`; nothing is added, and `<|im_end|>` in the text is that token.
   */
  encode(text: string): Int32Array;
  /** The text of token ids; ids outside the vocabulary are left out. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** The id of a token as the vocabulary writes it. */
  tokenToId(token: string): number | undefined;
  /** The token of an id, as the vocabulary writes it. */
  idToToken(id: number): string | undefined;
  /** Highest id + 1. A model's own vocabulary is often padded to more. */
  readonly vocabSize: number;
  /** Whether an id is an added token (`<think>`, `<|im_end|>`), matched as a whole in any text. */
  isAdded(id: number): boolean;
  /** Whether an id is a special token (`<|im_end|>`, but not `<think>`). */
  isSpecial(id: number): boolean;
  /**
   * The raw bytes of a token, which may be a part of a character; empty outside the vocabulary.
   * @throws {TypeError} if the tokenizer is neither byte-level nor of SentencePiece's kind.
   */
  tokenBytes(id: number): Uint8Array;
  /** Whether a decoded text loses one blank at its start (SentencePiece). */
  readonly dropsFirstBlank: boolean;
  /** The Jinja source of the chat template, where the model has one. */
  readonly chatTemplate: string | undefined;
  /** Text of the token that ends a reply. */
  readonly eosToken: string | undefined;
  /** Id of the token that ends a reply. */
  readonly eosTokenId: number | undefined;
  /** Id of the token that begins a sequence. */
  readonly bosTokenId: number | undefined;
  /** Id of the padding token; the eos token where there is none. */
  readonly padTokenId: number | undefined;
  /**
   * The text of a chat by the model's chat template.
   * @throws {Error} if the model has no chat template.
   */
  render(messages: readonly Message[], options: RenderOptions): string;
}

/** What {@linkcode createTokenizer} makes a tokenizer of. */
export interface TokenizerFiles {
  /** The parsed tokenizer.json. */
  readonly tokenizerJson: Record<string, unknown>;
  /** The parsed tokenizer_config.json. */
  readonly tokenizerConfig: Record<string, unknown>;
  /** The text of chat_template.jinja; wins over the `chat_template` of the configuration. */
  readonly chatTemplate?: string;
}

/** Largest tokenizer file read: tokenizer.json has 11 MB for Qwen3 and 33 MB for Gemma 3. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/**
 * Loads the tokenizer of a model folder: tokenizer.json, tokenizer_config.json and, where there is
 * one, chat_template.jinja.
 *
 * Needs `--allow-read` for the folder.
 *
 * @throws {Error} if a file is missing or cannot be parsed.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, loadTokenizer } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
 * await writeFile(`${folder}/tokenizer.json`, JSON.stringify(tokenizerJson));
 * await writeFile(`${folder}/tokenizer_config.json`, JSON.stringify(tokenizerConfig));
 *
 * const tokenizer = await loadTokenizer(folder);
 * assert.deepEqual([...tokenizer.encode("Hi<|im_end|>")], [72, 105, 258]);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  const [tokenizerText, configText, chatTemplate] = await Promise.all([
    readText(dir, "tokenizer.json"),
    readText(dir, "tokenizer_config.json"),
    readText(dir, "chat_template.jinja"),
  ]);
  return createTokenizer({
    tokenizerJson: parseJson(dir, "tokenizer.json", tokenizerText),
    tokenizerConfig: parseJson(dir, "tokenizer_config.json", configText),
    chatTemplate,
  });
}

/**
 * Makes a tokenizer of files that are already parsed.
 *
 * @throws {TypeError} if they do not describe a tokenizer.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * assert.equal(tokenizer.decode(tokenizer.encode("héllo 🎉")), "héllo 🎉");
 * assert.equal(tokenizer.eosTokenId, tokenizer.tokenToId("<|im_end|>"));
 * ```
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const { tokenizerJson, tokenizerConfig } = files;
  const added = addedTokens(tokenizerJson, tokenizerConfig);
  const core = createCore({ ...tokenizerJson, added_tokens: added }, tokenizerConfig);
  const codec = tokenByteCodec(tokenizerJson.decoder);
  const addedIds = new Set(added.map(({ id }) => id));
  const specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
  const vocabSize = core.model?.vocab.length ?? 0;
  const chatTemplate = files.chatTemplate ?? configTemplate(tokenizerConfig.chat_template);
  if (chatTemplate !== undefined) checkChatTemplate(chatTemplate);
  const templateTokens = specialTokens(tokenizerConfig);
  const bosToken = tokenText(tokenizerConfig.bos_token);
  const eosToken = tokenText(tokenizerConfig.eos_token);
  const padToken = tokenText(tokenizerConfig.pad_token) ?? eosToken;
  const idOf = (token: string | undefined): number | undefined =>
    token === undefined ? undefined : core.token_to_id(token);
  const encoder = new TextEncoder();
  const nothing = new Uint8Array(0);

  return {
    encode(text: string): Int32Array {
      const { ids, tokens } = core.encode(text, { add_special_tokens: false });
      const unknown = ids.findIndex((id) => id === undefined);
      if (unknown !== -1) {
        throw new Error(
          `Cannot encode ${
            JSON.stringify(tokens[unknown])
          }: it is not in the vocabulary, which has no unknown token`,
        );
      }
      return Int32Array.from(ids);
    },
    decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
      const { skipSpecialTokens = false } = options;
      const kept = Array.from(ids).filter((id) =>
        core.id_to_token(id) !== undefined && !(skipSpecialTokens && specialIds.has(id))
      );
      // Cleaning up blanks before punctuation is lossy, and streaming could not agree with it.
      return kept.length === 0 ? "" : core.decode(kept, { clean_up_tokenization_spaces: false });
    },
    tokenToId: (token: string): number | undefined => core.token_to_id(token),
    idToToken: (id: number): string | undefined => core.id_to_token(id),
    vocabSize,
    isAdded: (id: number): boolean => addedIds.has(id),
    isSpecial: (id: number): boolean => specialIds.has(id),
    tokenBytes(id: number): Uint8Array {
      const token = core.id_to_token(id);
      if (token === undefined) return nothing;
      if (addedIds.has(id)) return encoder.encode(token);
      if (codec === undefined) {
        throw new TypeError(
          `Cannot give the bytes of a token: the decoder ${
            decoderName(tokenizerJson.decoder)
          } is neither byte-level nor of SentencePiece's kind; decode() whole replies instead`,
        );
      }
      return codec.bytesOf(token);
    },
    dropsFirstBlank: codec?.dropsFirstBlank ?? false,
    chatTemplate,
    eosToken,
    eosTokenId: idOf(eosToken),
    bosTokenId: idOf(bosToken),
    padTokenId: idOf(padToken),
    render(messages: readonly Message[], options: RenderOptions): string {
      if (chatTemplate === undefined) {
        throw new Error(
          "Cannot render a chat: the model has no chat template, neither chat_template.jinja nor chat_template in tokenizer_config.json; copy one of them from the model's chat version",
        );
      }
      return renderChat(chatTemplate, messages, {
        ...options,
        bosToken,
        eosToken,
        specialTokens: templateTokens,
      });
    },
  };
}

interface AddedToken extends Record<string, unknown> {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** The added tokens of tokenizer.json, and those that only tokenizer_config.json lists. */
function addedTokens(
  tokenizerJson: Record<string, unknown>,
  tokenizerConfig: Record<string, unknown>,
): AddedToken[] {
  const listed = Array.isArray(tokenizerJson.added_tokens) ? tokenizerJson.added_tokens : [];
  const tokens = listed.map((token, index) =>
    parseAdded(token, `tokenizer.json: added_tokens[${index}]`)
  );
  const known = new Set(tokens.map(({ id }) => id));
  const { added_tokens_decoder: more } = tokenizerConfig;
  for (const [id, token] of Object.entries(isRecord(more) ? more : {})) {
    if (known.has(Number(id)) || !isRecord(token)) continue;
    const place = `tokenizer_config.json: added_tokens_decoder[${id}]`;
    tokens.push(parseAdded({ ...token, id: Number(id) }, place));
  }
  return tokens;
}

/** Highest id accepted; vocabularies have some 10^5 tokens, and the table of tokens is an array. */
const MAX_ID = 1 << 24;

function parseAdded(value: unknown, place: string): AddedToken {
  if (
    !isRecord(value) || !Number.isInteger(value.id) || Number(value.id) < 0 ||
    Number(value.id) > MAX_ID || typeof value.content !== "string" || value.content === ""
  ) {
    throw new TypeError(`Cannot read the tokenizer: ${place} has no id or no content`);
  }
  return {
    ...value,
    id: Number(value.id),
    content: value.content,
    special: value.special === true,
  };
}

const MODEL_TYPES: readonly string[] = ["BPE", "Unigram", "WordPiece"];

function createCore(
  tokenizerJson: Record<string, unknown>,
  tokenizerConfig: Record<string, unknown>,
): HuggingFaceTokenizer {
  if (!isRecord(tokenizerJson.model)) {
    throw new TypeError(
      "Cannot read the tokenizer: tokenizer.json has no model; copy it from the base model",
    );
  }
  const { type } = tokenizerJson.model;
  // The library guesses at a type that it does not know.
  if (type !== undefined && !MODEL_TYPES.includes(String(type))) {
    throw new TypeError(
      `Cannot read the tokenizer: the model in tokenizer.json is of type ${
        JSON.stringify(type)
      }, ` +
        `expected ${MODEL_TYPES.join(", ")}; use a model with such a tokenizer`,
    );
  }
  // tokenizer.json may leave these out; the library asks for the keys.
  const optional = { normalizer: null, post_processor: null, decoder: null };
  const pre_tokenizer = withSplitPatterns(tokenizerJson.pre_tokenizer ?? null);
  try {
    return new HuggingFaceTokenizer(
      { ...optional, ...tokenizerJson, pre_tokenizer },
      tokenizerConfig,
    );
  } catch (cause) {
    throw new TypeError(
      `Cannot read the tokenizer: tokenizer.json is not one that @huggingface/tokenizers knows: ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause },
    );
  }
}

/** A special token stands as text, or as an object with its content. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isRecord(value) && typeof value.content === "string" ? value.content : undefined;
}

/** A template stands as text, or as a list of named ones, of which `default` is the chat's. */
function configTemplate(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.filter(isRecord);
  const { template } = named.find(({ name }) => name === "default") ?? named[0] ?? {};
  return typeof template === "string" ? template : undefined;
}

function decoderName(decoder: unknown): string {
  return isRecord(decoder) ? String(decoder.type) : "(none)";
}

/** The text of a file of the folder; `undefined` where there is none. */
async function readText(dir: string, name: string): Promise<string | undefined> {
  const path = join(dir, name);
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) {
      throw new RangeError(
        `Cannot load the tokenizer: ${path} has ${size} bytes, more than ${MAX_FILE_BYTES}`,
      );
    }
    return await readFile(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw cause;
  }
}

function parseJson(dir: string, name: string, text: string | undefined): Record<string, unknown> {
  const path = join(dir, name);
  if (text === undefined) {
    throw new Error(`Cannot load the tokenizer: ${path} is missing; copy it from the base model`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(
      `Cannot load the tokenizer: ${path} is not valid JSON; copy it again from the base model`,
      { cause },
    );
  }
  if (!isRecord(value)) {
    throw new TypeError(
      `Cannot load the tokenizer: ${path} is not a JSON object; copy it again from the base model`,
    );
  }
  return value;
}
