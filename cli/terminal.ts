/** Standard error as trackers want it: progress goes there, so that output can be piped. */

import type { ConsoleTrackerOptions } from "../track/console_tracker.ts";
import type { ProgressLineOptions } from "./progress_line.ts";

const encoder = new TextEncoder();

/** The process's standard error. */
export const terminal: ConsoleTrackerOptions & ProgressLineOptions = {
  write: (text: string): void => {
    for (let bytes = encoder.encode(text); bytes.length > 0;) {
      bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
    }
  },
  isTty: Deno.stderr.isTerminal(),
  columns: (): number => Deno.consoleSize().columns,
  noColor: Deno.noColor,
  now: (): number => performance.now(),
};
