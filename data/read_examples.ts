/**
 * The examples of a whole file, and a report of what was cut or lost.
 *
 * In: the path of a JSON Lines file of training records. Out: examples in file order, and a report
 * with line numbers, so that a caller can refuse bad data before it trains.
 *
 * @module
 */

import { toExamples } from "./example.ts";
import type { Example, ToExamplesOptions } from "./example.ts";
import { JsonlError } from "./jsonl_error.ts";
import type { RowLocation } from "./jsonl_error.ts";
import { readJsonl } from "./jsonl.ts";
import { parseRecord, toMessages } from "./record.ts";
import type { TrainingRecord } from "./record.ts";

/** Options of {@linkcode readExamples}. */
export interface ReadExamplesOptions extends ToExamplesOptions {
  /** A system prompt for the rows that have none. */
  readonly system?: string;
  /** Most rows to read; all of them by default. */
  readonly limit?: number;
  /**
   * Makes the examples of one record.
   * @default {(record) => toExamples(toMessages(record, options), options)}
   */
  readonly encode?: (record: TrainingRecord) => readonly Example[];
}

/** What became of the rows; lines are 1-based. */
export interface ReadExamplesReport {
  /** How many rows were read. */
  readonly rows: number;
  /** How many examples they gave. */
  readonly examples: number;
  /** Lines with an example that was cut to `maxLength`. */
  readonly truncated: readonly number[];
  /** Lines with an example that does not end with the token that ends a reply. */
  readonly unterminated: readonly number[];
  /** Lines with an example that has no supervised token left; it is not among the examples. */
  readonly unlabelled: readonly number[];
  /** How many tokens the examples have. */
  readonly tokens: number;
  /** How many of them are supervised. */
  readonly supervisedTokens: number;
}

/** Examples and what became of the rows. */
export interface ReadExamplesResult {
  /** In file order. */
  readonly examples: Example[];
  /** What was cut or lost. */
  readonly report: ReadExamplesReport;
}

/**
 * Reads and tokenizes a JSON Lines file of training records.
 *
 * Needs `--allow-read` for the path.
 *
 * @throws {JsonlError} if a row is bad, or the template refuses it.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer, readExamples } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const row = '{"question": "1+1?", "think": "Easy.", "answer": "2"}';
 * await writeFile(`${folder}/train.jsonl`, `${row}\n`);
 * const { examples, report } = await readExamples(`${folder}/train.jsonl`, {
 *   tokenizer: createTokenizer(byteTokenizerFiles()),
 *   maxLength: 256,
 *   system: "Be brief.",
 * });
 * assert.equal(examples.length, 1);
 * assert.deepEqual(report.truncated, []);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function readExamples(
  path: string,
  options: ReadExamplesOptions,
): Promise<ReadExamplesResult> {
  const {
    system,
    limit = Infinity,
    encode = (record) => toExamples(toMessages(record, { system }), options),
  } = options;
  if (!(limit >= 1)) throw new RangeError(`Cannot read ${path}: limit is ${limit}, less than 1`);
  const examples: Example[] = [];
  const truncated = new Set<number>();
  const unterminated = new Set<number>();
  const unlabelled = new Set<number>();
  let rows = 0;
  for await (const made of readJsonl(path, (value, where) => encodeRow(value, where, encode))) {
    for (const example of made) {
      const { line } = example.source;
      if (example.truncatedTokens > 0) truncated.add(line);
      if (!example.terminated) unterminated.add(line);
      if (example.supervised > 0) examples.push(example);
      else unlabelled.add(line);
    }
    if (++rows >= limit) break;
  }
  return {
    examples,
    report: {
      rows,
      examples: examples.length,
      truncated: [...truncated],
      unterminated: [...unterminated],
      unlabelled: [...unlabelled],
      tokens: examples.reduce((sum, { inputIds }) => sum + inputIds.length, 0),
      supervisedTokens: examples.reduce((sum, { supervised }) => sum + supervised, 0),
    },
  };
}

type LocatedExample = Example & { readonly source: RowLocation };

function encodeRow(
  value: Record<string, unknown>,
  where: RowLocation,
  encode: (record: TrainingRecord) => readonly Example[],
): LocatedExample[] {
  const record = parseRecord(value, where);
  try {
    return encode(record).map((example) => ({ ...example, source: where }));
  } catch (cause) {
    throw new JsonlError(where, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
