/**
 * What a console says of a run, in English and Chinese.
 *
 * In: a language. Out: words, and sentences of numbers that are written already. Names that Hugging Face's logs
 * have, such as loss and lr, are the same in both.
 */

import { type BestMetric, generatedNames, METRIC_NAMES } from "../best_evaluation.ts";
import type { EndEvent, StartEvent } from "../events.ts";

/** Languages of terminals. */
export type TerminalLanguage = "en" | "zh";

/** What is said in one of them. */
export interface ConsoleWords {
  readonly method: Readonly<Record<StartEvent["method"], string>>;
  readonly reason: Readonly<Record<EndEvent["reason"], string>>;
  readonly metric: Readonly<Record<BestMetric, string>>;
  readonly comma: string;
  readonly steps: (count: string) => string;
  readonly epochs: (count: string) => string;
  readonly examples: (count: string) => string;
  readonly forEvaluation: (count: string) => string;
  readonly trainable: (count: string) => string;
  readonly resumed: (step: number) => string;
  readonly step: (step: string) => string;
  readonly epoch: (epoch: string) => string;
  readonly evaluated: (count: string, time: string) => string;
  readonly bestSoFar: string;
  readonly saved: (directory: string) => string;
  readonly size: (bytes: string, time: string) => string;
  readonly waited: (time: string) => string;
  readonly skipped: (loss: string) => string;
  readonly inARow: (count: number) => string;
  readonly ended: (reason: string, step: string) => string;
  readonly trainLoss: (loss: string) => string;
  readonly best: (metric: string, value: string, step: number) => string;
  readonly sample: (number: string) => string;
  readonly estimate: (seconds: string, time: string) => string;
}

/** Words by language. */
export const CONSOLE_WORDS: Readonly<Record<TerminalLanguage, ConsoleWords>> = {
  en: {
    method: { full: "full fine-tuning: ", lora: "LoRA fine-tuning: " },
    reason: { completed: "completed", "early-stopped": "early-stopped", aborted: "aborted" },
    metric: METRIC_NAMES,
    comma: ", ",
    steps: (count) => `${count} steps`,
    epochs: (count) => `${count} ${count === "1" ? "epoch" : "epochs"}`,
    examples: (count) => `${count} examples`,
    forEvaluation: (count) => `${count} for evaluation`,
    trainable: (count) => `${count} trainable parameters`,
    resumed: (step) => `resumed after step ${step}`,
    step: (step) => `step ${step}`,
    epoch: (epoch) => `epoch ${epoch}`,
    evaluated: (count, time) => `${count} examples in ${time}`,
    bestSoFar: "best so far",
    saved: (directory) => `saved ${directory}`,
    size: (bytes, time) => `${bytes} in ${time}`,
    waited: (time) => `training waited ${time}`,
    skipped: (loss) => `update skipped: loss ${loss}`,
    inARow: (count) => `${count} in a row`,
    ended: (reason, step) => `${reason} at step ${step}`,
    trainLoss: (loss) => `train loss ${loss}`,
    best: (metric, value, step) => `best ${metric} ${value} at step ${step}`,
    sample: (number) => `sample ${number}`,
    estimate: (seconds, time) =>
      `an update takes ${seconds} s: about ${time} to go, evaluation and checkpoints left out`,
  },
  zh: {
    method: { full: "全参数微调：", lora: "LoRA 微调：" },
    reason: { completed: "已完成", "early-stopped": "已提前停止", aborted: "已中止" },
    metric: {
      eval_loss: "评估 loss",
      eval_token_loss: "每 token 评估 loss",
      "eval_rewards/accuracies": "评估 accuracy",
      "eval_rewards/margins": "评估 margin",
      ...generatedNames("zh"),
    },
    comma: "，",
    steps: (count) => `共 ${count} 步`,
    epochs: (count) => `${count} 轮`,
    examples: (count) => `${count} 条训练样本`,
    forEvaluation: (count) => `${count} 条评估样本`,
    trainable: (count) => `${count} 个可训练参数`,
    resumed: (step) => `从第 ${step} 步之后继续`,
    step: (step) => `步 ${step}`,
    epoch: (epoch) => `轮 ${epoch}`,
    evaluated: (count, time) => `${count} 条样本，用时 ${time}`,
    bestSoFar: "目前最佳",
    saved: (directory) => `已保存 ${directory}`,
    size: (bytes, time) => `${bytes}，用时 ${time}`,
    waited: (time) => `训练等待 ${time}`,
    skipped: (loss) => `跳过本次更新：loss ${loss}`,
    inARow: (count) => `连续 ${count} 次`,
    ended: (reason, step) => `${reason}，步 ${step}`,
    trainLoss: (loss) => `训练 loss ${loss}`,
    best: (metric, value, step) => `最佳${metric} ${value}（步 ${step}）`,
    sample: (number) => `样例 ${number}`,
    estimate: (seconds, time) =>
      `每次更新 ${seconds} 秒：大约还需 ${time}，不含评估和保存 checkpoint 的时间`,
  },
};
