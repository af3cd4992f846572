/**
 * What commands say when a run begins and ends, in the terminal's language.
 *
 * In: a language. Out: sentences. Notes, warnings and errors are English in both, so that they can be searched
 * for.
 */

import type { TerminalLanguage } from "../../train/track/console_words.ts";

/** What is said in one language. */
export interface RunWords {
  readonly wrote: (model: string, records: number, data: string) => string;
  readonly stopping: (training: boolean) => string;
  readonly nothingTrained: (command: string) => string;
  readonly wentBack: (checkpoint: string) => string;
  readonly curves: (files: string) => string;
  readonly noCheckpoint: string;
  readonly ask: (command: string) => string;
  readonly weightsOnly: (checkpoint: string) => string;
  readonly goOn: (command: string) => string;
  readonly verbatim: string;
  readonly notVerbatim: string;
}

/** Words by language. */
export const RUN_WORDS: Readonly<Record<TerminalLanguage, RunWords>> = {
  en: {
    wrote: (model, records, data) =>
      `wrote a Qwen3 with random weights to ${model} and ${records} records to ${data}`,
    stopping: (training) =>
      `stopping${training ? " after this update" : ""}; again to quit at once`,
    nothingTrained: (command) => `nothing was trained yet; to start again: ${command}`,
    wentBack: (checkpoint) => `went back to the weights of the best evaluation: ${checkpoint}`,
    curves: (files) => `curves and report: ${files}`,
    noCheckpoint: "no checkpoint was saved: --save-strategy is no",
    ask: (command) => `ask it yourself: ${command}`,
    weightsOnly: (checkpoint) =>
      `its weights can be trained further with --model ${checkpoint}; --save-only-model keeps no more`,
    goOn: (command) => `to go on: ${command}`,
    verbatim: "That is the record it was trained on, word for word.",
    notVerbatim: "Not yet the record.",
  },
  zh: {
    wrote: (model, records, data) =>
      `已把随机权重的 Qwen3 写入 ${model}，并把 ${records} 条数据写入 ${data}`,
    stopping: (training) => `${training ? "本次更新完成后停止" : "正在停止"}；再按一次立即退出`,
    nothingTrained: (command) => `还没有训练任何内容；重新开始：${command}`,
    wentBack: (checkpoint) => `已恢复到评估最佳的权重：${checkpoint}`,
    curves: (files) => `曲线和报告：${files}`,
    noCheckpoint: "没有保存 checkpoint：--save-strategy 为 no",
    ask: (command) => `自己提问试试：${command}`,
    weightsOnly: (checkpoint) =>
      `可用 --model ${checkpoint} 继续训练这些权重；--save-only-model 不保留其他状态`,
    goOn: (command) => `继续训练：${command}`,
    verbatim: "与训练数据中的记录一字不差。",
    notVerbatim: "与训练数据中的记录还不一致。",
  },
};
