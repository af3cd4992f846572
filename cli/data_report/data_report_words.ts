/**
 * The texts of a data report, in English for the terminal and in both languages for the page.
 *
 * In: nothing. Out: for each language a text, or a function of what it tells.
 */

import { describePlace, type RowLocation } from "../../data/records/jsonl_error.ts";
import type { Bilingual } from "../../train/track/bilingual.ts";
import { formatCount } from "../../train/track/format_units.ts";
import type { ShapeUse } from "../../data/examples/row_statistics.ts";
import type { Teach } from "../../data/examples/taught_turns.ts";
import type { Truncation } from "../../data/examples/truncation.ts";
import type { DataFacts, Lengths } from "./data_facts.ts";

/** How rows were split: drawn, or by a validation split of the dataset's own. */
export type HowSplit =
  | { readonly seed: number; readonly trainRatio: number }
  | { readonly validation: string };

/** What rows are too long for, and what becomes of them. */
interface Long {
  readonly maxLength: number;
  readonly truncation: Truncation;
}

const rowsThat = (count: number, one: string, many: string): string =>
  `${formatCount(count)} ${count === 1 ? `row ${one}` : `rows ${many}`}`;

const EN = {
  rows: "rows",
  training: "training",
  validation: "validation",
  cutRows: "cut rows",
  malformedRows: "malformed rows",
  inBoth: "in both parts",
  lengths: "Lengths",
  distributions: "Distributions",
  samples: "Sample rows",
  remarks: "Remarks",
  split: "Split",
  writtenBy: "Written by ortune",
  field: "Field",
  mean: "mean",
  /** @param name as in the terminal */
  quantile: (name: string): string => name,
  /** @param name a chat's role */
  role: (name: string): string =>
    ({
      system: "System prompt",
      user: "Question",
      assistant: "Answer",
      tool: "Tool result",
      prompt: "Prompt",
      completion: "Completion",
    })[name] ?? name,
  /** @param characters how many */
  thinking: (characters: string): string => `Thinking (${characters} characters)`,
  /** @param part of the split @param where in the source */
  sample: (part: "train" | "val", where: RowLocation): string =>
    `${part === "train" ? "Training" : "Validation"}, ${describePlace(where)}`,
  columns: (names: readonly string[]): string => `Columns: ${names.join(", ")}`,
  howSplit: (split: HowSplit): string =>
    "validation" in split
      ? `Validation: the dataset's own split ${split.validation}`
      : `Seed ${split.seed}, training part ${split.trainRatio}: the order is CPython's`,
  length: ({ name, unit }: Pick<Lengths, "name" | "unit">): string => `${name}, ${unit}`,
  cut: (count: number, { maxLength, truncation }: Long): string =>
    `${rowsThat(count, "is", "are")} longer than ${maxLength} tokens and would ${
      {
        right: "be cut",
        left: "lose their oldest turns or tokens",
        drop: "be left out",
        error: "stop training",
      }[truncation]
    }`,
  shape: ({ name, columns, rows }: ShapeUse): string =>
    `${rowsThat(rows, "is", "are")} read as ${name} (${columns.join(", ")})`,
  replies: (learned: number, unlearned: number, teach: Teach): string =>
    `${formatCount(learned)} replies are learned, ${formatCount(unlearned)} are read only` +
    (teach === "all" ? "" : ` (--teach ${teach})`),
  unlabelled: (count: number): string =>
    `${rowsThat(count, "is", "are")} cut before the answer: training refuses them`,
  noTokenizer: "token lengths are not known: give --model DIR with a tokenizer",
  withoutThinking: (count: number): string => `${rowsThat(count, "has", "have")} no thinking`,
  malformed: (count: number): string => `${rowsThat(count, "is", "are")} empty or malformed`,
  unread: "training does not read:",
  unreadField: (field: string, count: number): string =>
    `${field} (${rowsThat(count, "has", "have")} it)`,
  duplicates: (count: number): string => `${rowsThat(count, "stands", "stand")} in both parts`,
  duplicate: ({ train, val, same }: DataFacts["duplicates"][number]): string =>
    train.file === val.file
      ? `the ${same} of ${describePlace(val)} (validation) is that of ${
        describePlace(train)
      } (training)`
      : `the ${same} of ${val.file}, ${describePlace(val)} (validation) is that of ${train.file}, ${
        describePlace(train)
      } (training)`,
  repeated: (count: number): string => `${rowsThat(count, "repeats", "repeat")} an earlier one`,
  more: (count: number): string => `and ${count} more`,
};

