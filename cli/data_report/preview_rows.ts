/**
 * The first rows of files as training reads them.
 *
 * In: files, a tokenizer and what is learned. Out: for each row its examples as blocks of tokens, or
 * why it cannot be used.
 */

import { encodeRecord } from "../../data/examples/encode_record.ts";
import type { Example } from "../../data/examples/example.ts";
import { taughtTurns, type Teach } from "../../data/examples/taught_turns.ts";
import type { EmptyThink } from "../../data/examples/to_examples.ts";
import type { Truncation } from "../../data/examples/truncation.ts";
import { JsonlError, type RowLocation, type RowUnit } from "../../data/records/jsonl_error.ts";
import { readRows } from "../../data/records/read_rows.ts";
import { parseRecord, recordsOf, toMessages } from "../../data/records/record.ts";
import type { ReplyRecord, TrainingRecord } from "../../data/records/record_types.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import type { RecognizedShape } from "../../data/records/shape_row.ts";
import type { Message } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { RowSource } from "../../train/runs/row_paths.ts";
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
  /** Which reply of a pair it is. @default the row is no pair */
  readonly half?: "chosen" | "rejected";
}

/** A row as it is shown. */
export interface PreviewRow {
  /** Its file, where its source has several. */
  readonly file?: string;
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

/** What was looked at of a file, or of those that one name stands for. */
export interface Preview {
  readonly path: string;
  readonly rows: readonly PreviewRow[];
  /** Whether there are more rows than these. */
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
  /** Most rows of all sources together. */
  readonly most: number;
  /** Tokens of all sources together after which no row is read. @default 300_000, as a page of more is slow to open */
  readonly mostTokens?: number;
  readonly signal: AbortSignal;
}

/** Reads them: of each source its share of the rows, and what sources before it left of theirs. */
export async function previewRows(
  sources: readonly RowSource[],
  options: PreviewOptions,
): Promise<readonly Preview[]> {
  const previews: Preview[] = [];
  let [rows, tokens] = [options.most, options.mostTokens ?? 300_000];
  for (const [i, source] of sources.entries()) {
    const left = sources.length - i;
    const most = { rows: Math.ceil(rows / left), tokens: Math.ceil(tokens / left) };
    const preview = await previewSource(source, most, options);
    previews.push(preview);
    rows -= preview.rows.length;
    tokens -= preview.rows.reduce((sum, row) => sum + tokensOf(row), 0);
  }
  return previews;
}

async function previewSource(
  { path, files }: RowSource,
  most: { readonly rows: number; readonly tokens: number },
  options: PreviewOptions,
): Promise<Preview> {
  const rows: PreviewRow[] = [];
  let tokens = 0;
  const parse = (value: Record<string, unknown>, where: RowLocation): PreviewRow =>
    previewRow(value, where, options);
  for (const file of files) {
    const named = files.length > 1 ? { file } : {};
    const onRefused = (error: JsonlError): void =>
      void rows.push({ ...named, ...refusedRow(error) });
    for await (const row of readRows(file, parse, { onRefused })) {
      options.signal.throwIfAborted();
      if (rows.length >= most.rows || tokens > most.tokens) {
        return { path, rows: rows.slice(0, most.rows), more: true };
      }
      rows.push({ ...named, ...row });
      tokens += tokensOf(row);
    }
  }
  return { path, rows: rows.slice(0, most.rows), more: rows.length > most.rows };
}

function tokensOf({ examples }: PreviewRow): number {
  return examples.reduce((sum, example) => sum + example.tokens, 0);
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
    const examples = halvesOf(record).flatMap(({ half, ...each }) =>
      turnsOf(each.record, half ? { ...options, teach: "all" } : options).flatMap((
        { record: one, before },
      ) =>
        encodeRecord(one, options).map((example) => ({
          ...shown(example, { record: one, before, options }),
          ...half === undefined ? {} : { half },
        }))
      )
    );
    return { line: where.line, unit: where.unit, shape, examples, unread: [...new Set(unread)] };
  } catch (cause) {
    throw new JsonlError(where, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** A row's records; those of a pair by their halves. */
function halvesOf(
  record: TrainingRecord,
): readonly { readonly record: ReplyRecord; readonly half?: PreviewExample["half"] }[] {
  if (record.kind !== "pair") return [{ record }];
  const [chosen, rejected] = recordsOf(record);
  return [{ record: chosen, half: "chosen" }, { record: rejected, half: "rejected" }];
}

/** A row's examples one by one: each as a record that teaches its reply alone. */
function turnsOf(
  record: ReplyRecord,
  { system, teach }: PreviewOptions,
): { readonly record: ReplyRecord; readonly before: readonly Message[] }[] {
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
    readonly record: ReplyRecord;
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
