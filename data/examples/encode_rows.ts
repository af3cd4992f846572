/**
 * The examples of a file's rows, handed on one by one.
 *
 * In: a JSON Lines file of training records and a function that takes examples. Out: a report with
 * line numbers; memory does not grow with the rows, but for the lines in the report.
 */

import { encodeRecord } from "./encode_record.ts";
import type { Example } from "./example.ts";
import { readRows } from "../records/read_rows.ts";
import { JsonlError, type RowLocation } from "../records/jsonl_error.ts";
import type { ReadExamplesOptions } from "./read_examples_options.ts";
import type { ReadExamplesReport } from "./read_examples_report.ts";
import { parseRecord, recordsOf, toMessages } from "../records/record.ts";
import { RowStatisticsCollector } from "./row_statistics.ts";

/** An example that knows its row. */
export type LocatedExample = Example & { readonly source: RowLocation };

/** How far a file is read. */
export interface RowsProgress {
  /** Rows so far. */
  readonly rows: number;
  /** Tokens of their examples. */
  readonly tokens: number;
  /** Bytes of the file so far. */
  readonly bytes: number;
}

/** Options of {@linkcode encodeRows}. */
export interface EncodeRowsOptions extends ReadExamplesOptions {
  /** Stops between two rows; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Is told after each piece of the file, some tens of rows. */
  readonly onProgress?: (progress: RowsProgress) => void;
}

/**
 * Encodes all rows; an example without a supervised token is reported, not taken.
 *
 * @throws {JsonlError} if a row is bad, or the template refuses it.
 */
export async function encodeRows(
  path: string,
  options: EncodeRowsOptions,
  take: (example: LocatedExample) => void,
): Promise<ReadExamplesReport> {
  const { limit = Infinity, dropRefused, keepUnlabelled, signal, onProgress } = options;
  if (!(limit >= 1)) throw new RangeError(`Cannot read ${path}: limit is ${limit}, less than 1`);
  const truncated = new Set<number>();
  const unterminated = new Set<number>();
  const unlabelled = new Set<number>();
  const dropped = new Set<number>();
  const statistics = new RowStatisticsCollector();
  let [rows, examples, tokens, supervisedTokens] = [0, 0, 0, 0];
  const made = readRows(path, (value, where) => {
    const onDropped = () => void dropped.add(where.line);
    return encodeRow(value, where, { ...options, onDropped }, statistics);
  }, {
    onRead: onProgress && ((bytes) => onProgress({ rows, tokens, bytes })),
    ...dropRefused
      ? {
        onRefused: (error: JsonlError): void => {
          rows++;
          statistics.refuse(error);
        },
      }
      : {},
  });
  for await (const row of made) {
    signal?.throwIfAborted();
    const lost = row.pair && row.examples.some(({ supervised }) => supervised === 0);
    for (const example of row.examples) {
      const { line } = example.source;
      if (example.truncatedTokens > 0) truncated.add(line);
      if (!example.terminated) unterminated.add(line);
      if (example.supervised === 0 || lost) {
        unlabelled.add(line);
        if (!keepUnlabelled) continue;
      }
      examples++;
      tokens += example.inputIds.length;
      supervisedTokens += example.supervised;
      take(example);
    }
    if (++rows >= limit) break;
  }
  return {
    rows,
    examples,
    truncated: [...truncated],
    unterminated: [...unterminated],
    unlabelled: [...unlabelled],
    dropped: [...dropped],
    tokens,
    supervisedTokens,
    ...statistics.finish(),
  };
}

function encodeRow(
  value: Record<string, unknown>,
  where: RowLocation,
  options: EncodeRowsOptions,
  statistics: RowStatisticsCollector,
): { readonly examples: readonly LocatedExample[]; readonly pair: boolean } {
  const { line } = where;
  const record = parseRecord(value, where, {
    columns: options.columns,
    onUnread: statistics.unreadIn(line),
    onShape: (shape) => statistics.shape(shape),
  });
  try {
    const onTrimmed = () => statistics.trim(line);
    const examples = options.encode?.(record) ?? encodeRecord(record, { ...options, onTrimmed });
    const pair = record.kind === "pair";
    const [told] = recordsOf(record);
    const chat = told.kind === "text" ? undefined : {
      messages: toMessages(told, options),
      enableThinking: told.enableThinking ?? options.enableThinking,
      teach: pair ? "all" as const : options.teach,
    };
    statistics.add(line, { examples, chat, pair });
    return { examples: examples.map((example) => ({ ...example, source: where })), pair };
  } catch (cause) {
    throw new JsonlError(where, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
