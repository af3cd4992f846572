/**
 * A line that says what is done while nothing else is said, such as loading a model.
 *
 * In: what is done. Out: on a terminal, after a moment, a line that counts the seconds and goes away
 * again; elsewhere nothing.
 */

import { formatDuration } from "../track/format_units.ts";
import type { ProgressLineOptions } from "./progress_line.ts";

/** What is done sooner needs no word. */
const PATIENCE_MILLISECONDS = 1500;
const REDRAW_MILLISECONDS = 500;
const CLEAR = "\r\x1b[K";

/** Says what is done. */
export interface WaitLine extends Disposable {
  /** Begins to do something, in place of what was done before. */
  readonly doing: (what: string) => void;
  /** Says how far it is, after what is done; the seconds go on. */
  readonly reached: (how: string) => void;
  /** Ends it. */
  readonly done: () => void;
  /** Makes room for another line; what is done goes on. */
  readonly clear: () => void;
}

/** Makes a line. */
export function createWaitLine(options?: ProgressLineOptions): WaitLine {
  let timer: ReturnType<typeof setInterval> | undefined;
  let drawn = false;
  let far = "";
  const clear = (): void => {
    if (drawn) options!.write(CLEAR);
    drawn = false;
  };
  const done = (): void => {
    clearInterval(timer);
    clear();
  };
  const doing = (what: string): void => {
    done();
    far = "";
    if (!options?.isTty) return;
    const began = options.now();
    timer = setInterval(() => {
      const milliseconds = options.now() - began;
      if (milliseconds < PATIENCE_MILLISECONDS) return;
      const line = `${what}${far} … ${formatDuration(milliseconds / 1000)}`;
      options.write(`${CLEAR}${line.slice(0, Math.max(20, options.columns() - 1))}`);
      drawn = true;
    }, REDRAW_MILLISECONDS);
  };
  const reached = (how: string): void => void (far = `, ${how}`);
  return { doing, reached, done, clear, [Symbol.dispose]: done };
}

/** Does something under such a line. */
export async function during<T>(
  what: string,
  work: () => Promise<T>,
  options?: ProgressLineOptions,
): Promise<T> {
  using line = createWaitLine(options);
  line.doing(what);
  return await work();
}
