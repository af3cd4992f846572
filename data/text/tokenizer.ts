/**
 * A model's tokenizer: text to token ids and back, and chats to text.
 *
 * In: a model folder, or the parsed tokenizer.json and tokenizer_config.json.
 * Out: a Tokenizer; encode gives ids as Int32Array [tokens] and never adds a token of its own.
 *
 * @module
 */

import { join } from "node:path";
import { checkChatTemplate, renderChat } from "./chat_template.ts";
import type { RenderChatOptions } from "./chat_template.ts";
import { listFields, showValue } from "../../internal/json/field_table.ts";
import { isAbsent, readCappedText } from "../../internal/regular_file.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { Message } from "./message.ts";
import type { ListedToken } from "./tokenize/added_tokens.ts";
import { MODEL_TYPES } from "./tokenize/create_model.ts";
import { TokenPipeline } from "./tokenize/token_pipeline.ts";
import { tokenByteCodec } from "./token_bytes.ts";
import { readTokenizerConfig } from "./tokenizer_config.ts";

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
  /**
   * The same in slices: a long text is interrupted every millisecond or so, for who must answer
   * others meanwhile; the generator returns the ids.
   */
  encodeInSlices(text: string): Generator<void, Int32Array, void>;
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
   * The raw bytes of a token, which may be a part of a character; empty outside the vocabulary. At
   * the start of a text some tokenizers drop a blank.
   * @throws {TypeError} if the tokenizer is neither byte-level nor of SentencePiece's kind.
   */
  tokenBytes(id: number, options?: { readonly atStart?: boolean }): Uint8Array;
  /** Whether a token is SentencePiece's `<0xNN>`; a row of them is text only as a whole. */
  isByteToken(id: number): boolean;
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
  /** What the files say and ortune does otherwise: one sentence each, with file, field and value. */
  readonly notes: readonly string[];
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
  /** The parsed special_tokens_map.json, which older models have. */
  readonly specialTokensMap?: Record<string, unknown>;
  /** The parsed added_tokens.json, which older models have. */
  readonly addedTokens?: Record<string, unknown>;
}

/** Options of {@linkcode loadTokenizer}. */
export interface LoadTokenizerOptions {
  /**
   * The Jinja source of a chat template to use in place of the model's.
   * @default {that of chat_template.jinja, or else of tokenizer_config.json}
   */
  readonly chatTemplate?: string;
}

/** The file of a model folder that holds its chat template. */
export const CHAT_TEMPLATE = "chat_template.jinja";

