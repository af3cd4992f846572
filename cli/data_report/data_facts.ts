/**
 * What a split dataset is like.
 *
 * In: rows, one by one, each with its part, and optionally a tokenizer. Out: lengths of prompt, think
 * and answer, rows that training would cut or refuse, and rows that stand in both parts.
 */

import { createHash } from "node:crypto";
import { encodeRecord } from "../../data/examples/encode_record.ts";
import { taughtTurns, type Teach } from "../../data/examples/taught_turns.ts";
import type { EmptyThink } from "../../data/examples/to_examples.ts";
import type { Truncation } from "../../data/examples/truncation.ts";
import { JsonlError, type RowLocation } from "../../data/records/jsonl_error.ts";
import { formatPythonJson, toPlainJson } from "../../internal/json/python_json.ts";
import type { PythonJson } from "../../internal/json/python_json.ts";
import { messageText } from "../../data/text/message_text.ts";
import type { ReplyRecord, TextRecord } from "../../data/records/record_types.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import { parseRecord, recordsOf, toMessages } from "../../data/records/record.ts";
import {
  type RowStatistics,
  RowStatisticsCollector,
  type ShapeUse,
  type UnreadField,
} from "../../data/examples/row_statistics.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";

/** Rows of each part that are shown. */
const SAMPLES: Readonly<Record<Part, number>> = { train: 3, val: 2 };

/** A part of the split. */
export type Part = "train" | "val";

/** Lengths of one field over all rows. */
export interface Lengths {
  readonly name: string;
  readonly unit: "characters" | "tokens";
  readonly values: readonly number[];
}

/** What one speaks in a row, or one of the two texts of a row without a chat. */
export interface SampleText {
  /** A chat's role, `prompt` or `completion`. */
  readonly role: string;
  readonly text: string;
  readonly think?: string;
}

/** A row as training reads it. */
export interface SampleRow {
  readonly part: Part;
  readonly where: RowLocation;
  readonly texts: readonly SampleText[];
}

/** What {@linkcode createDataFacts} collects. */
export interface DataFacts {
  readonly rows: Readonly<Record<Part, number>>;
  readonly lengths: readonly Lengths[];
  /** Longest example in tokens that training takes; `undefined` without a tokenizer. */
  readonly maxLength: number | undefined;
  /** What becomes of rows with an example that is longer. */
  readonly truncation: Truncation;
  /** How many they are. */
  readonly cut: number;
  /** Rows that are cut before an answer begins. */
  readonly unlabelled: number;
  /** Which replies are learned. */
  readonly teach: Teach;
  /** How many are. */
  readonly replies: number;
  /** Replies that are part of prompts only. */
  readonly unlearnedReplies: number;
  /** What the rows were found to be. */
  readonly shapes: readonly ShapeUse[];
  /** Rows without thinking. */
  readonly withoutThinking: number;
  /** `file:line:field: problem` of rows that training would refuse, in order of their lines. */
  readonly problems: readonly string[];
  /** Rows of the source that, or whose question, stand in the other part as well. */
  readonly duplicates: readonly {
    readonly train: RowLocation;
    readonly val: RowLocation;
    readonly same: string;
  }[];
  /** Rows that stand twice or more, anywhere. */
  readonly repeated: number;
  /** The first rows of each part that training takes. */
  readonly samples: readonly SampleRow[];
  /** Columns and fields of messages that training does not read, with the rows that hold them. */
  readonly unread: readonly UnreadField[];
}

/** Options of {@linkcode createDataFacts}. */
export interface DataFactsOptions {
  readonly tokenizer?: Tokenizer;
  readonly maxLength: number;
  readonly system?: string;
  /** @default as well-known data sets name them */
  readonly columns?: RowColumns;
  /** @default "teach" */
  readonly emptyThink?: EmptyThink;
  /** @default "all" */
  readonly teach?: Teach;
  /** @default "right" */
  readonly truncation?: Truncation;
}

