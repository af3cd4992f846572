/**
 * What became of a file of training records.
 *
 * @module
 */

import type { RowStatistics } from "./row_statistics.ts";

/** What became of the rows; lines are 1-based. */
export interface ReadExamplesReport extends RowStatistics {
  /** How many rows were read, those that were left out among them. */
  readonly rows: number;
  /** How many examples they gave. */
  readonly examples: number;
  /** Lines with an example that was cut to `maxLength`. */
  readonly truncated: readonly number[];
  /** Lines with an example that does not end with the token that ends a reply. */
  readonly unterminated: readonly number[];
  /** Lines with an example that has no supervised token left; it is kept if `keepUnlabelled`. */
  readonly unlabelled: readonly number[];
  /** Lines with an example that was left out as it is longer than `maxLength`. */
  readonly dropped: readonly number[];
  /** How many tokens the examples have. */
  readonly tokens: number;
  /** How many of them are supervised. */
  readonly supervisedTokens: number;
}
