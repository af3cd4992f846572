/**
 * The texts of a comparison of exports: English in the terminal, both languages on the page.
 *
 * In: nothing. Out: for each language a text, or a function of what it tells.
 */

import type { Bilingual } from "../../train/track/bilingual.ts";
import { formatCount } from "../../train/track/format_units.ts";
import type { ComparedExport } from "./compared_exports.ts";

const EN = {
  title: (checkpoint: string): string => `Exports of ${checkpoint}`,
  exports: "exports",
  parameters: "parameters",
  checkpointPerplexity: "perplexity of the checkpoint",
  smallest: "the smallest",
  figures: "Figures",
  model: "model",
  checkpoint: "checkpoint, in float32",
  size: "size",
  bits: "bits/weight",
  perplexity: "perplexity",
  change: "change",
  logits: "logits: most, mean",
  likeliest: "likeliest same",
  greedy: "greedy same",
  llama: "llama.cpp",
  agrees: "agrees",
  template: "template differs",
  tokens: (same: number, all: number): string => `tokens of ${same} of ${all} texts`,
  ends: (same: number, all: number): string => `${same} of ${all} ends`,
  notCompared: ({ format }: Pick<ComparedExport, "format">): string =>
    format === "gguf"
      ? "not compared: export again with --verify"
      : "not compared: export again without --no-parity",
  legend: (textTokens: number, prompts: number, greedyTokens: number): string =>
    `Perplexity is of ${
      formatCount(textTokens)
    } tokens of a text. Logits are compared after each token of ` +
    `${prompts} prompts, as differences to the checkpoint’s, and ${greedyTokens} greedy tokens after each ` +
    "prompt up to the first that differs. Bits a weight count all files of an export; the checkpoint’s weights " +
    "as they lie, which are computed with in float32.",
  legendLlama:
    "Of GGUF files llama.cpp also tells whether the chat template, the tokens of texts, and the " +
    "tokens that end a reply are the checkpoint’s.",
  chart: "What size costs",
  chartSize: (unit: string): string => `size, ${unit}`,
  chartChange: "perplexity: % more than the checkpoint’s",
  replies: "What they go on with",
  repliesLegend: "Marked: what the checkpoint does not say there. No token ends a reply here.",
  prompt: "Prompt",
  saidByCheckpoint: "Checkpoint",
  same: "Word for word the same",
  sameTokens: (same: number, all: number): string => `first ${same} of ${all} tokens the same`,
  writtenBy: "Written by ortune; nothing is sent anywhere",
};

const ZH: typeof EN = {
  title: (checkpoint) => `${checkpoint} 的导出`,
  exports: "个导出",
  parameters: "参数量",
  checkpointPerplexity: "checkpoint 的困惑度",
  smallest: "最小",
  figures: "数据",
  model: "模型",
  checkpoint: "checkpoint（float32）",
  size: "大小",
  bits: "位/权重",
  perplexity: "困惑度",
  change: "变化",
  logits: "logits 之差：最大、平均",
  likeliest: "最可能 token 相同",
  greedy: "贪心解码相同",
  llama: "llama.cpp",
  agrees: "一致",
  template: "模板不同",
  tokens: (same, all) => `${all} 段文本中 ${same} 段 token 相同`,
  ends: (same, all) => `${all} 个结束 token 中 ${same} 个相同`,
  notCompared: ({ format }) =>
    format === "gguf" ? "未比较：导出时加 --verify" : "未比较：导出时去掉 --no-parity",
  legend: (textTokens, prompts, greedyTokens) =>
    `困惑度在一段 ${
      formatCount(textTokens)
    } 个 token 的文本上计算。logits 为 ${prompts} 个提示的每个 token 之后与 ` +
    `checkpoint 之差；每个提示之后贪心解码 ${greedyTokens} 个 token，比较到第一个不同处。每权重位数包括一个导出的全部文件；checkpoint 则为其存储的权重，计算时用 float32。`,
  legendLlama:
    "对 GGUF 文件，llama.cpp 还比较对话模板、文本的 token 和结束回答的 token 是否与 checkpoint 一致。",
  chart: "大小与代价",
  chartSize: (unit) => `大小（${unit}）`,
  chartChange: "困惑度比 checkpoint 高 %",
  replies: "续写",
  repliesLegend: "标记处为 checkpoint 中没有的内容。此处没有 token 会结束回答。",
  prompt: "提示",
  saidByCheckpoint: "Checkpoint",
  same: "逐字相同",
  sameTokens: (same, all) => `${all} 个 token 中前 ${same} 个相同`,
  writtenBy: "由 ortune 生成；不向任何地方发送数据",
};

/** The words of a comparison of exports. */
export type ExportsWords = typeof EN;

/** A text in both languages. */
export function exportsText(choose: (words: ExportsWords) => string): Bilingual {
  return { en: choose(EN), zh: choose(ZH) };
}
