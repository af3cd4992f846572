/**
 * A tokenizer.json, ready to turn text into ids and back as Hugging Face's Rust library does.
 *
 * In: the parsed tokenizer.json, a closed world: every field of every part is honoured, or without
 * effect here, or refused by name. Out: a pipeline: added tokens, normalizer, pre-tokenizer, model.
 */

import { describeValue, quoteHead } from "../../../internal/json/describe_value.ts";
import { FieldTable, listFields } from "../../../internal/json/field_table.ts";
import { AddedTokenFinder } from "./added_vocabulary.ts";
import { AddedTokens, type ListedToken, readAddedToken } from "./added_tokens.ts";
import { toByteChars } from "./byte_chars.ts";
import { createDecoder, type TokenDecoder } from "./token_decoder.ts";
import { BYTE_TO_CHAR } from "./gpt2_bytes.ts";
import { createModel } from "./create_model.ts";
import type { TokenModel } from "./token_model.ts";
import { createNormalizer, type Normalizer } from "./normalizer.ts";
import { createPreTokenizer, type PreTokenizer } from "./pre_tokenizer.ts";
import { finish, type Slices } from "./slices.ts";
import { refuse, reviewStep, type StepTypes } from "./step_review.ts";

const ANY_FIELDS = new FieldTable({
  honoured: ["type"],
  ignored: [
    "processors",
    "single",
    "pair",
    "special_tokens",
    "sep",
    "cls",
    "trim_offsets",
    "add_prefix_space",
    "use_regex",
  ],
});

/** They add tokens and move offsets; encode() adds none here and gives no offsets. */
const POST_PROCESSORS: StepTypes = {
  BertProcessing: ANY_FIELDS,
  ByteLevel: ANY_FIELDS,
  RobertaProcessing: ANY_FIELDS,
  Sequence: ANY_FIELDS,
  TemplateProcessing: ANY_FIELDS,
};

const FIELDS = new FieldTable({
  honoured: ["added_tokens", "normalizer", "pre_tokenizer", "model", "decoder", "post_processor"],
  // Texts are cut and padded by ortune's own options, as transformers does by its arguments.
  ignored: ["truncation", "padding"],
  refused: {
    version: {
      unless: ["1.0"],
      remedy: "the Rust library reads 1.0 alone; save the tokenizer anew",
    },
  },
});

/** The parts of a tokenizer.json; more tokens may be added before it is built. */
export class TokenPipeline {
  /** The added tokens. */
  readonly added: AddedTokens;
  /** The added tokens as tokenizer.json lists them. */
  readonly listed: readonly ListedToken[];
  /** What the file says and does not come to pass: one sentence each. */
  readonly notes: readonly string[];
  readonly #model: TokenModel;
  readonly #normalizer: Normalizer;
  readonly #preTokenizer: PreTokenizer;
  readonly #decode: TokenDecoder;
  // Words come again and again. What was not asked for while one map filled up goes with the other.
  #recent = new Map<string, readonly number[]>();
  #older = new Map<string, readonly number[]>();
  #finders: readonly [AddedTokenFinder, AddedTokenFinder] | undefined;

