/**
 * Which rows of a run's files are trained on, and which are held back. In: the examples of each source's
 * files, and training flags. Out: both lists, in order, and what was left out.
 */

import type { ExampleList } from "../../data/examples/example_list.ts";
import { interleaveRows } from "../../data/examples/interleave_rows.ts";
import type { PackedExamples } from "../../data/examples/packed_examples.ts";
import {
  type ExampleRow,
  rowsOf,
  SelectedExamples,
} from "../../data/examples/selected_examples.ts";
import { splitDataset } from "../../data/records/split_dataset.ts";
import { UsageError } from "../../internal/usage_error.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { plural } from "../../internal/plural.ts";

/** Arguments that decide it. */
export type ArrangeArguments = Pick<
  TrainingArguments,
  "mix" | "mixSeed" | "mixStrategy" | "validationSplitPercentage" | "seed"
>;

/** Examples of the files of one name of `--train-file`. */
export interface SourceExamples {
  readonly path: string;
  readonly parts: readonly PackedExamples[];
}

/** Both parts of the rows. */
export interface ArrangedRows {
  readonly train: ExampleList;
  /** Rows that were held back; `undefined` where none are asked for. */
  readonly heldBack: SelectedExamples | undefined;
  /** The sha256 of what is trained on. */
  readonly sha256: string;
  readonly notes: readonly string[];
}

/**
 * Arranges rows. One file, of which nothing is left out or held back, stays as it is.
 *
 * @param dropped places of rows to leave out, as {@linkcode rowKey} writes them
 * @throws {UsageError} where there is not a share for each source
 */
export function arrangeRows(
  sources: readonly SourceExamples[],
  { mix, mixSeed, mixStrategy, validationSplitPercentage: percentage, seed }: ArrangeArguments,
  dropped: ReadonlySet<string> = new Set(),
): ArrangedRows {
  const parts = sources.flatMap((source) => source.parts);
  if (mix !== undefined && mix.length !== sources.length) {
    throw new UsageError(
      `Cannot mix ${sources.length} ${plural(sources.length, "name")} of --train-file by ` +
        `${mix.length} shares: give one for each`,
    );
  }
  if (mix === undefined && percentage === undefined && dropped.size === 0 && parts.length === 1) {
    return { train: parts[0], heldBack: undefined, sha256: parts[0].sha256, notes: [] };
  }
  const notes: string[] = [];
  const heldBack: ExampleRow[] = [];
  let first = 0;
  const kept = sources.map(({ path, parts: own }) => {
    const all = own.flatMap((part, i) => rowsOf(part, first + i));
    first += own.length;
    const rows = all.filter(({ part, start }) => {
      const { file, line } = parts[part].at(start).source!;
      return dropped.size === 0 || !dropped.has(rowKey(file, line));
    });
    if (rows.length === 0) {
      throw new Error(`Cannot train on ${path}: --dedup leaves none of its ${all.length} rows`);
    }
    if (percentage === undefined) return { path, rows };
    const split = splitDataset(rows.length, { trainRatio: 1 - percentage / 100, seed });
    const held = new Set(split.validation);
    heldBack.push(...rows.filter((_, i) => held.has(i)));
    notes.push(
      `${path}: ${held.size} of ${rows.length} rows are held back (--validation-split-percentage ` +
        `${percentage})`,
    );
    return { path, rows: rows.filter((_, i) => !held.has(i)) };
  });
  const rows = mix === undefined ? kept.flatMap((each) => each.rows) : mixRows(kept, {
    probabilities: mix,
    seed: mixSeed,
    strategy: mixStrategy,
    notes,
  });
  const train = new SelectedExamples(parts, rows);
  return {
    train,
    heldBack: percentage === undefined ? undefined : new SelectedExamples(parts, heldBack),
    sha256: train.sha256,
    notes,
  };
}

/** A row's place as one text. */
export function rowKey(file: string, line: number): string {
  return `${line}:${file}`;
}

function mixRows(
  sources: readonly { readonly path: string; readonly rows: readonly ExampleRow[] }[],
  { notes, probabilities, seed, strategy }: {
    readonly notes: string[];
    readonly probabilities: readonly number[];
    readonly seed: number | undefined;
    readonly strategy: TrainingArguments["mixStrategy"];
  },
): ExampleRow[] {
  const counts = sources.map(() => 0);
  const mixed: ExampleRow[] = [];
  const lengths = sources.map(({ rows }) => rows.length);
  for (const { source, row } of interleaveRows(lengths, { probabilities, seed, strategy })) {
    counts[source]++;
    mixed.push(sources[source].rows[row]);
  }
  const shares = sources.map(({ path, rows }, i) =>
    `${counts[i]} of ${path} (which has ${rows.length})`
  );
  notes.push(`an epoch has ${mixed.length} rows: ${shares.join(", ")}`);
  return mixed;
}
