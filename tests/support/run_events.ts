/** Events of a small run, for tests of trackers. */

import type { LogEvent, StartEvent } from "../../train/events.ts";

/** The start of a run of ten updates, or of its rest after `resumedStep`. */
export function startEvent(resumedStep: number, method: StartEvent["method"]): StartEvent {
  return {
    type: "start",
    method,
    totalSteps: 10,
    epochs: 2,
    examples: 20,
    evalExamples: 4,
    trainableParameters: 100,
    resumedStep,
  };
}

/** The log line of an update. */
export function logEvent(step: number, loss = 1.5): LogEvent {
  return {
    type: "log",
    step,
    epoch: step / 5,
    loss,
    gradNorm: 2,
    learningRate: 0.5,
    tokensPerSecond: 1000,
    memoryBytes: 3 * 2 ** 29,
  };
}
