/**
 * A tracker whose file may fail, as on a full disk, without ending the run that it follows.
 *
 * In: a tracker, and where it writes. Out: a tracker that tells once what went wrong and is silent
 * from then on.
 */

import type { TrainEvent } from "../events.ts";
import type { Sample } from "./sample.ts";
import type { Tracker } from "./tracker.ts";

/** Options of {@linkcode createSafeTracker}. */
export interface SafeTrackerOptions {
  /** The file or folder that it writes, for what is told. */
  readonly path: string;
  /** Prints a line. */
  readonly say: (line: string) => void;
}

/** What {@linkcode createSafeTracker} makes. */
export interface SafeTracker extends Tracker {
  event(event: TrainEvent): Promise<void>;
  samples(step: number, samples: readonly Sample[]): Promise<void>;
}

/**
 * Wraps a tracker. Errors of the system, such as ENOSPC, EPERM and EIO, switch it off; all others are
 * mistakes, and are thrown.
 */
export function createSafeTracker(
  tracker: Tracker,
  { path, say }: SafeTrackerOptions,
): SafeTracker {
  let failed = false;
  const attempt = async (work: () => unknown, after: string): Promise<void> => {
    if (failed) return;
    try {
      await work();
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      failed = true;
      say(
        `warning: Cannot write ${path}: ${cause.message}; the run goes on, and nothing${after} is ` +
          "logged there. Free space or make it writable; a run that is resumed logs there again",
      );
    }
  };
  return {
    event: (event: TrainEvent): Promise<void> =>
      attempt(
        () => tracker.event(event),
        "step" in event ? ` from step ${event.step} on` : " of it",
      ),
    samples: (step: number, samples: readonly Sample[]): Promise<void> =>
      attempt(() => tracker.samples?.(step, samples), ` from step ${step} on`),
    async [Symbol.asyncDispose](): Promise<void> {
      try {
        await tracker[Symbol.asyncDispose]();
      } catch (cause) {
        // Closing what could not be written fails again, which has been told of.
        if (!failed) await attempt(() => Promise.reject(cause), " more");
      }
    },
  };
}

/** Node's and Deno's errors of the system carry a code such as ENOSPC. */
function isSystemError(cause: unknown): cause is Error {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" &&
    /^E[A-Z0-9]+$/.test(cause.code);
}
