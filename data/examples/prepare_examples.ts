/**
 * The examples of a whole file in memory that does not grow with its tokens.
 *
 * In: the path of a file of training records, and a folder for token files. Out: a list
 * of examples that are read from there one at a time, and the report of readExamples. The same
 * inputs give the same file, so a second call with the same key tokenizes nothing.
 *
 * @module
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describeRowFile } from "../records/row_file.ts";
import { unitOf } from "../records/row_format.ts";
import { encodeRows, type RowsProgress } from "./encode_rows.ts";
import { ExamplePacker, PackedExamples, TokenMemory } from "./packed_examples.ts";
import type { ReadExamplesOptions } from "./read_examples_options.ts";
import type { ReadExamplesReport } from "./read_examples_report.ts";
import {
  openTokenFile,
  type TokenFileContent,
  tokenFileName,
  TokenFileWriter,
} from "./token_file.ts";

/** Where token files are kept. */
export interface TokenFolder {
  /** A folder; it is made where it is not there. */
  readonly directory: string;
  /**
   * Hashes what the examples are made of: the data, the tokenizer's files and all options. A file of
   * the same key is taken for what these inputs give. It is asked again once all rows are read, to
   * see whether they changed meanwhile.
   */
  readonly key: () => Promise<string>;
}

/** Options of {@linkcode prepareExamples}. */
export interface PrepareExamplesOptions extends ReadExamplesOptions {
  /**
   * Where the tokens go.
   * @default memory, 4 bytes a token
   */
  readonly store?: TokenFolder;
  /** Stops between two rows, leaving no file; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Is told after each piece of the file, some tens of rows; not where a token file is there. */
  readonly onProgress?: (progress: RowsProgress) => void;
}

/** Examples that are ready to be trained on; dispose of it to close their file. */
export interface PreparedExamples extends Disposable {
  /** In file order. */
  readonly examples: PackedExamples;
  /** What was cut or lost. */
  readonly report: ReadExamplesReport;
  /** The sha256 of ids and labels of all examples, in turns, as little-endian 32-bit integers. */
  readonly sha256: string;
  /** The file that holds their tokens, where one does. */
  readonly file?: string;
  /** Whether they came from an earlier call's file. */
  readonly cached: boolean;
}

/**
 * Reads and tokenizes a file of training records, once for each key.
 *
 * Needs `--allow-read` for the path, and both `--allow-read` and `--allow-write` for the folder. One
 * process at a time may use a folder.
 *
 * @throws {JsonlError} if a row is bad, or the template refuses it.
 * @throws {Error} if the token file cannot be written, or the inputs change while they are read.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import { prepareExamples } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const row = '{"question": "1+1?", "think": "Easy.", "answer": "2"}';
 * await writeFile(`${folder}/train.jsonl`, `${row}\n`.repeat(3));
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const store = { directory: `${folder}/tokens`, key: () => Promise.resolve("v1") };
 * const prepare = () =>
 *   prepareExamples(`${folder}/train.jsonl`, { tokenizer, maxLength: 256, store });
 * {
 *   using first = await prepare();
 *   using second = await prepare();
 *   assert.deepEqual([first.cached, second.cached], [false, true]);
 *   assert.deepEqual(second.examples.at(2), first.examples.at(2));
 * }
 * await rm(folder, { recursive: true });
 * ```
 */
export async function prepareExamples(
  path: string,
  options: PrepareExamplesOptions,
): Promise<PreparedExamples> {
  const { store } = options;
  const unit = unitOf((await describeRowFile(path)).format);
  if (store === undefined) {
    const tokens = new TokenMemory();
    const packer = new ExamplePacker(tokens);
    const report = await encodeRows(path, options, (example) => packer.add(example));
    const examples = new PackedExamples({ ...packer.finish(), tokens, file: path, unit });
    return prepared({ examples, report }, { cached: false });
  }
  const key = await store.key();
  const file = { path: join(store.directory, tokenFileName(key)), key };
  const opened = { ...file, source: path, unit, vocabSize: options.tokenizer.vocabSize };
  const known = await openTokenFile(opened);
  if (known !== undefined) return prepared(known, { file: file.path, cached: true });
  const writing = fileErrors(file.path);
  await mkdir(store.directory, { recursive: true }).catch(writing.fail);
  // Not by `using`, which Node 22 cannot read.
  const writer = writing.attempt(() => new TokenFileWriter(file));
  try {
    const report = await encodeRows(
      path,
      options,
      (example) => writing.attempt(() => writer.add(example)),
    );
    if (await store.key() !== key) {
      throw new Error(`Cannot prepare ${path}: it or its tokenizer changed meanwhile; start again`);
    }
    writing.attempt(() => writer.finish(report));
  } finally {
    writer[Symbol.dispose]();
  }
  const made = await openTokenFile(opened);
  if (made !== undefined) return prepared(made, { file: file.path, cached: false });
  throw new Error(
    `Cannot read ${file.path} back: it is not what was written; check the disk, or give another ` +
      "output folder",
  );
}

function prepared(
  { examples, report }: TokenFileContent,
  { file, cached }: Pick<PreparedExamples, "file" | "cached">,
): PreparedExamples {
  return {
    examples,
    report,
    sha256: examples.sha256,
    file,
    cached,
    [Symbol.dispose]: () => examples[Symbol.dispose](),
  };
}

/** Tells errors of the disk from those of rows: the latter name their line. */
function fileErrors(path: string): {
  fail(cause: unknown): never;
  attempt<T>(work: () => T): T;
} {
  const fail = (cause: unknown): never => {
    if (!(cause instanceof Error && "code" in cause)) throw cause;
    throw new Error(
      `Cannot write ${path}: ${cause.message}; free space or give another output folder`,
      { cause },
    );
  };
  return {
    fail,
    attempt<T>(work: () => T): T {
      try {
        return work();
      } catch (cause) {
        return fail(cause);
      }
    },
  };
}
