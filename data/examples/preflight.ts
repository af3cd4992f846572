/**
 * What to know of training data before training on it.
 *
 * In: a file of records and its tokenizer. Out: whether the first record's prompt is the one that
 * inference will make, whether its terminator is taught, and where control tokens stand in text.
 *
 * @module
 */

import { PLACEHOLDER } from "../text/reply_text.ts";
import { type Example, IGNORED } from "./example.ts";
import { JsonlError, type RowLocation } from "../records/jsonl_error.ts";
import { readRows } from "../records/read_rows.ts";
import type { Message, Tool } from "../text/message.ts";
import { messageText } from "../text/message_text.ts";
import { formatPythonJson } from "../../internal/json/python_json.ts";
import { parseRecord, recordsOf, toMessages } from "../records/record.ts";
import type { ReplyRecord } from "../records/record_types.ts";
import type { RowColumns } from "../records/row_shapes.ts";
import type { RecognizedShape } from "../records/shape_row.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { taughtTurns, type Teach } from "./taught_turns.ts";

/** Options of {@linkcode inspectRecords}. */
export interface InspectRecordsOptions {
  /** The tokenizer of the model. */
  readonly tokenizer: Tokenizer;
  /** The system prompt of rows that have none, as for `readExamples`. */
  readonly system?: string;
  /** Which column means what, as for `readExamples`. */
  readonly columns?: RowColumns;
  /** Line of the row whose messages are given back. @default {the first row} */
  readonly line?: number;
  /** Whether rows that cannot be used are left out, as for `readExamples`. @default {false} */
  readonly dropRefused?: boolean;
}

/** A control token that stands in the text of a row. */
export interface ControlTokenUse {
  /** 1-based line. */
  readonly line: number;
  /** The token, such as `<|im_end|>`. */
  readonly token: string;
}

/** What {@linkcode inspectRecords} found. */
export interface RecordsInspection {
  /** The row. */
  readonly record: ReplyRecord;
  /** What it was found to be. */
  readonly shape: RecognizedShape;
  /** The messages of the row, system prompt included; none of plain text. */
  readonly messages: readonly Message[];
  /** Control tokens in text: each would be that token, not those characters. */
  readonly controlTokens: readonly ControlTokenUse[];
}