/** Largest tokenizer file read: tokenizer.json has 11 MB for Qwen3 and 33 MB for Gemma 3. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024;

/**
 * Loads the tokenizer of a model folder: tokenizer.json, tokenizer_config.json and, where they are
 * there, chat_template.jinja, special_tokens_map.json and added_tokens.json.
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
export async function loadTokenizer(
  dir: string,
  options: LoadTokenizerOptions = {},
): Promise<Tokenizer> {
  const [tokenizerText, configText, ownTemplate, mapText, addedText] = await Promise.all([
    readText(dir, "tokenizer.json"),
    readText(dir, "tokenizer_config.json"),
    readText(dir, CHAT_TEMPLATE),
    readText(dir, "special_tokens_map.json"),
    readText(dir, "added_tokens.json"),
  ]);
  const { chatTemplate = ownTemplate } = options;
  const optional = (name: string, text?: string): Record<string, unknown> | undefined =>
    text === undefined ? undefined : parseJson(dir, name, text);
  return createTokenizer({
    tokenizerJson: parseJson(dir, "tokenizer.json", tokenizerText),
    tokenizerConfig: parseJson(dir, "tokenizer_config.json", configText),
    chatTemplate,
    specialTokensMap: optional("special_tokens_map.json", mapText),
    addedTokens: optional("added_tokens.json", addedText),
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
  if (!isRecord(tokenizerConfig)) {
    throw new TypeError(
      "Cannot read the tokenizer: tokenizer_config.json is no JSON object; copy it from the base model",
    );
  }
  const pipeline = new TokenPipeline(tokenizerJson, modelOf(tokenizerJson));
  const { added } = pipeline;
  const config = readTokenizerConfig({
    config: tokenizerConfig,
    specialTokensMap: files.specialTokensMap,
    addedTokens: files.addedTokens,
    listed: pipeline.listed,
    preTokenizer: tokenizerJson.pre_tokenizer,
    isBpe: pipeline.isBpe,
  });
  const more = addTokens(pipeline, config.tokens);
  pipeline.build();
  const notes = [...pipeline.notes, ...config.notes, ...more, ...added.notes];
  const codec = tokenByteCodec(tokenizerJson.decoder);
  const chatTemplate = files.chatTemplate ?? configTemplate(tokenizerConfig.chat_template);
  if (chatTemplate !== undefined) checkChatTemplate(chatTemplate);
  const { bos_token: bosToken, eos_token: eosToken, pad_token: padToken = eosToken } =
    config.special;
  const idOf = (token: string | undefined): number | undefined =>
    token === undefined ? undefined : added.idOf(token);
  const encoder = new TextEncoder();
  const nothing = new Uint8Array(0);

  return {
    encode: (text: string): Int32Array => Int32Array.from(pipeline.encode(text)),
    *encodeInSlices(text: string): Generator<void, Int32Array, void> {
      return Int32Array.from(yield* pipeline.encodeInSlices(text));
    },
    decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
      const { skipSpecialTokens = false } = options;
      const kept = Array.from(ids);
      // Cleaning up blanks before punctuation is lossy, and streaming could not agree with it.
      return pipeline.decode(
        skipSpecialTokens ? kept.filter((id) => !added.isSpecial(id)) : kept,
      );
    },
    tokenToId: (token: string): number | undefined => added.idOf(token),
    idToToken: (id: number): string | undefined => added.textOf(id),
    vocabSize: pipeline.size,
    isAdded: (id: number): boolean => added.tokens.has(id),
    isSpecial: (id: number): boolean => added.isSpecial(id),
    tokenBytes(id: number, options: { readonly atStart?: boolean } = {}): Uint8Array {
      const token = pipeline.decodedToken(id);
      if (token === undefined) return nothing;
      if (codec === undefined) {
        if (added.tokens.has(id)) return encoder.encode(token);
        throw new TypeError(
          `Cannot give the bytes of a token: the decoder ${
            decoderName(tokenizerJson.decoder)
          } is neither byte-level nor of SentencePiece's kind; decode() whole replies instead`,
        );
      }
      return options.atStart === true ? codec.firstBytesOf(token) : codec.bytesOf(token);
    },
    isByteToken: (id: number): boolean => codec?.isByte(pipeline.decodedToken(id) ?? "") ?? false,
    dropsFirstBlank: codec?.dropsFirstBlank ?? false,
    chatTemplate,
    eosToken,
    eosTokenId: idOf(eosToken),
    bosTokenId: idOf(bosToken),
    padTokenId: idOf(padToken),
    notes,
    render(messages: readonly Message[], options: RenderOptions): string {
      if (chatTemplate === undefined) {
        throw new Error(
          "Cannot render a chat: the model has no chat template, neither chat_template.jinja nor chat_template in tokenizer_config.json; copy one of them from the model's chat version, or give one with --chat-template FILE",
        );
      }
      return renderChat(chatTemplate, messages, {
        ...options,
        bosToken,
        eosToken,
        specialTokens: config.special,
      });
    },
  };
}

/** Adds the tokens that other files list, and says which of them tokenizer.json lacks. */
function addTokens(pipeline: TokenPipeline, tokens: readonly ListedToken[]): string[] {
  const { added } = pipeline;
  const isNew = tokens.map(({ token: { content } }) => added.idOf(content) === undefined);
  const ids = added.add(tokens.map(({ token }) => token));
  const fresh = tokens.flatMap(({ token: { content }, id }, index) => {
    if (!isNew[index]) return [];
    const listed = id === undefined || id === ids[index] ? "" : ` and not ${id}`;
    return [`${content} ${ids[index]}${listed}`];
  });
  if (fresh.length === 0) return [];
  return [
    `tokenizer_config.json or a file beside it lists tokens that tokenizer.json lacks; they are added with the ids that transformers gives them, and the model must have a row for each: ${
      listFields(fresh, 8)
    }`,
  ];
}

function modelOf(tokenizerJson: Record<string, unknown>): Record<string, unknown> {
  const model = isRecord(tokenizerJson) ? tokenizerJson.model : undefined;
  if (!isRecord(model)) {
    throw new TypeError(
      "Cannot read the tokenizer: tokenizer.json has no model; copy it from the base model",
    );
  }
  const { type } = model;
  if (type !== undefined && !MODEL_TYPES.some((known) => known === type)) {
    throw new TypeError(
      `Cannot read the tokenizer: the model in tokenizer.json is of type ${showValue(type)}, ` +
        `expected ${MODEL_TYPES.join(", ")}; use a model with such a tokenizer`,
    );
  }
  return model;
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
  try {
    return await readCappedText(join(dir, name), {
      maxBytes: MAX_FILE_BYTES,
      remedy: "copy it again from the base model",
    });
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
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
