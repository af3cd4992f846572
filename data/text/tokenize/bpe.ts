/**
 * A BPE model: pieces to ids, as Hugging Face's Rust library merges them.
 *
 * In: the parsed model of tokenizer.json. Out: a function from a piece to its ids.
 */

import { describeValue, quoteHead } from "../../../internal/json/describe_value.ts";
import { FieldTable } from "../../../internal/json/field_table.ts";
import { mergeInSlices, mergeSymbols } from "./merge_symbols.ts";
import { MergeTable } from "./merge_table.ts";
import type { TokenModel } from "./token_model.ts";
import type { Slices } from "./slices.ts";
import { refuse, type Step, stepField } from "./step_review.ts";
import { MAX_ID, readVocabulary } from "./vocabulary.ts";

/** All fields of a BPE model. */
export const BPE_FIELDS = new FieldTable({
  honoured: [
    "type",
    "vocab",
    "merges",
    "unk_token",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
    "continuing_subword_prefix",
    "end_of_word_suffix",
  ],
  refused: {
    dropout: {
      unless: [0],
      remedy:
        "it leaves out merges at random, so that a text has other ids each time; set it to null",
    },
  },
});

const PLACE = "tokenizer.json: model";
/** Characters between two pauses: some 1 ms. */
const SLICE = 8192;

/** Ids of a word's characters so far, and an unknown one's, which waits. */
interface Symbols {
  readonly found: number[];
  waiting: number | undefined;
}

/** Reads a BPE model. */
export function createBpe(model: Step): TokenModel {
  const vocabulary = readVocabulary(model.vocab);
  const { ids } = vocabulary;
  const prefix = stepField(model, PLACE, "continuing_subword_prefix", "string", "");
  const suffix = stepField(model, PLACE, "end_of_word_suffix", "string", "");
  const fuse = stepField(model, PLACE, "fuse_unk", "boolean", false);
  const fallback = stepField(model, PLACE, "byte_fallback", "boolean", false);
  const ignoreMerges = stepField(model, PLACE, "ignore_merges", "boolean", false);
  const unk = model.unk_token === undefined || model.unk_token === null
    ? undefined
    : stepField(model, PLACE, "unk_token", "string");
  const unkId = unk === undefined ? undefined : ids.get(unk);
  const merges = readMerges(model.merges, ids, prefix);
  const bytes = fallback ? byteTokens(ids) : undefined;

  const unknown = (char: string): number => {
    if (unkId === undefined) {
      throw new Error(
        `Cannot encode ${quoteHead(char)}: the unknown token ${
          quoteHead(unk!)
        } is not in the vocabulary`,
      );
    }
    return unkId;
  };
  /** The ids of a word's characters from `start` to about `stop`, before any merge. */
  const addSymbols = (
    word: string,
    { symbols, start, stop }: {
      readonly symbols: Symbols;
      readonly start: number;
      readonly stop: number;
    },
  ): number => {
    const { length } = word;
    const { found } = symbols;
    // The Rust library adds an unknown character only when the next known one comes.
    const flush = (): void => {
      if (symbols.waiting !== undefined) found.push(symbols.waiting);
      symbols.waiting = undefined;
    };
    let at = start;
    while (at < stop) {
      const char = String.fromCodePoint(word.codePointAt(at)!);
      const first = at === 0;
      at += char.length;
      const symbol = (first ? "" : prefix) + char + (at === length ? suffix : "");
      const id = ids.get(symbol);
      if (id !== undefined) {
        flush();
        found.push(id);
        continue;
      }
      const fallbacks = bytes?.(symbol);
      if (fallbacks !== undefined) {
        found.push(...fallbacks);
      } else if (unk !== undefined) {
        if (!fuse) flush();
        symbols.waiting = unknown(char);
      }
    }
    if (at >= length) flush();
    return at;
  };
  const symbolsOf = (word: string): number[] => {
    const symbols: Symbols = { found: [], waiting: undefined };
    addSymbols(word, { symbols, start: 0, stop: word.length });
    return symbols.found;
  };
  function* symbolsInSlices(word: string): Slices<number[]> {
    const symbols: Symbols = { found: [], waiting: undefined };
    for (let at = 0; at < word.length;) {
      const stop = Math.min(at + SLICE, word.length);
      at = addSymbols(word, { symbols, start: at, stop });
      yield;
    }
    return symbols.found;
  }
  const whole = (piece: string): number | undefined => ignoreMerges ? ids.get(piece) : undefined;
  return {
    vocabulary,
    encode(piece: string): readonly number[] {
      const id = whole(piece);
      return id === undefined ? mergeSymbols(symbolsOf(piece), merges) : [id];
    },
    *encodeInSlices(piece: string): Slices<readonly number[]> {
      const id = whole(piece);
      return id === undefined ? yield* mergeInSlices(yield* symbolsInSlices(piece), merges) : [id];
    },
    dropsUnknown: unk === undefined && !fallback,
    isBpe: true,
  };
}

function readMerges(value: unknown, ids: ReadonlyMap<string, number>, prefix: string): MergeTable {
  const place = `${PLACE}.merges`;
  if (!Array.isArray(value)) refuse(place, `is ${describeValue(value)}, expected an array`);
  if (value.length > MAX_ID) refuse(place, `has ${value.length} entries, more than ${MAX_ID}`);
  const table = new MergeTable(value.length);
  const fail = (index: number, state: string): never => refuse(`${place}[${index}]`, state);
  const missing = (index: number, token: string): never =>
    fail(index, `needs the token ${quoteHead(token)}, which is not in the vocabulary`);
  // A file writes all as text or all as pairs; a line of text with #version is a heading.
  const asText = typeof value[0] === "string";
  let rank = 0;
  for (let index = 0; index < value.length; index++) {
    const merge: unknown = value[index];
    if (asText && typeof merge === "string" && merge.startsWith("#version")) continue;
    const pair = asText && typeof merge === "string" ? merge.split(" ") : merge;
    if (asText !== (typeof merge === "string") || !isPair(pair)) {
      const form = asText ? '"left right"' : '["left", "right"]';
      return fail(index, `is ${describeValue(merge)}, expected ${form} as in the first`);
    }
    const left = ids.get(pair[0]) ?? missing(index, pair[0]);
    const right = ids.get(pair[1]) ?? missing(index, pair[1]);
    const joined = prefix === "" ? pair[0] + pair[1] : pair[0] + pair[1].slice(prefix.length);
    table.set(left, right, rank++, ids.get(joined) ?? missing(index, joined));
  }
  return table;
}

function isPair(value: unknown): value is readonly [string, string] {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === "string" &&
    typeof value[1] === "string";
}

const encoder = new TextEncoder();

/** The tokens `<0xNN>` of a symbol's bytes; `undefined` where one of them is missing. */
export function byteTokens(
  ids: ReadonlyMap<string, number>,
): (symbol: string) => readonly number[] | undefined {
  const table = Array.from(
    { length: 256 },
    (_, byte) => ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  );
  return (symbol) => {
    const found: number[] = [];
    for (const byte of encoder.encode(symbol)) {
      const id = table[byte];
      if (id === undefined) return undefined;
      found.push(id);
    }
    return found;
  };
}
