/**
 * A training example: inputIds [tokens] and labels [tokens], -100 where a token is not trained on.
 * Labels stand under their own token; the collator shifts them.
 *
 * @module
 */

import type { RowLocation } from "../records/jsonl_error.ts";

/** The label of a token that is not trained on, as in PyTorch. */
export const IGNORED: number = -100;

/** One tokenized prompt and reply. */
export interface Example {
  /** Token ids of prompt and reply, `[tokens]`. */
  readonly inputIds: Int32Array;
  /** The id of each supervised token, else -100; `[tokens]`, not shifted. */
  readonly labels: Int32Array;
  /** How many tokens, from the first, are the prompt. */
  readonly promptLength: number;
  /** How many tokens were cut from the right to fit `maxLength`. */
  readonly truncatedTokens: number;
  /** How many tokens are supervised. */
  readonly supervised: number;
  /** Whether the supervised tokens end with the token that ends a reply. */
  readonly terminated: boolean;
  /**
   * Sum of the log-probabilities of its labels under a reference model.
   * @default it is compared with none
   */
  readonly reference?: number;
  /** The row it comes from, where there is one. */
  readonly source?: RowLocation;
}
