/**
 * What `deno task data` splits. In: flags. Out: a dataset on a hub or a place of files, its splits as a
 * table, and the files to train and to evaluate on, fetched where they are on a hub.
 */

import { readDatasetRows } from "../../data/records/dataset_rows.ts";
import type { HubOptions } from "../../hub/hub_options.ts";
import { resolveDatasetFile } from "../../hub/resolve_dataset_file.ts";
import { chooseSplit, listDataset, resolveDataset } from "../../hub/resolve_dataset.ts";
import { validationSplit } from "../../internal/dataset_splits.ts";
import { isFile, isFolder } from "../../internal/path_kind.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { DATA } from "../../train/runs/named_folders.ts";
import {
  describeSource,
  expandRows,
  findRows,
  type RowSource,
  splitsOfFolder,
} from "../../train/runs/row_paths.ts";
import { SEED_DATASET } from "../../train/runs/seed_data.ts";
import { type DataSource, HUB_NAMES } from "../arguments/data_source.ts";
import { formatListing } from "../data_report/dataset_table.ts";
import { hubEnvironment } from "../process/hub_environment.ts";
import { createByteProgress } from "../terminal/byte_progress.ts";
import { terminal } from "../terminal/terminal.ts";

/** Which dataset, and which rows of it. */
export interface DatasetFlags {
  readonly datasetName: string;
  readonly datasetFile?: string;
  readonly source: DataSource;
  readonly subset?: string;
  readonly split?: string;
  readonly validationSplit?: string;
  readonly trainRatio?: number;
  readonly revision?: string;
  readonly maxRows?: number;
  readonly outputDir: string;
  readonly offline?: boolean;
}

/** A dataset with its id, or files at their place. */
export type Located =
  | { readonly hub: HubOptions["source"]; readonly id: string }
  | { readonly hub?: undefined; readonly path: string };

/** The files to split. */
export interface LocatedFiles {
  readonly files: readonly string[];
  /** The split to evaluate on, where rows are not drawn for it. */
  readonly validation?: { readonly name: string; readonly files: readonly string[] };
  /** What they are called. */
  readonly name: string;
  /** What else is written down of them. */
  readonly more: Readonly<Record<string, string>>;
  /** What a user should know of the choice, a line each. */
  readonly notes: readonly string[];
}

/** The file of the seed's dataset, which has no card that names one. */
const SEED_FILE = "r1_data_example.jsonl";

/** What may be an id or a folder below data/ is that folder where there is one. */
export async function locateSource({ source, datasetName }: DatasetFlags): Promise<Located> {
  if (source.hub === undefined) {
    const path = await findRows(source.path, {
      flag: "--source",
      folders: [DATA],
      others: HUB_NAMES,
    });
    return { path };
  }
  if (source.hub === "modelscope" && source.id !== undefined) {
    for (const path of [source.id, `${DATA}/${source.id}`]) {
      if (await isFolder(path) || await isFile(path)) return { path };
    }
  }
  return { hub: source.hub, id: source.id ?? datasetName };
}

/** Subsets and splits of a dataset on a hub, as lines. */
export async function listSplits(
  located: Located,
  options: DatasetFlags,
  signal: AbortSignal,
): Promise<string[]> {
  if (located.hub === undefined) {
    throw new UsageError(
      "Cannot list files: --list is of a dataset on a hub; name one with --source",
    );
  }
  const { hub, id } = located;
  return await withHub(hub, options, signal, async (hubOptions) => {
    const { subset } = options;
    const listing = await listDataset(id, hubOptions);
    const subsets = listing.subsets.filter(({ name }) => subset === undefined || name === subset);
    if (subsets.length === 0) chooseSplit(id, listing.subsets, { subset });
    return formatListing({ ...listing, subsets });
  });
}

/** Finds or fetches the files to split. */
export async function locateFiles(
  located: Located,
  options: DatasetFlags,
  signal: AbortSignal,
): Promise<LocatedFiles> {
  const { trainRatio, validationSplit: wanted } = options;
  if (trainRatio !== undefined && wanted !== undefined) {
    throw new UsageError(
      "Cannot use --validation-split and --train-ratio: the one takes a split to evaluate on, the other " +
        "draws rows for it; give one of them",
    );
  }
  return located.hub === undefined
    ? await filesHere(located.path, options)
    : await filesOfHub(located, options, signal);
}

