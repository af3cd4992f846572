/**
 * The texts of a preview, in English for the terminal and in both languages for the page.
 *
 * In: nothing. Out: for each language a text, or a function of what it tells.
 */

import type { Bilingual } from "../../train/track/bilingual.ts";
import { formatCount } from "../../train/track/format_units.ts";
import { describePlace } from "../../data/records/jsonl_error.ts";
import type { Preview, PreviewExample, PreviewRow } from "./preview_rows.ts";
import { plural } from "../../internal/plural.ts";

const EN = {
  rows: "rows",
  examples: "examples",
  tokens: "tokens",
  taught: "taught",
  refused: "refused rows",
  search: "Search rows",
  none: "No row has this text.",
  legend:
    "What is green and underlined is taught; the rest is read only. Point at a token for its id.",
  thinking: "Thinking",
  writtenBy: "Written by ortune; nothing is sent anywhere",
  first: ({ rows, more }: Preview): string =>
    more
      ? `the first ${
        rows.length === 1 ? "row" : `${formatCount(rows.length)} rows`
      }; --preview-rows shows more`
      : "all rows",
  row: ({ file, line, unit, shape }: PreviewRow): string =>
    (file === undefined
      ? `${unit === "row" ? "Row" : "Line"} ${line}`
      : `${file}, ${describePlace({ line, unit })}`) +
    (shape ? `: ${shape.name} (${shape.columns.join(", ")})` : ""),
  example: ({ tokens, taught, truncatedTokens, end, half }: PreviewExample): string =>
    (half === undefined ? "" : `${half}: `) +
    `${formatCount(tokens)} tokens, ${formatCount(taught)} taught; ` +
    (end === undefined ? "its end is not taught" : `ends with ${end}`) +
    (truncatedTokens > 0 ? `; ${formatCount(truncatedTokens)} tokens are cut` : ""),
  nothing: "nothing of it is learned",
  unread: (fields: readonly string[]): string => `not read: ${fields.join("; ")}`,
  block: (role: string, tokens: number): string =>
    `${role} · ${formatCount(tokens)} ${plural(tokens, "token")}`,
};

const ROLES: Readonly<Record<string, string>> = {
  system: "系统",
  user: "用户",
  assistant: "助手",
  tool: "工具",
  prompt: "提示",
  completion: "补全",
};

const ZH: typeof EN = {
  rows: "行",
  examples: "样本",
  tokens: "词元",
  taught: "学习",
  refused: "被拒绝的行",
  search: "搜索数据",
  none: "没有哪一行包含这段文字。",
  legend: "绿色并带下划线的是学习的内容，其余只作为上下文。指向一个词元可以看到它的编号。",
  thinking: "思考",
  writtenBy: "由 ortune 生成；不会发送任何内容",
  first: ({ rows, more }) =>
    more ? `前 ${formatCount(rows.length)} 行；--preview-rows 可以显示更多` : "全部数据",
  row: ({ file, line, shape }) =>
    (file === undefined ? "" : `${file}，`) +
    `第 ${line} 行` + (shape ? `：${shape.name}（${shape.columns.join("、")}）` : ""),
  example: ({ tokens, taught, truncatedTokens, end, half }) =>
    (half === undefined ? "" : half === "chosen" ? "偏好的回复：" : "被拒绝的回复：") +
    `${formatCount(tokens)} 个词元，学习 ${formatCount(taught)} 个；` +
    (end === undefined ? "没有学习结束符" : `以 ${end} 结束`) +
    (truncatedTokens > 0 ? `；截去 ${formatCount(truncatedTokens)} 个词元` : ""),
  nothing: "其中没有要学习的内容",
  unread: (fields) => `不读取：${fields.join("；")}`,
  block: (role, tokens) => `${ROLES[role] ?? role} · ${formatCount(tokens)} 个词元`,
};

/** The texts of one language. */
export type PreviewWords = typeof EN;

/** The texts in English. */
export const PREVIEW_WORDS: PreviewWords = EN;

/** A text in both languages. */
export function previewText(text: (words: PreviewWords) => string): Bilingual {
  return { en: text(EN), zh: text(ZH) };
}
