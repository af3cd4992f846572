/**
 * The examples of a run, checked before anything slow starts. In: training flags and a tokenizer.
 * Out: training and evaluation examples, read from token files while they are trained on, and what
 * was cut, in words.
 */

import { type ExampleList, toExampleList } from "../../data/examples/example_list.ts";
import { readRows } from "../../data/records/read_rows.ts";
import { JsonlError } from "../../data/records/jsonl_error.ts";
import { type PreparedExamples, prepareExamples } from "../../data/examples/prepare_examples.ts";
import type { ReadExamplesReport } from "../../data/examples/read_examples_report.ts";
import type { TrainingRecord } from "../../data/records/record_types.ts";
import { toSeedExample } from "../../data/examples/seed_example.ts";
import { mergeReports } from "../../data/examples/merge_reports.ts";
import type { PackedExamples } from "../../data/examples/packed_examples.ts";
import { rowsOf, SelectedExamples } from "../../data/examples/selected_examples.ts";
import { describeRowFile } from "../../data/records/row_file.ts";
import { unitOf } from "../../data/records/row_format.ts";
import { removeOtherTokenFiles } from "../../data/examples/token_file.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { type ArrangeArguments, arrangeRows } from "./arrange_rows.ts";
import { describeLines, describeRows } from "./describe_rows.ts";
import { DEFAULT_OBJECTIVE } from "../objectives/objectives.ts";
import { isPairLoss } from "../objectives/pair_objectives.ts";
import { findDuplicates } from "./find_duplicates.ts";
import {
  describeSource,
  expandRows,
  type Purpose,
  type RowPaths,
  type RowSource,
} from "./row_paths.ts";
import { createPrepareProgress } from "./prepare_progress.ts";
import type { ProgressLineOptions } from "./progress_line.ts";
import { tokenKey } from "./token_key.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { plural } from "../../internal/plural.ts";

/** Most bytes of files in which rows that repeat others are looked for unasked: some seconds. */
const MAX_LOOKED_BYTES = 32 * 2 ** 20;
/** The folder of token files in an output folder. */
const TOKENS = "tokens";

/** Examples and remarks on them; dispose of it to close their files. */
export interface TrainingData extends Disposable {
  /** What is trained on. */
  readonly train: ExampleList;
  /** What is evaluated on; empty where nothing is. */
  readonly validation: ExampleList;
  /** What the rows to train on were. */
  readonly report: ReadExamplesReport;
  /** The sha256 of the training examples' ids and labels. */
  readonly sha256: string;
  /** The same of what is evaluated on; empty where nothing is. */
  readonly validationSha256: string;
  /** What a user should know of the data, a line each. */
  readonly notes: readonly string[];
}

/** How data are read. */
export interface ReadTrainingDataOptions {
  /**
   * An output folder to keep tokens in, which only this process uses.
   * @default none: tokens are kept in memory
   */
  readonly output?: string;
  /** Where to tell how far it is. @default nowhere */
  readonly progress?: ProgressLineOptions;
  /** Stops between two rows. */
  readonly signal?: AbortSignal;
}

