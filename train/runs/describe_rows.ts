/**
 * What a user should know of the rows that were read, in words. In: the report of a file. Out: a line
 * for each thing that is not as the user may think.
 */

import type { RowUnit } from "../../data/records/jsonl_error.ts";
import type { ReadExamplesReport } from "../../data/examples/read_examples_report.ts";
import { listFields } from "../../internal/json/field_table.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { plural } from "../../internal/plural.ts";

/** What the lines are of. */
export interface DescribeRowsOptions {
  readonly path: string;
  readonly args: Pick<TrainingArguments, "compat" | "emptyThink" | "teach">;
  readonly tokenizer: Pick<Tokenizer, "chatTemplate" | "idToToken">;
  /** Whether the rows are trained on, not only evaluated. */
  readonly training: boolean;
  /** What the file counts rows in. @default {"line"} */
  readonly unit?: RowUnit;
}

const SHOWN = 10;
const SHOWN_REASONS = 3;
const MAX_PROMPT = 60;

/** Line numbers in words, or those of rows, ten at most. */
export function describeLines(numbers: readonly number[], unit: RowUnit = "line"): string {
  const rest = numbers.length - SHOWN;
  return `${plural(numbers.length, unit)} ${numbers.slice(0, SHOWN).join(", ")}` +
    (rest > 0 ? ` and ${rest} more` : "");
}

/** The lines of one file, each with its path in front. */
export function describeRows(
  report: ReadExamplesReport,
  { path, args, tokenizer, training, unit }: DescribeRowsOptions,
): string[] {
  const lines = (numbers: readonly number[]): string => describeLines(numbers, unit);
  const said: string[] = [
    ...describeRefused(report, unit),
    ...describeUnread(report),
    ...training
      ? [...describeSystems(report), ...describeThinking(report, { args, tokenizer })]
      : [],
  ];
  const { unlearnedReplies, unlearned, tagged, trimmed, rows } = report;
  if (unlearnedReplies > 0) {
    const { teach = "all" } = args;
    const why = {
      all: "the rows mark them so, or they are empty",
      last: "they are not the last of their row (--teach last), marked so, or empty",
      marked: "the rows do not mark them as learned (--teach marked)",
    };
    said.push(
      `${unlearnedReplies} replies are read but not learned: ${why[teach]}` +
        (unlearned.length > 0 ? `; nothing is learned from ${lines(unlearned)}` : ""),
    );
  }
  if (tagged.length > 0) {
    said.push(
      `a <think> or </think> is left inside the thinking or the answer of ${tagged.length} of ${rows} rows ` +
        `(${lines(tagged)}) and taught as it stands; remove it unless that is meant`,
    );
  }
  if (trimmed.length > 0) {
    said.push(
      `the chat template drops the blanks around the reply of ${trimmed.length} of ${rows} rows ` +
        `(${
          lines(trimmed)
        }), such as an answer's first indentation; --chat-template gives another template`,
    );
  }
  return said.map((line) => `${path}: ${line}`);
}

/** What the rows of a file were found to be. */
export function describeShapes(
  { shapes, rows }: Pick<ReadExamplesReport, "shapes" | "rows">,
  path: string,
): string[] {
  return shapes.map(({ name, columns, rows: held }) =>
    `rows: ${held} of ${rows} of ${path} are read as ${name} (${listFields(columns)})`
  );
}

function describeRefused(
  { refused, refusedRows, rows }: ReadExamplesReport,
  unit: RowUnit = "line",
): string[] {
  if (refusedRows === 0) return [];
  const reasons = refused.slice(0, SHOWN_REASONS).map(({ line, reason }) =>
    `${unit} ${line}: ${reason}`
  );
  return [
    `${refusedRows} of ${rows} rows are left out (--drop-refused-rows): ${reasons.join("; ")}` +
    (refusedRows > SHOWN_REASONS
      ? `; and ${refusedRows - SHOWN_REASONS} more, in report.html`
      : ""),
  ];
}

function describeUnread({ unread, rows }: ReadExamplesReport): string[] {
  const count = (held: number): string => `${held} of ${rows} rows`;
  const unknown = unread.filter(({ remedy }) => remedy === undefined);
  const said = unread.filter(({ remedy }) => remedy !== undefined)
    .map(({ remedy, rows: held }) => `${remedy} (${count(held)})`);
  if (unknown.length === 0) return said;
  const names = unknown.slice(0, SHOWN).map(({ field, rows: held }) =>
    `${listFields([field])} (${count(held)})`
  );
  const more = unknown.length - SHOWN;
  return [
    ...said,
    `not read: ${names.join(", ")}${
      more > 0 ? ` and ${more} more` : ""
    }; --columns names a column that belongs to the chat`,
  ];
}

function describeSystems(
  { systems, otherSystems, rows, refusedRows }: ReadExamplesReport,
): string[] {
  const used = rows - refusedRows;
  if (systems.every(({ text }) => text === "") && otherSystems === 0) return [];
  const shown = systems.map(({ text, rows: held }) =>
    `${held} of ${used} rows ${text === "" ? "none" : JSON.stringify(cut(text))}`
  );
  return [
    `system prompt of ${shown.join(", ")}${otherSystems > 0 ? `, ${otherSystems} others` : ""}; ` +
    `inference and serve send ${
      shown.length + otherSystems > 1 ? "that of most rows" : "it"
    }, other clients must`,
  ];
}

function describeThinking(
  { replies, withoutThinking }: ReadExamplesReport,
  { args, tokenizer }: Pick<DescribeRowsOptions, "args" | "tokenizer">,
): string[] {
  const writes = tokenizer.chatTemplate?.includes("<think>") && args.compat !== "seed";
  if (withoutThinking === 0 || !writes) return [];
  const { emptyThink = "teach" } = args;
  const ways: Readonly<Record<string, string>> = {
    teach: "the empty thinking block is taught; --empty-think prompt or omit leaves it out",
    prompt: "their empty thinking block stands in the prompt (--empty-think prompt)",
    omit: "they have no thinking block at all (--empty-think omit)",
  };
  return [`${withoutThinking} of ${replies} replies have no thinking: ${ways[emptyThink]}`];
}

function cut(text: string): string {
  return text.length > MAX_PROMPT ? `${text.slice(0, MAX_PROMPT).toWellFormed()}…` : text;
}
