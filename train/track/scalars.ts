/**
 * The figures of events, under the names that transformers' Trainer reports them.
 *
 * In: the events of a run. Out: for each, figures by key, such as `train/loss` and `eval/loss`.
 * Memory is in GiB, as those who log it beside transformers' figures do: bytes are no axis to read.
 */

import type { EndEvent, EvaluateEvent, StartEvent, TrainEvent } from "../events.ts";

/** Figures of one step by key; some perhaps NaN or infinite. */
export type Scalars = Readonly<Record<string, number>>;

/** The figures of an event; none for events that only move a progress bar. */
export function toScalars(event: TrainEvent): Scalars {
  switch (event.type) {
    case "log":
      return {
        "train/loss": event.loss,
        "train/grad_norm": event.gradNorm,
        "train/learning_rate": event.learningRate,
        "train/epoch": event.epoch,
        "train/global_step": event.step,
        "train/tokens_per_second": event.tokensPerSecond,
        ...(event.memoryBytes !== undefined && { "train/memory_gib": event.memoryBytes / 2 ** 30 }),
      };
    case "evaluate":
      return {
        "eval/loss": event.evalLoss,
        "eval/token_loss": event.evalTokenLoss,
        ...withPrefix("eval/", event.metrics ?? {}),
        ...withPrefix("eval/", evaluationSpeed(event)),
        "train/epoch": event.epoch,
        "train/global_step": event.step,
      };
    case "skip":
      return { "train/skipped_updates": event.consecutive };
    default:
      return {};
  }
}

/** How fast an evaluation was, under transformers' names without their prefix. */
export function evaluationSpeed({ seconds, examples, batches }: EvaluationSpeed): Scalars {
  return {
    runtime: seconds,
    // No clock sees an evaluation that took no time: it has no rate.
    ...(seconds > 0 && {
      samples_per_second: examples / seconds,
      ...(batches !== undefined && { steps_per_second: batches / seconds }),
    }),
  };
}

/** What the speed of an evaluation comes from. */
type EvaluationSpeed = Pick<EvaluateEvent, "seconds" | "examples" | "batches">;

/** The same figures under longer keys. */
export function withPrefix(prefix: string, scalars: Scalars): Scalars {
  return Object.fromEntries(
    Object.entries(scalars).map(([key, value]) => [`${prefix}${key}`, value]),
  );
}

/** What transformers sums up at the end of a run, without a prefix. */
export function toSummary(end: EndEvent, start: StartEvent): Scalars {
  const steps = end.step - start.resumedStep;
  const examples = end.step > 0 ? start.examples * end.epoch * steps / end.step : 0;
  return {
    ...end.trainLoss === undefined ? {} : { train_loss: end.trainLoss },
    train_runtime: end.seconds,
    ...(end.seconds > 0 && {
      train_samples_per_second: examples / end.seconds,
      train_steps_per_second: steps / end.seconds,
    }),
  };
}