/** Collects facts row by row; rows for training come before those for validation. */
export function createDataFacts(
  {
    tokenizer,
    maxLength,
    system,
    columns,
    emptyThink,
    teach = "all",
    truncation = "right",
  }: DataFactsOptions,
): { add(row: Map<string, PythonJson>, where: RowLocation, part: Part): void; facts(): DataFacts } {
  const rows = { train: 0, val: 0 };
  const units = tokenizer === undefined
    ? ["characters"] as const
    : ["characters", "tokens"] as const;
  const lengths = units.flatMap((unit) =>
    ["prompt", "think", "answer", ...(unit === "tokens" ? ["whole example"] : [])].map((name) => ({
      name,
      unit,
      values: [] as number[],
    }))
  );
  const keep = (unit: string, values: readonly number[]): void => {
    lengths.filter((one) => one.unit === unit).forEach((one, index) =>
      one.values.push(values[index])
    );
  };
  const problems: { where: RowLocation; text: string }[] = [];
  const duplicates: { train: RowLocation; val: RowLocation; same: string }[] = [];
  const trainRows = new Map<string, RowLocation>();
  const trainQuestions = new Map<string, RowLocation>();
  const all = new Set<string>();
  const statistics = new RowStatisticsCollector();
  const samples: SampleRow[] = [];
  let [cut, unlabelled, withoutThinking, repeated] = [0, 0, 0, 0];

  const addText = (row: Map<string, PythonJson>, where: RowLocation, part: Part): void => {
    // Hashes, as the texts of all rows would be held twice over.
    const text = createHash("sha256").update(formatPythonJson(row)).digest("base64");
    if (all.has(text)) repeated++;
    all.add(text);
    const question = row.get("question");
    const prompt = typeof question === "string" ? question.trim() : "";
    if (part === "train") {
      if (!trainRows.has(text)) trainRows.set(text, where);
      if (prompt !== "" && !trainQuestions.has(prompt)) trainQuestions.set(prompt, where);
      return;
    }
    const sameRow = trainRows.get(text);
    const sameQuestion = prompt === "" ? undefined : trainQuestions.get(prompt);
    if (sameRow !== undefined) duplicates.push({ train: sameRow, val: where, same: "row" });
    else if (sameQuestion !== undefined) {
      duplicates.push({ train: sameQuestion, val: where, same: "question" });
    }
  };

  const addLengths = (row: Map<string, PythonJson>, where: RowLocation, part: Part): void => {
    // Python writes NaN and the like, which are not JSON.
    if (hasNonFinite(row)) throw new JsonlError(where, "holds NaN or Infinity, which is not JSON");
    const plain = toPlainJson(row) as Record<string, unknown>;
    const record = parseRecord(plain, where, {
      columns,
      onUnread: statistics.unreadIn(where.line),
      onShape: (shape) => statistics.shape(shape),
    });
    // Of a pair the chosen reply is told of.
    const [told] = recordsOf(record);
    const texts = told.kind === "text" ? textsOf(told) : chatOf(told, where);
    if (samples.filter((each) => each.part === part).length < SAMPLES[part]) {
      samples.push({ part, where, texts });
    }
    const { text: answer, think = "" } = texts.at(-1)!;
    const prompt = texts.slice(0, -1).filter(({ role }) => role !== "system");
    const size = (text: string): number => Array.from(text).length;
    if (think === "" && told.kind !== "text") withoutThinking++;
    keep("characters", [
      prompt.reduce((sum, { text }) => sum + size(text), 0),
      size(think),
      size(answer),
    ]);
    if (tokenizer === undefined) return;
    const examples = encodeRecord(record, { tokenizer, maxLength, system, emptyThink, teach });
    if (examples.some(({ truncatedTokens }) => truncatedTokens > 0)) cut++;
    if (examples.some(({ supervised }) => supervised === 0)) unlabelled++;
    const last = record.kind === "pair" ? examples[0] : examples.at(-1)!;
    const whole = last.inputIds.length + last.truncatedTokens;
    const count = (text: string): number => text === "" ? 0 : tokenizer.encode(text).length;
    // The prompt as training sees it, with the system prompt and the template's own tokens.
    keep("tokens", [Math.min(last.promptLength, whole), count(think), count(answer), whole]);
  };

  const textsOf = ({ prompt, completion }: TextRecord): SampleText[] => [
    { role: "prompt", text: prompt },
    { role: "completion", text: completion },
  ];

  /** A chat up to its last reply that is learned. */
  const chatOf = (record: ReplyRecord, where: RowLocation): SampleText[] => {
    const messages = toMessages(record, { system });
    const enableThinking = record.kind === "text" ? undefined : record.enableThinking;
    statistics.add(where.line, { examples: [], chat: { messages, enableThinking, teach } });
    const last = taughtTurns(messages, teach).at(-1);
    if (last === undefined) {
      throw new JsonlError(where, "holds no reply that is to be learned");
    }
    return messages.slice(0, last + 1).map((message) => ({
      role: message.role,
      text: messageText(message),
      think: message.reasoning_content,
    }));
  };

  return {
    add(row: Map<string, PythonJson>, where: RowLocation, part: Part): void {
      rows[part]++;
      addText(row, where, part);
      try {
        addLengths(row, where, part);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        const text = error instanceof JsonlError ? message : new JsonlError(where, message).message;
        problems.push({ where, text });
      }
    },
    facts: (): DataFacts => ({
      ...told(statistics.finish()),
      teach,
      truncation,
      rows,
      lengths,
      maxLength: tokenizer === undefined ? undefined : maxLength,
      cut,
      unlabelled,
      withoutThinking,
      problems: problems.sort((a, b) => compare(a.where, b.where)).map(({ text }) => text),
      duplicates,
      repeated,
      samples,
    }),
  };
}

function told(
  { shapes, unread, replies, unlearnedReplies }: RowStatistics,
): Pick<DataFacts, "shapes" | "unread" | "replies" | "unlearnedReplies"> {
  return { shapes, unread, replies, unlearnedReplies };
}

/** File by file, line by line. */
function compare(a: RowLocation, b: RowLocation): number {
  return a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1;
}

function hasNonFinite(value: PythonJson): boolean {
  if (value instanceof Map) return [...value.values()].some(hasNonFinite);
  if (Array.isArray(value)) return value.some(hasNonFinite);
  return typeof value === "object" && value !== null && /[fN]/.test(value.text);
}

/** The value below which a part of sorted numbers lies. */
export function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}
