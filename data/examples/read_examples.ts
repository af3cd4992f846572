/**
 * The examples of a whole file, and a report of what was cut or lost.
 *
 * In: the path of a JSON Lines file of training records. Out: examples in file order, and a report
 * with line numbers, so that a caller can refuse bad data before it trains.
 *
 * @module
 */

import { encodeRows } from "./encode_rows.ts";
import type { Example, ToExamplesOptions } from "./example.ts";
import type { TrainingRecord } from "../records/record.ts";
import type { RowStatistics } from "./row_statistics.ts";

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
  /**
   * Whether rows that cannot be used are left out and counted.
   * @default {false: the first one is an error}
   */
  readonly dropRefused?: boolean;
  /**
   * Whether an example without a supervised token is kept: it adds nothing to its update.
   * @default {false}
   */
  readonly keepUnlabelled?: boolean;
}

/** What became of the rows; lines are 1-based. */
export interface ReadExamplesReport extends RowStatistics {
  /** How many rows were read, those that were left out among them. */
  readonly rows: number;
  /** How many examples they gave. */
  readonly examples: number;
  /** Lines with an example that was cut to `maxLength`. */
  readonly truncated: readonly number[];
  /** Lines with an example that does not end with the token that ends a reply. */
  readonly unterminated: readonly number[];
  /** Lines with an example that has no supervised token left; it is kept if `keepUnlabelled`. */
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
 * Reads and tokenizes a JSON Lines file of training records, into memory: see
 * {@linkcode prepareExamples} for files with more rows than that.
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
  const examples: Example[] = [];
  const report = await encodeRows(path, options, (example) => examples.push(example));
  return { examples, report };
}
