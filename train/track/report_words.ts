/**
 * The texts of a run's report, in English and Chinese.
 *
 * In: nothing. Out: each text by its name, or a function of what it tells.
 */

import { type MetricName, metricNames, metrics } from "../../infer/evaluate/metrics.ts";
import type { EndEvent } from "../events.ts";
import type { Bilingual } from "./bilingual.ts";

const word = (en: string, zh: string): Bilingual => ({ en, zh });

/** The texts by their names. */
export const REPORT_WORDS = {
  run: word("Run", "运行"),
  curves: word("Curves", "曲线"),
  evaluations: word("Evaluations", "评估"),
  samples: word("Samples", "样例"),
  notes: word("Notes", "说明"),
  versions: word("Versions", "版本"),
  system: word("system", "系统"),
  writtenBy: word("Written by ortune", "由 ortune 生成"),
  status: word("Status", "状态"),
  started: word("Started", "开始时间"),
  ended: word("Ended", "结束时间"),
  model: word("Model", "模型"),
  method: word("Method", "方法"),
  full: word("full", "全参数微调"),
  device: word("Device", "设备"),
  parameters: word("Parameters", "参数量"),
  trainable: word("Trainable parameters", "可训练参数量"),
  trainingRows: word("Training rows", "训练数据行数"),
  validationRows: word("Validation rows", "验证数据行数"),
  trainingTokens: word("Training tokens", "训练词元数"),
  epochs: word("Epochs", "轮次"),
  steps: word("Steps", "步数"),
  time: word("Time", "用时"),
  speed: word("Speed", "速度"),
  peakMemory: word("Peak memory", "内存峰值"),
  loggedMemory: word("Most memory logged", "日志中的最大内存"),
  meanLoss: word("Mean training loss", "平均训练损失"),
  lastLoss: word("Last training loss", "最后的训练损失"),
  evalLoss: word("Eval loss", "验证损失"),
  lastEvalLoss: word("Last eval loss", "最后的验证损失"),
  bestEvalLoss: word("Best eval loss", "最低验证损失"),
  perToken: word("Per token", "按词元平均"),
  lastPerToken: word("Last eval loss, per token", "最后的验证损失，按词元平均"),
  perplexity: word("Perplexity", "困惑度"),
  checkpoint: word("Checkpoint", "Checkpoint"),
  command: word("Command", "命令"),
  step: word("Step", "步数"),
  epoch: word("Epoch", "轮次"),
  examples: word("Examples", "样本数"),
  question: word("Question", "问题"),
  answer: word("Answer", "回答"),
  reference: word("Reference answer", "参考答案"),
  lossBy: word("Loss by", "横轴"),
  byStep: word("step", "步数"),
  byEpoch: word("epoch", "轮次"),
  byShare: word("% of the run", "运行进度 %"),
  lossCaption: word(
    "Mean loss per supervised token, for training and evaluation alike. The eval loss below is Hugging " +
      "Face’s eval_loss: the mean over examples of each example’s mean.",
    "训练与验证均按监督词元平均。下表的“验证损失”即 Hugging Face 的 eval_loss：先求每个样本的均值，再对样本平均。",
  ),
} as const satisfies Readonly<Record<string, Bilingual>>;

/** How a run ended. */
export const STATUS_WORDS: Readonly<Record<EndEvent["reason"], Bilingual>> = {
  completed: word("finished", "已完成"),
  "early-stopped": word("finished: stopped early", "已完成：提前停止"),
  aborted: word("aborted", "已中断"),
};

/** Texts within the charts, by what the charts write. */
export const CHART_WORDS: readonly Bilingual[] = [
  word("Loss", "损失"),
  word("Learning rate", "学习率"),
  word("Gradient norm", "梯度范数"),
  word("Tokens a second", "词元/秒"),
  word("Memory", "内存"),
  word("train", "训练"),
  word("train (raw)", "训练（原始）"),
  word("train (moving mean)", "训练（移动平均）"),
  word("evaluation, per token", "验证，按词元平均"),
  word("loss", "损失"),
  word("no figures", "没有数据"),
  REPORT_WORDS.byStep,
  REPORT_WORDS.byEpoch,
  REPORT_WORDS.byShare,
  ...metricNames.map(measureWords),
];

/** What a measure of generated replies is called. */
export function measureWords(name: MetricName): Bilingual {
  const { en, zh } = metrics[name].title;
  return word(`Replies: ${en}`, `回答：${zh}`);
}

/** The heading of a sample. */
export function sampleWords(index: number, step: number | undefined): Bilingual {
  const [number, at] = [index + 1, step];
  return at === undefined
    ? word(`Sample ${number}`, `样例 ${number}`)
    : word(`Sample ${number}, step ${at}`, `样例 ${number}，第 ${at} 步`);
}

/** The line that opens a sample's thinking. */
export function thinkingWords(characters: string): Bilingual {
  return word(`Thinking (${characters} characters)`, `思考（${characters} 字）`);
}

/** A figure and the update it is of. */
export function figureAt(figure: string, step: number): Bilingual {
  return word(`${figure} at step ${step}`, `${figure}（第 ${step} 步）`);
}
