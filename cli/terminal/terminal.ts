/** Standard error as trackers want it: progress goes there, so that output can be piped. */

import type { ConsoleTrackerOptions } from "../../train/track/console_tracker.ts";
import type { TerminalLanguage } from "../../train/track/console_words.ts";
import type { ProgressLineOptions } from "../../train/runs/progress_line.ts";
import { terminalLanguage } from "./terminal_language.ts";

const encoder = new TextEncoder();
const COLUMNS = 80;
let gone = false;

/** The process's standard error; once it cannot be written, what is said is lost, and nothing else. */
export const terminal: ConsoleTrackerOptions & ProgressLineOptions & {
  readonly language: TerminalLanguage;
} = {
  language: terminalLanguage(),
  write: (text: string): void => {
    try {
      for (let bytes = encoder.encode(text); bytes.length > 0 && !gone;) {
        bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
      }
    } catch {
      // A terminal that was closed, or a pipe that nobody reads: no reason to lose a run for.
      gone = true;
    }
  },
  isTty: Deno.stderr.isTerminal(),
  columns: (): number => {
    try {
      return Deno.consoleSize().columns;
    } catch {
      return COLUMNS;
    }
  },
  noColor: Deno.noColor,
  now: (): number => performance.now(),
};
