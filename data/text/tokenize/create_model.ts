/**
 * Reads the model of a tokenizer.json, of whichever type it is.
 *
 * In: the parsed model. Out: its vocabulary, and a function from a piece to ids.
 */

import { BPE_FIELDS, createBpe } from "./bpe.ts";
import { isRecord } from "../../../internal/json/is_record.ts";
import { reviewStep } from "./step_review.ts";
import type { TokenModel } from "./token_model.ts";
import { createUnigram, UNIGRAM_FIELDS } from "./unigram.ts";
import {
  createWordLevel,
  createWordPiece,
  WORD_LEVEL_FIELDS,
  WORD_PIECE_FIELDS,
} from "./word_piece.ts";

/** The types of models. */
export const MODEL_TYPES: readonly string[] = ["BPE", "Unigram", "WordPiece", "WordLevel"];

const TABLES = {
  BPE: BPE_FIELDS,
  Unigram: UNIGRAM_FIELDS,
  WordPiece: WORD_PIECE_FIELDS,
  WordLevel: WORD_LEVEL_FIELDS,
};

/** Reads a model. */
export function createModel(value: Readonly<Record<string, unknown>>): TokenModel {
  // Files of old have no type; the Rust library tries all, and this is what it comes to.
  const type = value.type ?? guessType(value);
  const model = reviewStep({ ...value, type }, "tokenizer.json: model", TABLES);
  switch (type) {
    case "Unigram":
      return createUnigram(model);
    case "WordPiece":
      return createWordPiece(model);
    case "WordLevel":
      return createWordLevel(model);
    default:
      return createBpe(model);
  }
}

function guessType(value: Readonly<Record<string, unknown>>): string | undefined {
  if (Array.isArray(value.vocab)) return "Unigram";
  if (!isRecord(value.vocab)) return undefined;
  if ("merges" in value) return "BPE";
  return "max_input_chars_per_word" in value ? "WordPiece" : "WordLevel";
}
