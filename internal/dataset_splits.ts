/**
 * Which files of a folder are the rows of which split, by the conventions of the Python package
 * datasets (5.2.0).
 *
 * In: paths of files. Out: splits with their files of rows: those of `data/train-00000-of-00002.…`
 * first; else by the names of folders, else of files (`train`, `dev`, `eval`, …); else all are
 * `train`. Of files of unlike kinds the most frequent kind is taken.
 *
 * @module
 */

import { compileGlob } from "./glob_pattern.ts";

/** Rows that belong together. */
export interface SplitFiles {
  /** Such as `train`. */
  readonly name: string;
  /** Paths of its files, in order. */
  readonly files: readonly string[];
}

const SHARDED = /^data\/(.+)-\d{5}-of-\d{5}[^/]*\.[^/]*$/;
const SPLIT_NAME = /^\w+(?:\.\w+)*$/;
const VALIDATION: readonly string[] = ["validation", "valid", "dev", "val"];
const KEYWORDS: readonly (readonly [string, readonly string[]])[] = [
  ["train", ["train", "training"]],
  ["validation", VALIDATION],
  ["test", ["test", "testing", "eval", "evaluation"]],
];
const SEPARATORS = "[-._ 0-9]";
const IN_FOLDER_NAMES = [
  "**/KEYWORD/**",
  `**/KEYWORD${SEPARATORS}*/**`,
  `**/*${SEPARATORS}KEYWORD/**`,
  `**/*${SEPARATORS}KEYWORD${SEPARATORS}*/**`,
];
const IN_FILE_NAMES = [`**/KEYWORD${SEPARATORS}*`, `**/*${SEPARATORS}KEYWORD${SEPARATORS}*`];
/** Files that describe a data set. */
const IGNORED: ReadonlySet<string> = new Set([
  ...["README.md", "config.json", "dataset_info.json", "dataset_infos.json"],
  ...["dummy_data.zip", "dataset_dict.json", "state.json"],
]);

/** Kinds of files that have rows, by their endings; the first are taken where as many are there. */
const ROW_KINDS: Readonly<Record<string, string>> = {
  parquet: "parquet",
  jsonl: "json",
  json: "json",
  ndjson: "json",
  csv: "csv",
  tsv: "csv",
};
/** Endings of what is data and has no rows. */
const OTHER_KINDS: Readonly<Record<string, string>> = {
  arrow: "Arrow",
  txt: "plain text",
  conll: "CoNLL",
  tar: "WebDataset",
  xml: "XML",
  hdf5: "HDF5",
  h5: "HDF5",
  zip: "zip",
  lance: "Lance",
  ...Object.fromEntries(
    ["png", "jpg", "jpeg", "gif", "webp", "bmp", "tiff"].map((each) => [each, "images"]),
  ),
  ...Object.fromEntries(
    ["mp3", "wav", "flac", "ogg", "opus", "m4a"].map((each) => [each, "sound"]),
  ),
  ...Object.fromEntries(["mp4", "mkv", "avi", "mov", "webm"].map((each) => [each, "video"])),
  pdf: "PDF",
};

/** Splits of files by their names; none where no file has rows. */
export function inferSplits(paths: readonly string[]): readonly SplitFiles[] {
  return namedSplits(paths).flatMap(({ name, files }) => {
    const rows = rowFiles(files);
    return rows.length === 0 ? [] : [{ name, files: rows }];
  });
}

/** The split to evaluate on, where there is one: `validation` or what else it is called, not `test`. */
export function validationSplit<Split extends { readonly name: string }>(
  splits: readonly Split[],
): Split | undefined {
  return VALIDATION.map((name) => splits.find((split) => split.name === name)).find((found) =>
    found
  );
}

/** What the most frequent kind of data in a folder is, where it has no rows. */
export function otherKind(paths: readonly string[]): string | undefined {
  const kind = commonKind(paths.filter((path) => isVisible(path, "")));
  return kind === undefined || isRowKind(kind) ? undefined : kind;
}

/**
 * Files that match a pattern, in order of their paths; hidden ones only where the pattern names
 * them as such.
 */
export function matchFiles(paths: readonly string[], pattern: string): readonly string[] {
  const matches = compileGlob(pattern);
  return paths.filter((path) => matches(path) && isVisible(path, pattern)).sort(compare);
}

/** The files that have rows, of the most frequent kind. */
export function rowFiles(paths: readonly string[]): readonly string[] {
  const kind = commonKind(paths);
  if (kind === undefined || !isRowKind(kind)) return [];
  return paths.filter((path) => endingsOf(path).some((each) => ROW_KINDS[each] === kind));
}

/** By code points, as Python orders. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function namedSplits(paths: readonly string[]): readonly SplitFiles[] {
  const visible = paths.filter((path) => isVisible(path, "")).sort(compare);
  const sharded = new Map<string, string[]>();
  for (const path of visible) {
    const name = SHARDED.exec(path)?.[1];
    if (name !== undefined) sharded.set(name, [...sharded.get(name) ?? [], path]);
  }
  if (sharded.size > 0 && [...sharded.keys()].every((name) => SPLIT_NAME.test(name))) {
    const known = KEYWORDS.map(([name]) => name).filter((name) => sharded.has(name));
    const others = [...sharded.keys()].filter((name) => !known.includes(name)).sort(compare);
    return [...known, ...others].map((name) => ({ name, files: sharded.get(name)! }));
  }
  for (const patterns of [IN_FOLDER_NAMES, IN_FILE_NAMES]) {
    const splits = KEYWORDS.flatMap(([name, words]) => {
      const globs = words.flatMap((word) => patterns.map((each) => each.replace("KEYWORD", word)));
      const files = [...new Set(globs.flatMap((glob) => matchFiles(visible, glob)))];
      return files.length === 0 ? [] : [{ name, files }];
    });
    if (splits.length > 0) return splits;
  }
  return visible.length === 0 ? [] : [{ name: "train", files: visible }];
}

/** Whether a path has no hidden part, or as many as the pattern. */
function isVisible(path: string, pattern: string): boolean {
  const hidden = (text: string): number =>
    text.split("/").filter((part) => /^\.(?!\.*$)/.test(part)).length;
  const special = (text: string): number =>
    text.split("/").slice(0, -1).filter((part) => part.startsWith("__")).length;
  const name = path.split("/").at(-1)!;
  return hidden(path) === hidden(pattern) && special(path) === special(pattern) &&
    (!IGNORED.has(name) || pattern.split("/").at(-1) === name);
}

function isRowKind(kind: string): boolean {
  return Object.values(ROW_KINDS).includes(kind);
}

/** Endings of a name: of `rows.jsonl.gz` both. */
function endingsOf(path: string): readonly string[] {
  return path.split("/").at(-1)!.toLowerCase().split(".").slice(1);
}

/** The kind of the most frequent ending that is one of data. */
function commonKind(paths: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const ending of paths.flatMap(endingsOf)) {
    if (!Object.hasOwn(ROW_KINDS, ending) && !Object.hasOwn(OTHER_KINDS, ending)) continue;
    counts.set(ending, (counts.get(ending) ?? 0) + 1);
  }
  const preferred = Object.keys(ROW_KINDS);
  const rank = (ending: string): number =>
    preferred.includes(ending) ? preferred.indexOf(ending) : preferred.length;
  const [first] = [...counts].sort(([a, m], [b, n]) => n - m || rank(a) - rank(b) || compare(b, a));
  return first && (ROW_KINDS[first[0]] ?? OTHER_KINDS[first[0]]);
}