/** Reads both files. */
export async function readTrainingData(
  args:
    & Pick<
      TrainingArguments,
      | "model"
      | "trainFile"
      | "validationFile"
      | "maxLength"
      | "system"
      | "dropUnlabelled"
      | "dropRefusedRows"
      | "emptyThink"
      | "compat"
      | "columns"
      | "teach"
      | "truncation"
      | "maxRows"
      | "dedup"
      | "loss"
    >
    & Partial<ArrangeArguments>,
  tokenizer: Tokenizer,
  { output, progress, signal }: ReadTrainingDataOptions = {},
): Promise<TrainingData> {
  using resources = new DisposableStack();
  const notes: string[] = args.compat === "seed"
    ? [
      "--compat seed: replies end with the padding token instead of the template's end of turn, " +
      "thinking has the seed's spacing, and updates are counted rounding down, as its transformers did",
    ]
    : [];
  const store = (path: string, limit: number | undefined) =>
    output === undefined ? undefined : {
      directory: `${output}/${TOKENS}`,
      key: () => tokenKey(path, { ...args, limit }, tokenizer),
    };
  const read = async (
    path: string,
    { training, limit }: { readonly training: boolean; readonly limit?: number },
  ): Promise<PreparedExamples> => {
    const { maxLength, system, emptyThink, dropRefusedRows: dropRefused = false } = args;
    const { format, note } = await describeRowFile(path);
    await assertRows(path, { dropRefused });
    if (note !== undefined) notes.push(note);
    const { size } = await Deno.stat(path);
    const shown = progress && createPrepareProgress({ file: path, size }, progress);
    const encode = args.compat === "seed"
      ? (record: TrainingRecord) => [toSeedExample(record, { tokenizer, maxLength, system })]
      : undefined;
    let prepared: PreparedExamples;
    try {
      prepared = resources.use(
        await prepareExamples(path, {
          tokenizer,
          maxLength,
          system: system || undefined,
          emptyThink,
          columns: args.columns,
          teach: args.teach,
          truncation: args.truncation,
          encode,
          dropRefused,
          // As in Hugging Face's Trainer, such a row adds nothing to its update.
          keepUnlabelled: args.compat === "seed",
          store: store(path, limit),
          limit,
          signal,
          onProgress: shown?.update,
        }),
      );
      shown?.done(prepared.report);
    } catch (cause) {
      // A first row that cannot be used is seldom the only one.
      const other = cause instanceof JsonlError && cause.line !== undefined && cause.line > 1;
      if (dropRefused || !other) throw cause;
      throw new Error(`${cause.message} (--drop-refused-rows leaves such rows out)`, { cause });
    } finally {
      shown?.finish();
    }
    const { examples, report } = prepared;
    assertPairs(report, { path, loss: args.loss });
    const { unlabelled } = report;
    const unit = unitOf(format);
    const lines = (numbers: readonly number[]): string => describeLines(numbers, unit);
    notes.push(...describeRows(report, { path, args, tokenizer, training, unit }));
    if (report.examples === 0 && unlabelled.length === 0) {
      throw new Error(
        report.dropped.length > 0
          ? `Cannot train on ${path}: --truncation drop leaves none of ${report.rows} rows, as all are ` +
            `longer than --max-length ${args.maxLength}; raise it`
          : report.refusedRows > 0
          ? `Cannot train on ${path}: --drop-refused-rows leaves none of ${report.rows} rows; ` +
            `${report.refused.slice(0, 1).map(({ line, reason }) => `${unit} ${line}: ${reason}`)}`
          : `Cannot train on ${path}: none of its ${report.rows} rows has a reply to learn; mark some ` +
            "(train: true, or weight: 1)",
      );
    }
    if (unlabelled.length > 0 && args.compat === "seed") {
      notes.push(
        `${path}: rows without an answer left within --max-length ${maxLength} add nothing to their ` +
          `updates, as in the seed: ${lines(unlabelled)}`,
      );
    } else if (unlabelled.length > 0) {
      const state = `${lines(unlabelled)} ${
        plural(unlabelled.length, "has", "have")
      } no answer left within --max-length ${maxLength}`;
      if (!args.dropUnlabelled) {
        throw new Error(
          `Cannot train on ${path}: ${state}; raise it, shorten or remove the rows, or leave them ` +
            "out with --drop-unlabelled",
        );
      }
      if (examples.length === 0) {
        throw new Error(
          `Cannot train on ${path}: --drop-unlabelled leaves no row, ${state}; raise it`,
        );
      }
      notes.push(`${path}: ${unlabelled.length} of ${report.rows} rows are left out, ${state}`);
    }
    if (report.truncated.length > 0) {
      const lost = args.truncation === "left" ? "oldest turns or tokens" : "end";
      notes.push(
        `${path}: ${report.truncated.length} of ${report.rows} rows are cut to --max-length ` +
          `${maxLength} and lose their ${lost}: ${lines(report.truncated)}`,
      );
    }
    if (report.dropped.length > 0) {
      notes.push(
        `${path}: examples of ${report.dropped.length} of ${report.rows} rows are left out, as they are ` +
          `longer than --max-length ${maxLength} (--truncation drop): ${lines(report.dropped)}`,
      );
    }
    return prepared;
  };
  const sources = [];
  for (const { path, files } of await told(args.trainFile, "train")) {
    const parts: PreparedExamples[] = [];
    let left = args.maxRows ?? Infinity;
    for (const file of files) {
      if (left <= 0) break;
      const limit = args.maxRows === undefined ? undefined : left;
      parts.push(await read(file, { training: true, limit }));
      left -= parts.at(-1)!.report.rows;
    }
    sources.push({ path, parts });
  }
  const train = sources.flatMap(({ parts }) => parts);
  const validation: PreparedExamples[] = [];
  const evaluated = (await told(args.validationFile, "validation")).flatMap(({ files }) => files);
  for (const file of evaluated) validation.push(await read(file, { training: false }));
  if (output !== undefined) {
    const used = [...train, ...validation].flatMap((each) => each.file ?? []);
    await removeOtherTokenFiles(`${output}/${TOKENS}`, new Set(used));
  }
  const dropped = await lookForDuplicates();
  const arranged = arrangeRows(
    sources.map(({ path, parts }) => ({ path, parts: parts.map(({ examples }) => examples) })),
    { seed: 42, ...args },
    dropped,
  );
  notes.push(...arranged.notes);
  const evaluatedOn = arranged.heldBack ?? joinExamples(validation.map(({ examples }) => examples));
  const owned = resources.move();
  return {
    train: arranged.train,
    validation: evaluatedOn ?? toExampleList([]),
    validationSha256: evaluatedOn?.sha256 ?? "",
    report: mergeReports(train.map(({ report }) => report)),
    sha256: arranged.sha256,
    notes,
    [Symbol.dispose]: () => owned.dispose(),
  };

  /** The files of each name; which those of folders and patterns are is noted. */
  async function told(
    paths: RowPaths | undefined,
    purpose: Purpose,
  ): Promise<readonly RowSource[]> {
    const found = await expandRows(paths, purpose);
    notes.push(...found.flatMap((source) => describeSource(source) ?? []));
    return found;
  }

  /** Rows to leave out; none where they are only told of. */
  async function lookForDuplicates(): Promise<ReadonlySet<string>> {
    const { dedup = false } = args;
    const usedOf = (all: readonly PreparedExamples[]) =>
      all.map(({ examples, report }) => ({ file: examples.at(0).source!.file, rows: report.rows }));
    const used = { train: usedOf(train), validation: usedOf(validation) };
    const sizes = await Promise.all(
      [...used.train, ...used.validation].map(({ file }) => Deno.stat(file)),
    );
    const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
    if (!dedup && bytes > MAX_LOOKED_BYTES) {
      notes.push(
        `rows that repeat others are not looked for in more than ${
          MAX_LOOKED_BYTES / 2 ** 20
        } MiB; ` +
          "--dedup does, and leaves them out",
      );
      return new Set();
    }
    const found = await findDuplicates(used, { drop: dedup, signal });
    notes.push(...found.notes);
    return dedup ? found.repeated : new Set();
  }
}

