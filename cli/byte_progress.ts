/**
 * How far a download is, on a terminal or in a log.
 *
 * In: progress of a download. Out: one line that is written over on a terminal; elsewhere a plain
 * line every tenth of the way.
 */

import type { HubProgress } from "../hub/hub_options.ts";
import { formatBytes, formatDuration } from "../track/format.ts";

/** Where to write, and the time. */
export interface ByteProgressOptions {
  readonly write: (text: string) => void;
  readonly isTty: boolean;
  /** Width of the terminal. */
  readonly columns: () => number;
  /** Milliseconds, such as `performance.now`. */
  readonly now: () => number;
}

/** Shows a download. */
export interface ByteProgress {
  readonly update: (progress: HubProgress) => void;
  /** Writes a line of its own, without breaking the bar. */
  readonly note: (text: string) => void;
  /** Ends the bar's line. */
  readonly finish: () => void;
}

const REDRAW_MILLISECONDS = 100;
const BAR_WIDTH = 24;
const LINES = 10;

/** Makes a progress display. */
export function createByteProgress(options: ByteProgressOptions): ByteProgress {
  const { write, isTty, columns, now } = options;
  let start: { readonly time: number; readonly bytes: number } | undefined;
  let drawn = -Infinity;
  let onLine = false;
  let lastTenth = -1;
  const clear = (): void => {
    if (onLine) write("\r\x1b[K");
    onLine = false;
  };
  return {
    update(progress: HubProgress): void {
      const { bytes, size, files, filesDone } = progress;
      // What was here before the first byte came says nothing of the speed.
      start ??= { time: now(), bytes };
      const whole = filesDone === files;
      const line = describe(progress, now() - start.time, bytes - start.bytes);
      if (!isTty) {
        const tenth = size === 0 ? LINES : Math.floor(bytes / size * LINES);
        if (tenth <= lastTenth || (tenth === LINES && !whole)) return;
        lastTenth = tenth;
        return write(`${line}\n`);
      }
      if (now() - drawn < REDRAW_MILLISECONDS && !whole) return;
      drawn = now();
      const filled = size === 0 ? BAR_WIDTH : Math.round(bytes / size * BAR_WIDTH);
      const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
      write(`\r\x1b[K${`${bar} ${line}`.slice(0, Math.max(20, columns() - 1))}`);
      onLine = true;
    },
    note(text: string): void {
      clear();
      write(`${text}\n`);
    },
    finish(): void {
      if (onLine) write("\n");
      onLine = false;
    },
  };
}

function describe(
  { file, bytes, size, files, filesDone }: HubProgress,
  milliseconds: number,
  come: number,
): string {
  const percent = size === 0 ? 100 : Math.floor(bytes / size * 100);
  const parts = [
    `${percent} %`,
    `${formatBytes(bytes)} of ${formatBytes(size)}`,
    `${filesDone}/${files} files`,
  ];
  if (come > 0 && milliseconds > 0) {
    const speed = come / milliseconds * 1000;
    parts.push(`${formatBytes(speed)}/s`);
    if (bytes < size) parts.push(`${formatDuration((size - bytes) / speed)} left`);
  }
  if (filesDone < files) parts.push(file);
  return parts.join(", ");
}
