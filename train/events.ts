/** What the training loop tells while it runs: plain data, for progress bars, logs and plots. */

/** The loop is about to make its first update. */
export interface StartEvent {
  readonly type: "start";
  readonly method: "full" | "lora";
  /** Updates of the whole run. */
  readonly totalSteps: number;
  readonly epochs: number;
  readonly examples: number;
  readonly evalExamples: number;
  readonly trainableParameters: number;
  /** Updates already made, by an earlier run that this one continues. */
  readonly resumedStep: number;
}

/** One update was made. */
export interface StepEvent {
  readonly type: "step";
  /** 1-based number of the update. */
  readonly step: number;
  /** Epochs done, fractional. */
  readonly epoch: number;
  /** Mean cross-entropy of the update's supervised tokens, in nats. */
  readonly loss: number;
  /** L2 norm of all gradients before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Real tokens trained on, padding left out. */
  readonly tokens: number;
  /** Tokens that had a target. */
  readonly supervisedTokens: number;
  readonly seconds: number;
}

/** A batch of an update is done: for a progress bar that moves within long updates. */
export interface MicroStepEvent {
  readonly type: "micro-step";
  /** The update it belongs to, 1-based. */
  readonly step: number;
  /** 1-based number of the batch in its update. */
  readonly micro: number;
  readonly microSteps: number;
}

/** A line of the log, every loggingSteps updates. */
export interface LogEvent {
  readonly type: "log";
  readonly step: number;
  readonly epoch: number;
  /** Mean loss of the updates since the last log. */
  readonly loss: number;
  /** Of the last update. */
  readonly gradNorm: number;
  /** Of the last update. */
  readonly learningRate: number;
  /** Real tokens a second since the last log. */
  readonly tokensPerSecond: number;
}

/** An update was not made because its loss or gradient was not finite. */
export interface SkipEvent {
  readonly type: "skip";
  /** The update that would have been made. */
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
  /** Updates skipped in a row, this one included. */
  readonly consecutive: number;
}

/** An evaluation is done. */
export interface EvaluateEvent {
  readonly type: "evaluate";
  readonly step: number;
  readonly epoch: number;
  /** Mean over examples of each example's mean loss a token: Hugging Face's eval_loss. */
  readonly evalLoss: number;
  /** Mean loss a supervised token: comparable with the training loss. */
  readonly evalTokenLoss: number;
  readonly examples: number;
  readonly supervisedTokens: number;
  readonly seconds: number;
}

/** A checkpoint was written. */
export interface SaveEvent {
  readonly type: "save";
  readonly step: number;
  readonly directory: string;
  readonly bytes: number;
  readonly seconds: number;
}

/** The loop has ended; an aborted one can be resumed from its last checkpoint. */
export interface EndEvent {
  readonly type: "end";
  readonly step: number;
  readonly epoch: number;
  readonly reason: "completed" | "aborted";
  /** Real tokens trained on in this run, an earlier run's left out. */
  readonly tokens: number;
  readonly seconds: number;
  /** Mean training loss of the whole run. */
  readonly trainLoss: number;
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
