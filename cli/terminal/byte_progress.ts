/**
 * How far a download is, on a terminal or in a log.
 *
 * In: progress of a download. Out: one line that is written over on a terminal; elsewhere a plain
 * line every tenth of the way.
 */

import type { HubProgress } from "../../hub/hub_options.ts";
import { formatBytes, formatDuration } from "../../train/track/format_units.ts";
import { createProgressLine, type ProgressLineOptions } from "../../train/runs/progress_line.ts";

/** Shows a download. */
export interface ByteProgress {
  readonly update: (progress: HubProgress) => void;
  /** Writes a line of its own, without breaking the bar. */
  readonly note: (text: string) => void;
  /** Ends the bar's line. */
  readonly finish: () => void;
}

/** Makes a progress display. */
export function createByteProgress(options: ProgressLineOptions): ByteProgress {
  const { update, note, finish } = createProgressLine(options);
  let start: { readonly time: number; readonly bytes: number } | undefined;
  return {
    update(progress: HubProgress): void {
      const { bytes, size, files, filesDone } = progress;
      // What was here before the first byte came says nothing of the speed.
      start ??= { time: options.now(), bytes };
      const [milliseconds, come] = [options.now() - start.time, bytes - start.bytes];
      update({
        fraction: size === 0 ? 1 : bytes / size,
        whole: filesDone === files,
        describe: () => describe(progress, milliseconds, come),
      });
    },
    note,
    finish,
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
