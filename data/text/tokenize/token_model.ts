/** What the models of a tokenizer.json have in common: a piece of text to ids. */

import type { Slices } from "./slices.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A model. */
export interface TokenModel {
  readonly vocabulary: Vocabulary;
  /** The ids of a piece that is not empty. */
  readonly encode: (piece: string) => readonly number[];
  /** The same with pauses, where a long piece takes long. */
  readonly encodeInSlices?: (piece: string) => Slices<readonly number[]>;
  /** Whether characters outside the vocabulary vanish, for want of an unknown token. */
  readonly dropsUnknown: boolean;
  readonly isBpe?: boolean;
}
