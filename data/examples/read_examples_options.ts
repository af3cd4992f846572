/**
 * How a file of training records is read.
 *
 * @module
 */

import type { TrainingRecord } from "../records/record_types.ts";
import type { RowColumns } from "../records/row_shapes.ts";
import type { EncodeRecordOptions } from "./encode_record.ts";
import type { Example } from "./example.ts";

/** Options of {@linkcode readExamples}; tools are those of the rows. */
export interface ReadExamplesOptions extends Omit<EncodeRecordOptions, "tools"> {
  /**
   * Which column means what.
   * @default {as well-known data sets name them}
   */
  readonly columns?: RowColumns;
  /** Most rows to read; all of them by default. */
  readonly limit?: number;
  /**
   * Makes the examples of one record.
   * @default {(record) => encodeRecord(record, options)}
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
