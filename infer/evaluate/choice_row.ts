/**
 * Rows of choice files as MMLU, C-Eval and CMB have them.
 *
 * In: one JSON object. Out: the question as it is asked, its options and the letters of the right ones; `undefined`
 * for any other row, which is then read as a row to train on is.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { listFields } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { parseText } from "../../data/records/field_values.ts";
import { JsonlError, type RowLocation } from "../../data/records/jsonl_error.ts";
import type { QuestionRecord } from "../../data/records/record_types.ts";
import type { Choice } from "./metric.ts";
import { isChinese } from "./text_tokens.ts";

/** A question of a choice file. */
export interface ChoiceRow {
  /** As it is asked, with its options and what is to be answered; its answer is the right letters. */
  readonly record: QuestionRecord;
  readonly choice: Choice;
}

const LETTERS = "ABCDEFGHIJ";
/** What CMB calls a question with several right options. */
const SEVERAL = /多项|多选|multiple/i;

/** What is asked below the options, of one right option and of several, as MMLU's and C-Eval's harnesses do. */
const ASK = {
  en: [
    "Answer with the letter of the right option.",
    "Answer with the letters of all right options.",
  ],
  zh: ["请回答正确选项的字母。", "请回答所有正确选项的字母。"],
} as const;

/**
 * Reads a row of a choice file: `question`, the options in `choices` (a list, MMLU's), in `option` or `options`
 * (by letters, CMB's) or in `A`, `B`, … (C-Eval's), and `answer` or `answer_idx`: letters, or the place in the
 * list from 0.
 *
 * @throws {JsonlError} where such a row lacks an answer, or has one that is no option
 *
 * @example
 * ```ts
 * import { parseChoiceRow } from "./choice_row.ts";
 * import assert from "node:assert/strict";
 *
 * const where = { file: "test.csv", line: 2 };
 * const row = parseChoiceRow({ question: "1 + 1?", choices: ["1", "2"], answer: 1 }, where)!;
 * assert.equal(row.choice.right, "B");
 * assert.equal(
 *   row.record.question,
 *   "1 + 1?\n\nA. 1\nB. 2\n\nAnswer with the letter of the right option.",
 * );
 * assert.equal(parseChoiceRow({ question: "1 + 1?", answer: "2" }, where), undefined);
 * ```
 */
export function parseChoiceRow(
  row: Readonly<Record<string, unknown>>,
  where: RowLocation,
): ChoiceRow | undefined {
  const names = new Map(Object.keys(row).map((name) => [name.toLowerCase(), name]));
  const valueOf = (name: string): unknown => row[names.get(name) ?? name];
  const options = optionsOf(row, valueOf);
  if (options === undefined || typeof valueOf("question") !== "string") return undefined;
  const field = names.get("question")!;
  const asked = parseText(row[field], where, field);
  const answerField = names.get("answer_idx") ?? names.get("answer") ?? "answer";
  const right = rightLetters(row[answerField], options, { ...where, field: answerField });
  const several = SEVERAL.test(String(valueOf("question_type") ?? "")) || right.length > 1;
  const list = Object.entries(options).map(([letter, text]) => `${letter}. ${text}`).join("\n");
  const ask = ASK[isChinese(asked) ? "zh" : "en"][Number(several)];
  const question = `${asked.trim()}\n\n${list}\n\n${ask}`;
  return {
    record: { kind: "question", question, think: null, answer: right },
    choice: { options, right },
  };
}

/** The options by their letters; those that are empty are none. */
function optionsOf(
  row: Readonly<Record<string, unknown>>,
  valueOf: (name: string) => unknown,
): Readonly<Record<string, string>> | undefined {
  const [listed] = ["choices", "options", "option"].map(valueOf).filter((value) =>
    Array.isArray(value) || isRecord(value)
  );
  const found = Array.isArray(listed)
    ? listed.map((text, i): [string, unknown] => [LETTERS[i], text])
    : Object.entries(listed ?? row).filter(([name]) => name.length === 1 && LETTERS.includes(name));
  const texts = found.filter((entry): entry is [string, string] =>
    entry[0] !== undefined && typeof entry[1] === "string" && entry[1].trim() !== ""
  );
  return texts.length < 2 ? undefined : Object.fromEntries(texts.toSorted());
}

/** The letters of an answer, each once and in order. */
function rightLetters(
  answer: unknown,
  options: Readonly<Record<string, string>>,
  place: RowLocation & { readonly field: string },
): string {
  const letters = Object.keys(options);
  const index = typeof answer === "bigint" ? Number(answer) : answer;
  if (typeof index === "number" && letters[index] !== undefined) return letters[index];
  if (typeof answer === "string") {
    const text = answer.trim();
    if (/^\d$/.test(text) && letters[Number(text)] !== undefined) return letters[Number(text)];
    const named = text.toUpperCase().split(/[\s,、，;；]*/).filter((letter) => letter !== "");
    if (named.length > 0 && named.every((letter) => letters.includes(letter))) {
      return [...new Set(named)].sort().join("");
    }
  }
  throw new JsonlError(
    place,
    `expected one or several of the options ${
      listFields(letters)
    }, or the place of one from 0, got ` +
      `${
        answer === undefined ? "nothing" : describeValue(answer)
      }; a split without answers cannot be ` +
      "scored",
  );
}
