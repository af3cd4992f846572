/**
 * The texts of an evaluation: English in the terminal, both languages on the page.
 *
 * In: nothing. Out: for each language a text, or a function of what it tells.
 */

import type { Bilingual } from "../../train/track/bilingual.ts";
import { formatCount } from "../../train/track/format_units.ts";

const EN = {
  rows: "rows",
  models: "models",
  measures: "Measures",
  measure: "measure",
  better: { higher: "higher is better", lower: "lower is better", none: "" },
  difference: (base: string): string => `difference to ${base}`,
  outcome: "better / worse / same",
  interval: (resamples: number): string =>
    `In brackets 95 % intervals by ${
      formatCount(resamples)
    } bootstrap draws of the rows; of differences over ` +
    "the same draws. Bold where an interval leaves 0 out.",
  rowsTitle: "Rows",
  search: "Search rows",
  sort: "Sort by",
  place: "place in the file",
  ascending: "lowest first",
  descending: "highest first",
  show: "Show",
  all: "all rows",
  wins: "better than the first model",
  losses: "worse than the first model",
  wrong: "wrong by choice or exact match",
  none: "No row is like that.",
  question: "Question",
  reference: "Reference",
  thinking: "Thinking",
  judged: "What the judge wrote",
  cut: "cut at the limit",
  legend: "Marked: what the reference does not have there.",
  left: (rows: number): string =>
    `Only the first ${formatCount(rows)} rows are shown; scores.json has all.`,
  writtenBy: "Written by ortune; nothing is sent anywhere",
};

const ZH: typeof EN = {
  rows: "行",
  models: "模型",
  measures: "指标",
  measure: "指标",
  better: { higher: "越高越好", lower: "越低越好", none: "" },
  difference: (base) => `与 ${base} 之差`,
  outcome: "更好 / 更差 / 相同",
  interval: (resamples) =>
    `括号内为对各行做 ${
      formatCount(resamples)
    } 次自助重采样得到的 95 % 区间；差值使用相同的采样。区间不含 0 时加粗。`,
  rowsTitle: "各行",
  search: "搜索",
  sort: "排序",
  place: "文件中的位置",
  ascending: "从低到高",
  descending: "从高到低",
  show: "显示",
  all: "全部",
  wins: "优于第一个模型",
  losses: "不如第一个模型",
  wrong: "选择或完全一致为错",
  none: "没有这样的行。",
  question: "问题",
  reference: "参考回答",
  thinking: "思考",
  judged: "评审的话",
  cut: "到达长度上限被截断",
  legend: "标记处为参考回答中没有的内容。",
  left: (rows) => `仅显示前 ${formatCount(rows)} 行；全部见 scores.json。`,
  writtenBy: "由 ortune 生成；不向任何地方发送数据",
};

/** The words of an evaluation. */
export type EvalWords = typeof EN;

/** A text in both languages. */
export function evalText(choose: (words: EvalWords) => string): Bilingual {
  return { en: choose(EN), zh: choose(ZH) };
}
