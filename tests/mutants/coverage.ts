/**
 * Which lines a test did not run.
 *
 * In: a report of `deno coverage --lcov`, and the checkout's folder. Out: for each file that was loaded, by its path in the
 * checkout, the numbers of those lines that were never reached; comments and types are none.
 */

/** Lines that were not reached, by file. */
export type Missed = Readonly<Record<string, readonly number[]>>;

/** Reads a report. */
export function missedLines(report: string, folder: string): Missed {
  const files: Record<string, readonly number[]> = {};
  for (const part of report.split("end_of_record")) {
    const file = /^SF:(.*)$/m.exec(part)?.[1];
    if (!file?.startsWith(`${folder}/`)) continue;
    // A line has 0 where only its end was not reached, as of `if (a) return;`; then it has a branch that was.
    const reached = new Set(
      Array.from(part.matchAll(/^BRDA:(\d+),\d+,\d+,[1-9]/gm), ([, line]) => Number(line)),
    );
    files[file.slice(folder.length + 1)] = Array.from(
      part.matchAll(/^DA:(\d+),0$/gm),
      ([, line]) => Number(line),
    ).filter((line) => !reached.has(line));
  }
  return files;
}

/**
 * Whether a test that missed these lines may have run one from first to last of a file. No report tells
 * of workers: of what they are made from, any line may have been run.
 */
export function mayHaveRun(missed: Missed, file: string, first: number, last: number): boolean {
  if (!Object.hasOwn(missed, file)) return false;
  if (file.endsWith("_worker.ts")) return true;
  const not = new Set(missed[file]);
  for (let line = first; line <= last; line++) {
    if (!not.has(line)) return true;
  }
  return false;
}