/** The examples of some files, in order. */
function joinExamples(
  parts: readonly PackedExamples[],
): PackedExamples | SelectedExamples | undefined {
  if (parts.length === 0) return undefined;
  if (parts.length === 1) return parts[0];
  return new SelectedExamples(parts, parts.flatMap((part, i) => rowsOf(part, i)));
}

/** Refuses rows that the loss is not of. */
function assertPairs(
  { pairs, rows, refusedRows }: ReadExamplesReport,
  { path, loss = DEFAULT_OBJECTIVE }: { readonly path: string; readonly loss?: string },
): void {
  const used = rows - refusedRows;
  if (isPairLoss(loss)) {
    if (pairs === used) return;
    throw new Error(
      `Cannot train on ${path} with --loss ${loss}: ${
        used - pairs
      } of ${used} rows are no pairs of a chosen and a ` +
        "rejected reply; leave the flag out, or give such rows",
    );
  }
  if (pairs === 0) return;
  throw new Error(
    `Cannot train on ${path} with the loss ${loss}: ${pairs} of ${used} rows are pairs of a chosen and a rejected ` +
      "reply; give --loss dpo or --loss orpo, or learn the chosen replies alone with --columns " +
      "question=prompt,answer=chosen, of chats with --columns messages=chosen",
  );
}

/** Refuses a file that cannot be read or has no rows, in the words of its reader. */
async function assertRows(
  path: string,
  { dropRefused }: { readonly dropRefused: boolean },
): Promise<void> {
  const onRefused = dropRefused ? () => {} : undefined;
  for await (const _row of readRows(path, (row) => row, { onRefused })) return;
}
