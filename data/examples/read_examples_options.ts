/**
 * How a file of training records is read.
 *
 * @module
 */

import type { TrainingRecord } from "../records/record.ts";
import type { Example } from "./example.ts";
import type { ToExamplesOptions } from "./to_examples.ts";

/** Options of {@linkcode readExamples}. */
export interface ReadExamplesOptions extends ToExamplesOptions {
  /** A system prompt for the rows that have none. */
  readonly system?: string;
  /** Most rows to read; all of them by default. */
  readonly limit?: number;
  /**
   * Makes the examples of one record.
   * @default {(record) => toExamples(toMessages(record, options), options)}
   */
  readonly encode?: (record: TrainingRecord) => readonly Example[];
  /**
   * Whether rows that cannot be used are left out and counted.
   * @default {false: the first one is an error}
   */
  readonly dropRefused?: boolean;
  /**
   * Whether an example without a supervised token is kept: it adds nothing to its update.
   * @default {false}
   */
  readonly keepUnlabelled?: boolean;
}
