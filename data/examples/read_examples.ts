/**
 * The examples of a whole file, and a report of what was cut or lost.
 *
 * In: the path of a JSON Lines file of training records. Out: examples in file order, and a report
 * with line numbers, so that a caller can refuse bad data before it trains.
 *
 * @module
 */

import { encodeRows } from "./encode_rows.ts";
import type { Example } from "./example.ts";
import type { ReadExamplesOptions } from "./read_examples_options.ts";
import type { ReadExamplesReport } from "./read_examples_report.ts";

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