/**
 * Reads a file's texts once more, without tokenizing them.
 *
 * Needs `--allow-read` for the path.
 *
 * @throws {JsonlError} if a row is bad.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import { inspectRecords } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const row = '{"question": "What is <|im_end|>?", "answer": "A token."}';
 * await writeFile(`${folder}/train.jsonl`, `${row}\n`);
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const { controlTokens } = await inspectRecords(`${folder}/train.jsonl`, { tokenizer });
 * assert.deepEqual(controlTokens, [{ line: 1, token: "<|im_end|>" }]);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function inspectRecords(
  path: string,
  { tokenizer, system, columns, line: wanted, dropRefused = false }: InspectRecordsOptions,
): Promise<RecordsInspection> {
  const special = specialTokens(tokenizer);
  let chosen: Omit<RecordsInspection, "controlTokens"> | undefined;
  const controlTokens: ControlTokenUse[] = [];
  const parse = (value: Record<string, unknown>, where: RowLocation) => {
    let shape: RecognizedShape = { name: "", columns: [] };
    const records = recordsOf(
      parseRecord(value, where, { columns, onShape: (found) => shape = found }),
    );
    if (wanted === undefined ? chosen === undefined : where.line === wanted) {
      const [record] = records;
      chosen = { record, shape, messages: messagesOf(record, where, system) };
    }
    return { records, line: where.line };
  };
  const onRefused = dropRefused ? () => {} : undefined;
  for await (const { records, line } of readRows(path, parse, { onRefused })) {
    const text = records.map(textOf).join("\0");
    for (const token of special) if (text.includes(token)) controlTokens.push({ line, token });
  }
  if (chosen === undefined) throw new RangeError(`Cannot inspect ${path}: it has no row ${wanted}`);
  return { ...chosen, controlTokens };
}

/** A record's messages; what cannot be one is the row's fault, as what cannot be read. */
function messagesOf(
  record: ReplyRecord,
  where: RowLocation,
  system: string | undefined,
): readonly Message[] {
  if (record.kind === "text") return [];
  try {
    return toMessages(record, { system });
  } catch (cause) {
    throw new JsonlError(where, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Options of {@linkcode promptIsInference}. */
export interface PromptIsInferenceOptions {
  /** The tokenizer of the model. */
  readonly tokenizer: Tokenizer;
  /** As inference asks for it. */
  readonly enableThinking?: boolean;
  /** Tools of the row. @default none */
  readonly tools?: readonly Tool[];
  /** Which replies the example is the first of. @default {"all"} */
  readonly teach?: Teach;
}

/**
 * Whether an example's prompt is, token for token, what inference makes of the same messages.
 *
 * @param messages a chat; the example is of its first reply that is learned
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer, toExamples } from "@ortune/ortune";
 * import { promptIsInference } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const messages = [
 *   { role: "user", content: "1+1?" },
 *   { role: "assistant", content: "2" },
 * ] as const;
 * const [example] = toExamples(messages, { tokenizer, maxLength: 128 });
 * assert.ok(promptIsInference(example, messages, { tokenizer }));
 * ```
 */
export function promptIsInference(
  example: Example,
  messages: readonly Message[],
  { tokenizer, enableThinking, tools, teach }: PromptIsInferenceOptions,
): boolean {
  const [reply] = taughtTurns(messages, teach);
  const text = tokenizer.render(messages.slice(0, reply), {
    addGenerationPrompt: true,
    enableThinking,
    tools,
  });
  const prompt = tokenizer.encode(text);
  const trained = example.inputIds.subarray(0, example.promptLength);
  return prompt.length === trained.length && prompt.every((id, i) => id === trained[i]);
}

/**
 * Whether a chat template marks where the assistant is to speak; `true` where replies have no header
 * that could be marked.
 */
export function rendersGenerationPrompt(tokenizer: Tokenizer): boolean {
  const user: Message = { role: "user", content: "1" };
  const prompt = tokenizer.render([user], { addGenerationPrompt: true });
  if (prompt !== tokenizer.render([user], { addGenerationPrompt: false })) return true;
  const reply: Message = { role: "assistant", content: PLACEHOLDER };
  const chat = tokenizer.render([user, reply], { addGenerationPrompt: false });
  const header = chat.slice(prompt.length, chat.indexOf(PLACEHOLDER));
  return !chat.startsWith(prompt) || header.trim() === "";
}

/** The token that ends an example's reply, if the model is taught to write it. */
export function taughtTerminator(
  { labels, terminated }: Example,
  tokenizer: Tokenizer,
): string | undefined {
  const last = labels.at(-1) ?? IGNORED;
  return terminated && last !== IGNORED ? tokenizer.idToToken(last) : undefined;
}

/** Texts of the tokens that mean control. */
function specialTokens(tokenizer: Tokenizer): string[] {
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
    .filter((id) => tokenizer.isSpecial(id))
    .map((id) => tokenizer.idToToken(id)!);
}

function textOf(record: ReplyRecord): string {
  // Joined by what no token holds, so that none spans two texts.
  if (record.kind === "text") return [record.prompt, record.completion].join("\0");
  const parts = record.kind === "question"
    ? [record.question, record.think ?? "", record.answer, ...textsOf(record.history ?? [])]
    : textsOf(record.messages);
  const tools = (record.tools ?? []).map(formatPythonJson);
  return [...parts, ...tools, record.system ?? ""].join("\0");
}

function textsOf(messages: readonly Message[]): string[] {
  return messages.flatMap((message) => [messageText(message), message.reasoning_content ?? ""]);
}
