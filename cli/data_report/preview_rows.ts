/**
 * The first rows of a file as training reads them.
 *
 * In: a file, a tokenizer and what is learned. Out: for each row its examples as blocks of tokens, or
 * why it cannot be used.
 */

import { encodeRecord } from "../../data/examples/encode_record.ts";
import type { Example } from "../../data/examples/example.ts";
import { taughtTurns, type Teach } from "../../data/examples/taught_turns.ts";
import type { EmptyThink } from "../../data/examples/to_examples.ts";
import type { Truncation } from "../../data/examples/truncation.ts";
import { JsonlError, type RowLocation, type RowUnit } from "../../data/records/jsonl_error.ts";
import { readRows } from "../../data/records/read_rows.ts";
import { parseRecord, toMessages } from "../../data/records/record.ts";
import type { TrainingRecord } from "../../data/records/record_types.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import type { RecognizedShape } from "../../data/records/shape_row.ts";
import type { Message } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { type TokenBlock, tokenBlocks } from "./token_blocks.ts";

/** An example as it is shown. */
export interface PreviewExample {
  readonly blocks: readonly TokenBlock[];
  readonly tokens: number;
  readonly taught: number;
  /** Tokens that are cut off. */
  readonly truncatedTokens: number;
  /** The token that ends the reply, where it is taught. */
  readonly end: string | undefined;
}

/** A row as it is shown. */
export interface PreviewRow {
  readonly line: number;
  /** What `line` counts. @default "line" */
  readonly unit?: RowUnit;
  readonly shape?: RecognizedShape;
  readonly examples: readonly PreviewExample[];
  /** Columns and fields that are not read. */
  readonly unread: readonly string[];
  /** Why it cannot be used. */
  readonly refused?: string;
}

/** What was looked at. */
export interface Preview {
  readonly file: string;
  readonly rows: readonly PreviewRow[];
  /** Whether the file has more rows than these. */
  readonly more: boolean;
}

/** Options of {@linkcode previewRows}. */
export interface PreviewOptions {
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  readonly system?: string;
  readonly columns?: RowColumns;
  readonly emptyThink: EmptyThink;
  readonly teach: Teach;
  readonly truncation: Truncation;
  /** Most rows. */
  readonly most: number;
  readonly signal: AbortSignal;
}

/** Tokens that are shown: a page of more would be slow to open. */
const MAX_TOKENS = 300_000;

/** Reads them. */
export async function previewRows(file: string, options: PreviewOptions): Promise<Preview> {
  const { most, signal } = options;
  const rows: PreviewRow[] = [];
  let tokens = 0;
  const parse = (value: Record<string, unknown>, where: RowLocation): PreviewRow =>
    previewRow(value, where, options);
  const onRefused = (error: JsonlError): void => void rows.push(refusedRow(error));
  for await (const row of readRows(file, parse, { onRefused })) {
    signal.throwIfAborted();
    if (rows.length >= most || tokens > MAX_TOKENS) {
      return { file, rows: rows.slice(0, most), more: true };
    }
    rows.push(row);
    tokens += row.examples.reduce((sum, example) => sum + example.tokens, 0);
  }
  return { file, rows: rows.slice(0, most), more: rows.length > most };
}

function refusedRow(error: JsonlError): PreviewRow {
  const { line = 0, unit, field, problem } = error;
  const refused = field === undefined ? problem : `${field}: ${problem}`;
  return { line, unit, examples: [], unread: [], refused };
}

function previewRow(
  value: Record<string, unknown>,
  where: RowLocation,
  options: PreviewOptions,
): PreviewRow {
  const unread: string[] = [];
  let shape: RecognizedShape | undefined;
  const record = parseRecord(value, where, {
    columns: options.columns,
    onUnread: (field, remedy) => unread.push(remedy ?? field),
    onShape: (found) => shape = found,
  });
  try {
    const turns = turnsOf(record, options);
    const examples = turns.flatMap(({ record: one, before }) =>
      encodeRecord(one, options).map((example) => shown(example, { record: one, before, options }))
    );
    return { line: where.line, unit: where.unit, shape, examples, unread: [...new Set(unread)] };
  } catch (cause) {
    throw new JsonlError(where, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** A row's examples one by one: each as a record that teaches its reply alone. */
function turnsOf(
  record: TrainingRecord,
  { system, teach }: PreviewOptions,
): { readonly record: TrainingRecord; readonly before: readonly Message[] }[] {
  if (record.kind === "text") return [{ record, before: [] }];
  const messages = toMessages(record, { system });
  const { enableThinking, tools } = record;
  return taughtTurns(messages, teach).map((turn) => {
    const before = messages.slice(0, turn);
    const marked = before.map((message): Message =>
      message.role === "assistant" ? { ...message, learn: false } : message
    );
    const chat = [...marked, { ...messages[turn], learn: true }];
    return {
      before,
      record: { kind: "chat", messages: chat, system: "", enableThinking, tools },
    };
  });
}

function shown(
  example: Example,
  { record, before, options: { tokenizer, truncation } }: {
    readonly record: TrainingRecord;
    readonly before: readonly Message[];
    readonly options: PreviewOptions;
  },
): PreviewExample {
  const { inputIds, supervised, truncatedTokens, terminated } = example;
  const isText = record.kind === "text";
  // Which turns are left out is not known.
  const isWhole = truncation !== "left" || truncatedTokens === 0;
  return {
    blocks: tokenBlocks(example, tokenizer, {
      before: isWhole ? before : [],
      render: (messages) =>
        tokenizer.render(messages, {
          addGenerationPrompt: false,
          ...isText ? {} : { enableThinking: record.enableThinking, tools: record.tools },
        }),
      roles: isText ? ["prompt", "completion"] : ["prompt", "assistant"],
    }),
    tokens: inputIds.length,
    taught: supervised,
    truncatedTokens,
    end: terminated ? tokenizer.idToToken(inputIds[inputIds.length - 1]) : undefined,
  };
}
