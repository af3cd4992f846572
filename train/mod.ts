/**
 * Training: whole runs, or trainers, optimizers, schedules and the loop to put together yourself.
 *
 * ```ts
 * import { linearSchedule } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * const rate = linearSchedule({ peak: 1e-4, totalSteps: 10, warmupSteps: 2 });
 * assert.deepEqual([rate(0), rate(2), rate(10)], [0, 1e-4, 0]);
 * ```
 *
 * @module
 */

// Whole runs.
export { runTraining, type RunTrainingContext, type TrainingRun } from "./runs/run_training.ts";
export { dryRun, type DryRunOptions } from "./runs/dry_run.ts";
export {
  DEFAULT_SYSTEM,
  DEFAULT_TRAINING,
  type DefaultArgument,
  type LoraArguments,
  type TrainingArguments,
  type TrainingOptions,
} from "./runs/training_arguments.ts";
export type { RowPaths } from "./runs/row_paths.ts";
export { predict, type Prediction, type PredictOptions } from "./runs/predictions.ts";
export { type ReportedRun, type RunReportOptions, writeRunReport } from "./runs/run_report.ts";
export { type HashedFile, readManifest, type RunManifest } from "./runs/run_manifest.ts";
export type { TrainingData } from "./runs/training_data.ts";
export type { ProgressLineOptions } from "./runs/progress_line.ts";
export { UsageError } from "../internal/usage_error.ts";

// Trainers and the loop.
export type {
  DeferredSteps,
  SaveOptions,
  Trainer,
  TrainStepOptions,
  TrainStepResult,
} from "./trainer.ts";
export type { IntervalStrategy } from "./interval.ts";
export { createFullTrainer, type FullTrainerOptions } from "./trainers/full_trainer.ts";
export type { BaseOptions } from "./resolve_base_storage.ts";
export { createLoraTrainer, type LoraTrainerOptions } from "./trainers/lora_trainer.ts";
export {
  type AssembleOptions,
  assembleTrainer,
  type TrainerOptions,
} from "./trainers/assemble_trainer.ts";
export { ModelTrainer, type TrainerParts } from "./trainers/model_trainer.ts";
export { GradientSums, type GradientSumsOptions } from "./distributed/gradient_sums.ts";
export {
  deviceTensorComm,
  hostTensorComm,
  openTensorComm,
  type TensorComm,
} from "./distributed/tensor_comm.ts";
export { ProcessGroup } from "./distributed/process_group.ts";
export type { TrainedParameters } from "./trainers/trained_parameters.ts";
export type { TrainingKernels } from "./trainers/training_kernels.ts";
export {
  computePrecision,
  resolvePrecision,
  TRAINING_PRECISIONS,
  type TrainingPrecision,
} from "./training_precision.ts";
export {
  estimateMemory,
  type MemoryEstimate,
  type MemoryEstimateOptions,
} from "./trainers/memory_estimate.ts";
export type { NumberRange } from "../internal/number_range.ts";
export {
  type DecayPlace,
  type MakeSchedule,
  type Schedule,
  type ScheduleDescription,
  type ScheduleOptions,
  type ScheduleSettings,
  warmedUp,
} from "./schedule.ts";
export { cosineSchedule } from "./schedules/cosine_schedules.ts";
export { constantSchedule, linearSchedule, schedules } from "./schedules/schedules.ts";
export { type BestOptions, type EvalMetrics, train, type TrainOptions } from "./loop/loop.ts";
export { evaluate, type EvaluateOptions, type EvaluationResult } from "./loop/evaluate.ts";
export { countUpdates, type StepRule, type UpdatePlanOptions } from "./loop/plan_updates.ts";
export type {
  BestCheckpoint,
  EndEvent,
  EvaluateEvent,
  LogEvent,
  MicroStepEvent,
  SaveEvent,
  SkipEvent,
  StartEvent,
  StepEvent,
  TrainEvent,
} from "./events.ts";
export {
  type BestEvaluation,
  type BestMetric,
  findBest,
  type FindBestOptions,
  type GeneratedMetric,
} from "./best_evaluation.ts";
export type { LogRow } from "./log_row.ts";
export type { EvaluationParameters, Optimizer, StateParts, UpdateOptions } from "./optimizer.ts";
export {
  formatOf,
  type MakeOptimizer,
  type OptimizerDescription,
  type OptimizerOptions,
} from "./optimizers/optimizer_description.ts";
export type { RateFactors } from "./optimizers/layout_chunks.ts";
export type { StateShapes } from "./optimizers/optimizer_state.ts";
export { DEFAULT_OPTIMIZER, findOptimizer, optimizers } from "./optimizers/optimizers.ts";
export type { GraphStateFormat, StateFormat } from "./optimizers/state_format.ts";
export type { AdamWOptions } from "./optimizers/adamw_graph.ts";
export type {
  StepValues,
  UpdatedValues,
  UpdateRule,
  UpdateValues,
} from "./optimizers/update_rule.ts";
export { ruleOptimizer } from "./optimizers/rule_optimizer.ts";
export { labelSmoothing } from "./objectives/label_smoothing.ts";
export { DEFAULT_OBJECTIVE, findObjective, objectives } from "./objectives/objectives.ts";
export type { PairLoss, PairObjective, ReplyLikelihood } from "./pair_objective.ts";
export { dpo, type DpoLossType } from "./objectives/dpo.ts";
export { orpo } from "./objectives/orpo.ts";
export { DEFAULT_BETA, findPairObjective, pairObjectives } from "./objectives/pair_objectives.ts";
export { referenceLogps, type ReferenceOptions } from "./loop/reference_logps.ts";
export type { Figures } from "./trainer.ts";

// Checkpoints.
export {
  type CheckpointFolder,
  listCheckpoints,
  removeCheckpoint,
  rotateCheckpoints,
  sweepStaging,
  verifyCheckpoint,
  writeCheckpoint,
} from "./checkpoints/checkpoint.ts";
export { lockOutput, type LockOutputOptions, type OutputLock } from "./checkpoints/output_lock.ts";
export type { CheckpointOptions } from "./checkpoints/run_checkpoints.ts";
export type { RunFacts } from "./checkpoints/run_facts.ts";