async function filesHere(path: string, options: DatasetFlags): Promise<LocatedFiles> {
  const { subset, split: wanted, validationSplit } = options;
  const flags = { subset, split: wanted, "validation-split": validationSplit };
  const isOne = !await isFolder(path);
  for (const [flag, value] of Object.entries(flags)) {
    if (value === undefined || !isOne && flag !== "subset") continue;
    throw new UsageError(`Cannot take --${flag} of ${path}: it has none; leave the flag out`);
  }
  if (isOne) {
    const [source] = await expandRows(path);
    return { files: source.files, name: path, more: {}, notes: noteOf(source) };
  }
  const splits = await splitsOfFolder(path);
  const first = wanted === undefined ? (await expandRows(path))[0].files[0] : undefined;
  const split = splits.find(({ name, files }) =>
    first === undefined ? name === wanted : files[0] === first
  );
  if (split === undefined) {
    throw new UsageError(
      `Cannot choose the split ${JSON.stringify(wanted)} of ${path}: it has ${
        splits.map(({ name }) => name).join(", ")
      }; name one with --split`,
    );
  }
  const { validation, notes } = chooseValidation(path, { splits, split }, options);
  return {
    ...{ files: split.files, validation, name: path, more: { split: split.name } },
    notes: [...noteOf({ path, files: split.files }), ...notes],
  };
}

function noteOf(source: RowSource): readonly string[] {
  const note = describeSource(source);
  return note === undefined ? [] : [note];
}

async function filesOfHub(
  { hub, id }: Extract<Located, { readonly id: string }>,
  options: DatasetFlags,
  signal: AbortSignal,
): Promise<LocatedFiles> {
  const { subset, split, maxRows } = options;
  const file = options.datasetFile ?? (id === SEED_DATASET ? SEED_FILE : undefined);
  return await withHub(hub, options, signal, async (hubOptions): Promise<LocatedFiles> => {
    if (file !== undefined) {
      refuseValidationSplit(options, `${file} is one file`);
      const path = await resolveDatasetFile(id, file, hubOptions);
      return { files: [path], name: id, more: {}, notes: [] };
    }
    const { subsets } = await listDataset(id, hubOptions);
    const chosen = chooseSplit(id, subsets, { subset, split });
    const { splits, name } = chosen.subset;
    const { validation, notes } = chooseValidation(
      `${id}, subset ${name}`,
      { splits, split: chosen.split },
      options,
    );
    const fetched = async (files: readonly string[], split: string): Promise<readonly string[]> => {
      if (maxRows === undefined) {
        return (await resolveDataset(id, { ...hubOptions, subset: name, split })).files;
      }
      const paths: string[] = [];
      // No more files than have as many rows.
      for (const path of files) {
        paths.push(await resolveDatasetFile(id, path, hubOptions));
        if ((await readDatasetRows(paths, { maxRows })).length >= maxRows) break;
      }
      return paths;
    };
    return {
      files: await fetched(chosen.split.files, chosen.split.name),
      validation: validation &&
        { ...validation, files: await fetched(validation.files, validation.name) },
      name: id,
      more: { subset: name, split: chosen.split.name },
      notes,
    };
  });
}

function refuseValidationSplit({ validationSplit }: DatasetFlags, why: string): void {
  if (validationSplit === undefined) return;
  throw new UsageError(`Cannot take a validation split: ${why}; draw rows with --train-ratio`);
}

interface Split {
  readonly name: string;
  readonly files: readonly string[];
}

/** The split that is named, else the dataset's own beside `train`, unless rows are to be drawn. */
function chooseValidation(
  dataset: string,
  { splits, split }: { readonly splits: readonly Split[]; readonly split: Split },
  { validationSplit: wanted, trainRatio }: DatasetFlags,
): Pick<LocatedFiles, "validation" | "notes"> {
  const others = splits.filter((each) => each !== split);
  if (wanted !== undefined) {
    const found = others.find(({ name }) => name === wanted);
    if (found !== undefined) return { validation: found, notes: [] };
    const state = others.length === 0
      ? `beside ${split.name} it has none; draw rows with --train-ratio`
      : `beside ${split.name} it has ${others.map(({ name }) => name).join(", ")}; name one`;
    throw new UsageError(
      `Cannot choose the validation split ${JSON.stringify(wanted)} of ${dataset}: ${state}`,
    );
  }
  if (trainRatio !== undefined || split.name !== "train") return { notes: [] };
  const own = validationSplit(others);
  if (own !== undefined) {
    const note =
      `${own.name}, a split of the dataset, becomes val.jsonl; --train-ratio draws rows of train ` +
      "in its place";
    return { validation: own, notes: [note] };
  }
  const test = others.find(({ name }) => name === "test");
  return {
    notes: test
      ? ["the dataset's split test is left alone; --validation-split test makes it val.jsonl"]
      : [],
  };
}

async function withHub<T>(
  source: HubOptions["source"],
  { revision, outputDir, offline }: DatasetFlags,
  signal: AbortSignal,
  work: (options: HubOptions) => Promise<T>,
): Promise<T> {
  const progress = createByteProgress(terminal);
  try {
    return await work({
      source,
      revision,
      cacheDir: `${outputDir}/downloads`,
      offline,
      signal,
      ...hubEnvironment(source),
      onProgress: progress.update,
      onNotice: progress.note,
    });
  } finally {
    progress.finish();
  }
}
