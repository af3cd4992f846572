/** The curves of a run, gathered from its events. */

import type { Tracker } from "../track/tracker.ts";
import type { EvaluateEvent, LogEvent, TrainEvent } from "../train/events.ts";

/** A tracker that keeps what plots and reports need. */
export class RunHistory implements Tracker {
  readonly logs: LogEvent[] = [];
  readonly evaluations: EvaluateEvent[] = [];

  event(event: TrainEvent): void {
    if (event.type === "log") this.logs.push(event);
    if (event.type === "evaluate") this.evaluations.push(event);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
