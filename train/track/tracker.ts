/**
 * What follows a training run.
 *
 * In: the events of the run, in order. Out: whatever the tracker makes of them: a progress bar, a
 * file, a request.
 *
 * @module
 */

import type { TrainEvent } from "../events.ts";
import type { Sample } from "./sample.ts";

/**
 * Something that is told each event of a training run.
 *
 * A caller awaits {@linkcode Tracker.event} before it tells the next event, and disposes the
 * tracker when the run is over, however it ended.
 *
 * @example
 * ```ts
 * import { Tracker } from "@ortune/ortune";
 *
 * const losses: number[] = [];
 * const tracker: Tracker = {
 *   event(event) {
 *     if (event.type === "log") losses.push(event.loss);
 *   },
 *   async [Symbol.asyncDispose]() {},
 * };
 * ```
 */
export interface Tracker extends AsyncDisposable {
  /** Takes one event; a promise it gives is fulfilled once the event is dealt with. */
  event(event: TrainEvent): void | Promise<void>;
  /** Takes what the model says after an update; trackers that show no text lack it. */
  samples?(step: number, samples: readonly Sample[]): void | Promise<void>;
}
