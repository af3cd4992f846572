/**
 * What the training loop tells while it runs: plain data, for progress bars, logs and plots.
 *
 * Types only: `TrainEvent`, its kinds told apart by `type`.
 *
 * @module
 */

import type { BestMetric } from "./best_evaluation.ts";
import type { Figures } from "./trainer.ts";

/** The loop is about to make its first update. */
export interface StartEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "start";
  /** What is trained. */
  readonly method: "full" | "lora";
  /** Updates of the whole run. */
  readonly totalSteps: number;
  /** Epochs asked for; may be fractional. */
  readonly epochs: number;
  /** Training examples, or pairs. */
  readonly examples: number;
  /** Evaluation examples, or pairs; 0 for no evaluation. */
  readonly evalExamples: number;
  /** Numbers that the optimizer changes. */
  readonly trainableParameters: number;
  /** Updates already made, by an earlier run that this one continues. */
  readonly resumedStep: number;
  /** Updates that the earlier run was to make, where that is another number than `totalSteps`. */
  readonly plannedSteps?: number;
}

/** One update was made. */
export interface StepEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "step";
  /** 1-based number of the update. */
  readonly step: number;
  /** Epochs done, fractional. */
  readonly epoch: number;
  /** Mean loss of the update's supervised tokens, in nats, or of its pairs. */
  readonly loss: number;
  /** Figures of the update's pairs under TRL's names, such as `rewards/margins`; none without pairs. */
  readonly figures?: Figures;
  /** L2 norm of all gradients before clipping. */
  readonly gradNorm: number;
  /** The rate of this update. */
  readonly learningRate: number;
  /** Real tokens trained on, padding left out. */
  readonly tokens: number;
  /** Tokens that had a target. */
  readonly supervisedTokens: number;
  /** Wall time of the update. */
  readonly seconds: number;
}

/** A batch of an update is done: for a progress bar that moves within long updates. */
export interface MicroStepEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "micro-step";
  /** The update it belongs to, 1-based. */
  readonly step: number;
  /** 1-based number of the batch in its update. */
  readonly micro: number;
  /** Batches of this update. */
  readonly microSteps: number;
}

/** A line of the log, every loggingSteps updates. */
export interface LogEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "log";
  /** Updates made. */
  readonly step: number;
  /** Epochs done, fractional. */
  readonly epoch: number;
  /** Mean loss of the updates since the last log. */
  readonly loss: number;
  /** Means, over the batches since the last log, of figures of pairs; none without pairs. */
  readonly figures?: Figures;
  /** Of the last update. */
  readonly gradNorm: number;
  /** Of the last update. */
  readonly learningRate: number;
  /** Real tokens a second since the last log. */
  readonly tokensPerSecond: number;
  /**
   * Resident memory of the process, or the most that was taken of the device it trains on, in bytes;
   * logs of earlier versions lack it.
   */
  readonly memoryBytes?: number;
}

/** An update was not made because its loss or gradient was not finite. */
export interface SkipEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "skip";
  /** The update that would have been made. */
  readonly step: number;
  /** Mean loss, in nats; perhaps NaN or Infinity. */
  readonly loss: number;
  /** L2 norm of all gradients; NaN where there were none. */
  readonly gradNorm: number;
  /** Updates skipped in a row, this one included. */
  readonly consecutive: number;
}

/** An evaluation is done. */
export interface EvaluateEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "evaluate";
  /** Updates made. */
  readonly step: number;
  /** Epochs done, fractional. */
  readonly epoch: number;
  /** Mean over examples of each example's mean loss a token: Hugging Face's eval_loss. Of pairs their mean loss. */
  readonly evalLoss: number;
  /**
   * Mean loss a supervised token: comparable with the training loss. Of pairs the cross-entropy of the chosen
   * replies.
   */
  readonly evalTokenLoss: number;
  /** Further figures without `eval_`: of pairs under TRL's names, of generated replies their measures. */
  readonly figures?: Figures;
  /** Examples with at least one supervised token, or pairs. */
  readonly examples: number;
  /** Batches that the examples were in; logs of earlier versions lack them. */
  readonly batches?: number;
  /** Tokens that had a target. */
  readonly supervisedTokens: number;
  /** Wall time of the evaluation. */
  readonly seconds: number;
  /** Set where the metric that the best is chosen by is the best so far. */
  readonly best?: true;
}

/** A checkpoint was written. */
export interface SaveEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "save";
  /** Updates made. */
  readonly step: number;
  /** The checkpoint's folder. */
  readonly directory: string;
  /** Size of all its files but the manifest. */
  readonly bytes: number;
  /** Wall time of the save, until the checkpoint was on the disk. */
  readonly seconds: number;
  /**
   * Of it, what training stood still: all, or on a device the time of a copy to the host's memory and
   * of what had to wait for the rest.
   */
  readonly waitedSeconds: number;
}

/** The loop has ended; an aborted one can be resumed from its last checkpoint. */
export interface EndEvent {
  /** Tells the kinds of {@linkcode TrainEvent} apart. */
  readonly type: "end";
  /** Updates made, by earlier runs too. */
  readonly step: number;
  /** Epochs done, fractional. */
  readonly epoch: number;
  /**
   * Whether the run made all its updates, its evaluations did not get better any more, or its signal
   * stopped it.
   */
  readonly reason: "completed" | "early-stopped" | "aborted";
  /** The best evaluation, where there was one. */
  readonly best?: BestCheckpoint;
  /** Real tokens trained on in this run, an earlier run's left out. */
  readonly tokens: number;
  /** Wall time of this run. */
  readonly seconds: number;
  /** Mean training loss of the whole run; none before its first update. */
  readonly trainLoss?: number;
}

/** The evaluation with the best metric. */
export interface BestCheckpoint {
  /** The update that was evaluated. */
  readonly step: number;
  /** What was compared. */
  readonly metric: BestMetric;
  /** Its best value. */
  readonly value: number;
  /** The checkpoint of that update, where there is one. */
  readonly directory?: string;
  /** Whether the trainer went back to that checkpoint's weights. */
  readonly loaded: boolean;
}

/** Anything the loop tells. */
export type TrainEvent =
  | StartEvent
  | MicroStepEvent
  | StepEvent
  | LogEvent
  | SkipEvent
  | EvaluateEvent
  | SaveEvent
  | EndEvent;
