/** The report of a file of rows of which none was read; for tests. */

import type { ReadExamplesReport } from "../../data/examples/read_examples_report.ts";
import { RowStatisticsCollector } from "../../data/examples/row_statistics.ts";

/** All counts 0, all lists empty. */
export const EMPTY_REPORT: ReadExamplesReport = {
  ...new RowStatisticsCollector().finish(),
  ...{ rows: 0, examples: 0, tokens: 0, supervisedTokens: 0 },
  ...{ truncated: [], unterminated: [], unlabelled: [], dropped: [] },
};
