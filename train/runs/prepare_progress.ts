/**
 * How far the preparation of a file is. In: rows, tokens and bytes so far. Out: a progress line,
 * once it takes longer than a moment.
 */

import type { RowsProgress } from "../../data/examples/encode_rows.ts";
import type { ReadExamplesReport } from "../../data/examples/read_examples_report.ts";
import { formatCount, formatDuration, formatRate } from "../track/format_units.ts";
import { createProgressLine, type ProgressLineOptions } from "./progress_line.ts";

/** What is done sooner needs no word. */
const PATIENCE_MILLISECONDS = 2000;

/** Shows a preparation. */
export interface PrepareProgress {
  readonly update: (progress: RowsProgress) => void;
  /** Says what it came to, where it said anything. */
  readonly done: (report: Pick<ReadExamplesReport, "rows" | "tokens">) => void;
  /** Ends the line. */
  readonly finish: () => void;
}

/** Makes the progress of one file of so many bytes. */
export function createPrepareProgress(
  { file, size }: { readonly file: string; readonly size: number },
  options: ProgressLineOptions,
): PrepareProgress {
  const line = createProgressLine(options);
  const began = options.now();
  let shown = false;
  return {
    update(progress: RowsProgress): void {
      const milliseconds = options.now() - began;
      if (milliseconds < PATIENCE_MILLISECONDS) return;
      shown = true;
      const { rows, tokens, bytes } = progress;
      const fraction = size === 0 ? 1 : Math.min(1, bytes / size);
      const describe = (): string =>
        [
          `preparing ${file}: ${Math.floor(100 * fraction)} %`,
          `${formatCount(rows)} rows`,
          formatRate(tokens / milliseconds * 1000),
          `${formatDuration((1 - fraction) / fraction * milliseconds / 1000)} left`,
        ].join(", ");
      line.update({ fraction, whole: false, describe });
    },
    done({ rows, tokens }): void {
      if (!shown) return;
      line.note(
        `prepared ${file}: ${formatCount(rows)} rows, ${formatCount(tokens)} tokens in ` +
          formatDuration((options.now() - began) / 1000),
      );
    },
    finish: line.finish,
  };
}
