/**
 * A line that says how far something is: a bar on a terminal, ten lines elsewhere.
 *
 * In: how much is done, again and again. Out: text.
 */

/** Where to write, and the time. */
export interface ProgressLineOptions {
  /** Takes text. */
  readonly write: (text: string) => void;
  /** Whether it is a terminal, whose line can be written over. */
  readonly isTty: boolean;
  /** Width of the terminal. */
  readonly columns: () => number;
  /** Milliseconds, such as `performance.now`. */
  readonly now: () => number;
}

/** How far it is. */
export interface ProgressState {
  /** From 0 to 1. */
  readonly fraction: number;
  /** Whether all is done: a fraction of 1 may be rounded, or wait for a last check. */
  readonly whole: boolean;
  /** What to say of it. */
  readonly describe: () => string;
}

/** Shows how far something is. */
export interface ProgressLine {
  readonly update: (state: ProgressState) => void;
  /** Writes a line of its own, without breaking the bar. */
  readonly note: (text: string) => void;
  /** Ends the bar's line. */
  readonly finish: () => void;
}

const REDRAW_MILLISECONDS = 100;
const BAR_WIDTH = 24;
const LINES = 10;

/** Makes a progress line. */
export function createProgressLine(options: ProgressLineOptions): ProgressLine {
  const { write, isTty, columns, now } = options;
  let drawn = -Infinity;
  let onLine = false;
  let lastTenth = -1;
  return {
    update({ fraction, whole, describe }: ProgressState): void {
      if (!isTty) {
        const tenth = Math.floor(fraction * LINES);
        if (tenth <= lastTenth || (tenth === LINES && !whole)) return;
        lastTenth = tenth;
        return write(`${describe()}\n`);
      }
      if (now() - drawn < REDRAW_MILLISECONDS && !whole) return;
      drawn = now();
      const filled = Math.round(fraction * BAR_WIDTH);
      const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
      write(`\r\x1b[K${`${bar} ${describe()}`.slice(0, Math.max(20, columns() - 1))}`);
      onLine = true;
    },
    note(text: string): void {
      if (onLine) write("\r\x1b[K");
      onLine = false;
      write(`${text}\n`);
    },
    finish(): void {
      if (onLine) write("\n");
      onLine = false;
    },
  };
}
