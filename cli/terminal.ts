/** Standard error as trackers want it: progress goes there, so that output can be piped. */

import type { ConsoleTrackerOptions } from "../track/console_tracker.ts";

const encoder = new TextEncoder();

/** The process's standard error. */
export const terminal: ConsoleTrackerOptions = {
  write: (text: string): void => {
    for (let bytes = encoder.encode(text); bytes.length > 0;) {
      bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
    }
  },
  isTty: Deno.stderr.isTerminal(),
  columns: (): number => Deno.consoleSize().columns,
  noColor: Deno.noColor,
};
