/**
 * WordPiece and WordLevel models: the longest tokens from the left, and whole words.
 *
 * In: the parsed model of tokenizer.json. Out: a function from a piece to its ids.
 */

import { FieldTable } from "../../../internal/json/field_table.ts";
import type { TokenModel } from "./token_model.ts";
import { refuse, type Step, stepField } from "./step_review.ts";
import { readVocabulary } from "./vocabulary.ts";

/** All fields of a WordPiece model. */
export const WORD_PIECE_FIELDS = new FieldTable({
  honoured: [
    "type",
    "vocab",
    "unk_token",
    "continuing_subword_prefix",
    "max_input_chars_per_word",
  ],
});

/** All fields of a WordLevel model. */
export const WORD_LEVEL_FIELDS = new FieldTable({ honoured: ["type", "vocab", "unk_token"] });

const PLACE = "tokenizer.json: model";

/** Reads a WordPiece model. */
export function createWordPiece(model: Step): TokenModel {
  const vocabulary = readVocabulary(model.vocab);
  const { ids } = vocabulary;
  const unknown = unknownOf(model, ids);
  const prefix = stepField(model, PLACE, "continuing_subword_prefix", "string");
  const longest = stepField(model, PLACE, "max_input_chars_per_word", "number");
  // A word costs the square of its length.
  if (!Number.isSafeInteger(longest) || longest < 0 || longest > 1000) {
    refuse(PLACE, `(WordPiece): max_input_chars_per_word is ${longest}, expected 0 to 1000`);
  }
  return {
    vocabulary,
    dropsUnknown: false,
    encode(piece: string): readonly number[] {
      if (piece.length > 2 * longest) return unknown(piece);
      const chars = Array.from(piece);
      if (chars.length > longest) return unknown(piece);
      const found: number[] = [];
      for (let start = 0; start < chars.length;) {
        let end = chars.length;
        let id: number | undefined;
        for (; end > start; end--) {
          id = ids.get((start > 0 ? prefix : "") + chars.slice(start, end).join(""));
          if (id !== undefined) break;
        }
        if (id === undefined) return unknown(piece);
        found.push(id);
        start = end;
      }
      return found;
    },
  };
}

/** Reads a WordLevel model. */
export function createWordLevel(model: Step): TokenModel {
  const vocabulary = readVocabulary(model.vocab);
  const unknown = unknownOf(model, vocabulary.ids);
  return {
    vocabulary,
    dropsUnknown: false,
    encode(piece: string): readonly number[] {
      const id = vocabulary.ids.get(piece);
      return id === undefined ? unknown(piece) : [id];
    },
  };
}

function unknownOf(model: Step, ids: ReadonlyMap<string, number>): (piece: string) => [number] {
  const id = ids.get(stepField(model, PLACE, "unk_token", "string"));
  return (piece) => {
    if (id !== undefined) return [id];
    throw new Error(
      `Cannot encode ${
        JSON.stringify(piece.slice(0, 40))
      }: it is not in the vocabulary, which has no unknown token`,
    );
  };
}
