/**
 * Subsets and splits of a dataset's repository.
 *
 * In: paths of its files, and its card. Out: for each subset its splits with their files of rows, as
 * the Python package datasets finds them; or why there are none.
 */

import {
  inferSplits,
  matchFiles,
  otherKind,
  rowFiles,
  type SplitFiles,
} from "../internal/dataset_splits.ts";
import type { CardSubset, DatasetCard } from "./dataset_card.ts";

/** A split, with what the card says of it. */
export interface HubSplit {
  /** Such as `train`. */
  readonly name: string;
  /** Paths of its files in the repository, in order. */
  readonly files: readonly string[];
  /** How many rows it has, where the card says so. */
  readonly rows: number | undefined;
}

/** Rows that are loaded together: a `config` of Hugging Face. */
export interface HubSubset {
  /** Its name; `default` where the dataset names none. */
  readonly name: string;
  /** Whether it is taken where none is named. */
  readonly isDefault: boolean;
  /** Its splits with files of rows. */
  readonly splits: readonly HubSplit[];
  /** Columns with their types, where the card says them. */
  readonly columns: readonly string[];
}

/** Names without a card. */
const DEFAULT = "default";
/** The files that Hugging Face makes of any data set: `subset/split/0000.parquet`. */
const CONVERTED = /^([^/]+)\/(?:partial-)?([^/]+)\/\d{4,}\.parquet$/;

/**
 * Finds subsets and splits.
 *
 * @param name of the repository, without its owner
 * @throws {TypeError} as the end of a sentence: what the dataset has in place of rows
 */
export function datasetLayout(
  paths: readonly string[],
  card: DatasetCard,
  name: string,
): readonly HubSubset[] {
  const found = card.subsets.length > 0
    ? card.subsets.map((subset) => cardSubset(paths, subset))
    : undeclaredSubsets(paths, name);
  const subsets = found.filter(({ splits }) => splits.length > 0).map((subset) => {
    const facts = card.facts.get(subset.name) ??
      (found.length === 1 && card.facts.size === 1 ? [...card.facts.values()][0] : undefined);
    return {
      ...subset,
      columns: facts?.columns ?? [],
      splits: subset.splits.map((split) => ({ ...split, rows: facts?.rows.get(split.name) })),
    };
  });
  if (subsets.length > 0) return subsets;
  throw new TypeError(describeEmpty(paths, card));
}

type FoundSubset = Omit<HubSubset, "columns" | "splits"> & {
  readonly splits: readonly SplitFiles[];
};

function cardSubset(paths: readonly string[], subset: CardSubset): FoundSubset {
  const { name, isDefault, splits, folder } = subset;
  const prefix = folder === undefined ? "" : `${folder}/`;
  const inside = paths.filter((path) => path.startsWith(prefix))
    .map((path) => path.slice(prefix.length));
  const found = splits === undefined
    ? inferSplits(inside)
    : splits.flatMap(({ name, patterns }) => {
      const files = rowFiles([
        ...new Set(patterns.flatMap((pattern) => matchFiles(inside, pattern))),
      ]);
      return files.length === 0 ? [] : [{ name, files }];
    });
  return {
    name,
    isDefault,
    splits: found.map((split) => ({ ...split, files: split.files.map((each) => prefix + each) })),
  };
}

/** Subsets of a repository whose card names none. */
function undeclaredSubsets(paths: readonly string[], name: string): FoundSubset[] {
  if (paths.includes(`${name}.py`)) {
    throw new TypeError(
      `its rows come from a script, ${name}.py, which is not run`,
    );
  }
  const data = paths.filter((path) => path.endsWith(".parquet"));
  if (data.length === 0 || !data.every((path) => CONVERTED.test(path))) {
    return [{ name: DEFAULT, isDefault: true, splits: inferSplits(paths) }];
  }
  const subsets = new Map<string, Map<string, string[]>>();
  for (const path of data.toSorted()) {
    const [, subset, split] = CONVERTED.exec(path)!;
    const splits = subsets.get(subset) ?? new Map<string, string[]>();
    subsets.set(subset, splits.set(split, [...splits.get(split) ?? [], path]));
  }
  return [...subsets].map(([name, splits]) => ({
    name,
    isDefault: subsets.size === 1 || name === DEFAULT,
    splits: [...splits].map(([name, files]) => ({ name, files })),
  }));
}

function describeEmpty(paths: readonly string[], { subsets }: DatasetCard): string {
  if (subsets.length > 0) {
    return "none of the files that its README.md names is there, or has rows (JSON Lines, JSON, CSV, TSV, " +
      "Parquet)";
  }
  const kind = otherKind(paths);
  if (kind !== undefined) {
    return `it holds ${kind}, and rows are read of JSON Lines, JSON, CSV, TSV and Parquet`;
  }
  if (paths.some((path) => path.endsWith(".py"))) {
    return "it holds scripts alone, which are not run";
  }
  return "it holds no file of rows (JSON Lines, JSON, CSV, TSV, Parquet)";
}