const NAMES: Readonly<Record<string, string>> = {
  prompt: "问题",
  think: "思考",
  answer: "回答",
  "whole example": "整个样本",
  characters: "字符",
  tokens: "词元",
  row: "整行",
  question: "问题",
};

const ZH: typeof EN = {
  rows: "行",
  training: "训练",
  validation: "验证",
  cutRows: "被截断的行",
  malformedRows: "格式有误的行",
  inBoth: "同时在两部分",
  lengths: "长度",
  distributions: "分布",
  samples: "数据样例",
  remarks: "说明",
  split: "切分",
  writtenBy: "由 ortune 生成",
  field: "字段",
  mean: "平均",
  quantile: (name) => ({ min: "最小", median: "中位数", max: "最大" })[name] ?? name,
  role: (name) =>
    ({
      system: "系统提示词",
      user: "问题",
      assistant: "回答",
      tool: "工具结果",
      prompt: "提示",
      completion: "补全",
    })[name] ?? name,
  thinking: (characters) => `思考（${characters} 字）`,
  sample: (part, { line }) => `${part === "train" ? "训练" : "验证"}，第 ${line} 行`,
  columns: (names) => `列：${names.join("、")}`,
  howSplit: (split) =>
    "validation" in split
      ? `验证集：数据集自带的 ${split.validation}`
      : `随机种子 ${split.seed}，训练部分 ${split.trainRatio}：顺序与 CPython 相同`,
  length: ({ name, unit }) => `${NAMES[name] ?? name}，${NAMES[unit]}`,
  cut: (count, { maxLength, truncation }) =>
    `${formatCount(count)} 行超过 ${maxLength} 个词元，${
      {
        right: "会被截断",
        left: "会去掉最早的轮次或词元",
        drop: "会被丢弃",
        error: "训练会报错停止",
      }[truncation]
    }`,
  shape: ({ name, columns, rows }) =>
    `${formatCount(rows)} 行识别为 ${name}（${columns.join("、")}）`,
  replies: (learned, unlearned, teach) =>
    `学习 ${formatCount(learned)} 条回复，另有 ${formatCount(unlearned)} 条只作为上下文` +
    (teach === "all" ? "" : `（--teach ${teach}）`),
  unlabelled: (count) => `${formatCount(count)} 行在回答之前就被截断：训练会拒绝`,
  noTokenizer: "词元长度未知：请用 --model DIR 指定带 tokenizer 的模型",
  withoutThinking: (count) => `${formatCount(count)} 行没有思考`,
  malformed: (count) => `${formatCount(count)} 行为空或格式有误`,
  unread: "训练不读取：",
  unreadField: (field, count) => `${field}（${formatCount(count)} 行有）`,
  duplicates: (count) => `${formatCount(count)} 行同时出现在两部分`,
  duplicate: ({ train, val, same }) =>
    train.file === val.file
      ? `第 ${val.line} 行（验证）的${NAMES[same] ?? same}与第 ${train.line} 行（训练）相同`
      : `${val.file} 第 ${val.line} 行（验证）的${
        NAMES[same] ?? same
      }与 ${train.file} 第 ${train.line} 行（训练）相同`,
  repeated: (count) => `${formatCount(count)} 行与前面的行重复`,
  more: (count) => `另有 ${count} 条`,
};

/** The texts of one language. */
export type DataReportWords = typeof EN;

/** The texts by language. */
export const DATA_REPORT_WORDS = { en: EN, zh: ZH } as const;

/** A text in both languages. */
export function dataReportText(text: (words: DataReportWords) => string): Bilingual {
  return { en: text(EN), zh: text(ZH) };
}