  /**
   * Reads a tokenizer.json.
   *
   * @throws {TypeError} naming the part, the field or the pattern that is not honoured
   */
  constructor(json: Readonly<Record<string, unknown>>, model: Readonly<Record<string, unknown>>) {
    const { refused, unknown } = FIELDS.review(json);
    if (refused.length > 0) refuse("tokenizer.json:", refused[0].message);
    if (unknown.length > 0) {
      refuse(
        "tokenizer.json",
        `has fields that ortune doesn't know: ${listFields(unknown)}; remove them`,
      );
    }
    this.#model = createModel(model);
    this.#normalizer = createNormalizer(json.normalizer);
    this.#preTokenizer = createPreTokenizer(json.pre_tokenizer);
    this.#decode = createDecoder(json.decoder);
    if ((json.post_processor ?? null) !== null) {
      reviewStep(json.post_processor, "tokenizer.json: post_processor", POST_PROCESSORS);
    }
    if (this.#preTokenizer.asksStart && this.#normalizer.drops !== undefined) {
      refuse(
        "tokenizer.json: pre_tokenizer",
        `(Metaspace): prepend_scheme is "first", and the normalizer ${this.#normalizer.drops} may drop ` +
          'what is first; make it "always" or "never"',
      );
    }
    this.added = new AddedTokens(this.#model.vocabulary);
    const list = json.added_tokens ?? [];
    if (!Array.isArray(list)) {
      refuse("tokenizer.json: added_tokens", `is ${describeValue(list)}, expected an array`);
    }
    this.listed = Array.from(
      list,
      (each, index) => readAddedToken(each, `tokenizer.json: added_tokens[${index}]`),
    );
    const ids = this.added.add(this.listed.map(({ token }) => token));
    this.notes = [...this.#renumbered(ids), ...this.#dropped()];
  }

  #renumbered(ids: readonly number[]): string[] {
    const seen = new Set<string>();
    const changed: string[] = [];
    for (const [index, { token: { content }, id }] of this.listed.entries()) {
      const place = `tokenizer.json: added_tokens[${index}]`;
      if (seen.has(content)) refuse(place, `has the token ${quoteHead(content)} a second time`);
      seen.add(content);
      if (id === undefined) refuse(place, "has no id or no content");
      if (id !== ids[index]) changed.push(`${content} ${ids[index]} and not ${id}`);
    }
    if (changed.length === 0) return [];
    return [
      "tokenizer.json numbers added tokens in another way than the Rust library and transformers, " +
      `which go by their order: ${listFields(changed, 4)}`,
    ];
  }

  #dropped(): string[] {
    if (!this.#model.dropsUnknown) return [];
    const { ids } = this.#model.vocabulary;
    if (BYTE_TO_CHAR.every((char) => ids.has(char))) return [];
    return [
      "tokenizer.json: model has no unk_token and not all bytes: characters that are not in its " +
      "vocabulary are left out of every text, as in the Rust library",
    ];
  }

  /** Whether the model is BPE. */
  get isBpe(): boolean {
    return this.#model.isBpe === true;
  }

  /** Highest id + 1. */
  get size(): number {
    let size = this.#model.vocabulary.tokens.length;
    for (const id of this.added.tokens.keys()) size = Math.max(size, id + 1);
    return size;
  }

  /**
   * Takes the added tokens as they are now.
   *
   * @throws {TypeError} if the normalizer leaves nothing of one, or makes two of them equal
   */
  build(): void {
    this.#finders = this.#find();
  }

  #find(): readonly [AddedTokenFinder, AddedTokenFinder] {
    const { raw, normalized } = this.added.needles(this.#normalizer);
    return [new AddedTokenFinder(raw), new AddedTokenFinder(normalized)];
  }

  /** The ids of a text. */
  encode(text: string): number[] {
    return finish(this.encodeInSlices(text));
  }

  /** The same with pauses: none in a short text, and every millisecond or so in a long one. */
  *encodeInSlices(text: string): Slices<number[]> {
    const [raw, after] = this.#finders ??= this.#find();
    const { normalize } = this.#normalizer;
    const ids: number[] = [];
    // A lone surrogate has no UTF-8; U+FFFD stands for it, as where text is written to bytes.
    const whole = text.isWellFormed() ? text : text.toWellFormed();
    let done = 0;
    for (const { start, end, id } of raw.parts(whole)) {
      if (id !== undefined) {
        ids.push(id);
        continue;
      }
      const part = whole.slice(start, end);
      const normal = normalize === undefined ? part : normalize(part);
      if (part.length > SLICE) yield;
      for (const { start: from, end: to, id } of after.parts(normal)) {
        if (id !== undefined) {
          ids.push(id);
          continue;
        }
        const pieces = this.#preTokenizer.split(normal.slice(from, to), start + from === 0);
        if (to - from > SLICE) yield;
        for (const piece of pieces) {
          if (piece.length > SLICE) yield* this.#longPiece(piece, ids);
          else for (const id of this.#piece(piece)) ids.push(id);
          if ((done += piece.length) < SLICE) continue;
          done = 0;
          yield;
        }
      }
    }
    return ids;
  }

  *#longPiece(piece: string, ids: number[]): Slices<void> {
    const text = this.#preTokenizer.bytes ? yield* byteChars(piece) : piece;
    const model = this.#model;
    const found = model.encodeInSlices ? yield* model.encodeInSlices(text) : model.encode(text);
    yield;
    for (const id of found) ids.push(id);
  }

  #piece(piece: string): readonly number[] {
    const known = this.#recent.get(piece);
    if (known !== undefined) return known;
    const found = this.#older.get(piece) ??
      this.#model.encode(this.#preTokenizer.bytes ? toByteChars(piece) : piece);
    if (piece.length > MAX_CACHED_LENGTH) return found;
    if (this.#recent.size >= MAX_CACHED) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(piece, found);
    return found;
  }

  /** A token as the decoder gets it: an added one as it was searched, normalized or not. */
  decodedToken(id: number): string | undefined {
    const token = this.added.tokens.get(id);
    if (token === undefined || !token.normalized) return this.added.textOf(id);
    return this.#normalizer.normalize?.(token.content) ?? token.content;
  }

  /** The text of ids; those outside the vocabulary are left out. */
  decode(ids: readonly number[]): string {
    const tokens = ids.flatMap((id) => {
      const text = this.decodedToken(id);
      return text === undefined ? [] : [text];
    });
    return tokens.length === 0 ? "" : this.#decode(tokens);
  }
}

// Some 10 MB at most. Longer pieces are clauses of Chinese, or whole texts, and seldom come again.
const MAX_CACHED = 16_384;
const MAX_CACHED_LENGTH = 32;
/** Characters between two pauses: some 1 ms of them. */
const SLICE = 2048;

/** The byte alphabet's spelling of a long piece. */
function* byteChars(piece: string): Slices<string> {
  let chars = "";
  for (let at = 0; at < piece.length;) {
    let end = Math.min(at + SLICE, piece.length);
    // A pair of surrogates is one character.
    if (piece.codePointAt(end - 1)! > 0xffff) end++;
    chars += toByteChars(piece.slice(at, end));
    at = end;
    yield;
  }
  return chars;
}
