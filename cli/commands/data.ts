/**
 * `deno task data`: a dataset, split for training and validation. In: a dataset on a hub, or files of
 * rows. Out: train.jsonl and val.jsonl, byte for byte those of Qwen3-Medical-SFT's data.py, where
 * they came from in split.json, and a report of what is in them.
 *
 * @module
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import { readDatasetRows } from "../../data/records/dataset_rows.ts";
import type { DatasetRows } from "../../data/records/dataset_rows.ts";
import { formatPythonJson } from "../../internal/json/python_json.ts";
import { splitDataset } from "../../data/records/split_dataset.ts";
import type { HubOptions } from "../../hub/hub_options.ts";
import { resolveDatasetFile } from "../../hub/resolve_dataset_file.ts";
import { chooseSplit, listDataset, resolveDataset } from "../../hub/resolve_dataset.ts";
import { describeRowFile } from "../../data/records/row_file.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { isFile, isFolder } from "../../internal/path_kind.ts";
import { type DataSource, HUB_NAMES, parseDataSource } from "../arguments/data_source.ts";
import { createByteProgress } from "../terminal/byte_progress.ts";
import { createDataFacts } from "../data_report/data_facts.ts";
import { formatDataFacts, renderDataReport } from "../data_report/data_report.ts";
import { formatListing } from "../data_report/dataset_table.ts";
import { describeAlike, describeDropped, findRepeats } from "../data_report/row_repeats.ts";
import { expandRows, findRows } from "../../train/runs/row_paths.ts";
import { DATA } from "../../train/runs/named_folders.ts";
import { count, probability, repositoryId, seed } from "../arguments/flag_values.ts";
import { hubEnvironment } from "../process/hub_environment.ts";
import { runCommand } from "../process/run_command.ts";
import {
  addPreviewFlags,
  openTokenizer,
  previewCommand,
  type PreviewFlags,
} from "./preview_command.ts";
import { terminal } from "../terminal/terminal.ts";
import { formatSplit, SEED_DATASET, SPLIT_FILE } from "../../train/runs/seed_data.ts";
import { DEFAULT_SYSTEM } from "../../train/runs/training_arguments.ts";
import { refuseOverwrite, writeTogether } from "../data_report/write_split.ts";

interface DataFlags extends PreviewFlags {
  readonly datasetName: string;
  readonly datasetFile?: string;
  readonly source: DataSource;
  readonly subset?: string;
  readonly split?: string;
  readonly list?: boolean;
  readonly revision?: string;
  readonly trainRatio: number;
  readonly seed: number;
  readonly maxRows?: number;
  readonly dedup?: boolean;
  readonly overwrite?: boolean;
  readonly offline?: boolean;
}

/** The file of the seed's dataset, which has no card that names one. */
const SEED_FILE = "r1_data_example.jsonl";
const DEFAULT_SOURCE: DataSource = { hub: "modelscope", id: undefined };

function source(text: string): DataSource {
  try {
    return parseDataSource(text);
  } catch (cause) {
    throw new InvalidArgumentError((cause as Error).message);
  }
}

await runCommand<DataFlags>({
  name: "deno task data",
  description: "Fetches or reads a dataset, shuffles it as Python does, splits and describes it.",
  flags: (command: Command) => {
    command
      .option(
        "--dataset-name <id>",
        "dataset on the hub",
        repositoryId,
        SEED_DATASET,
      )
      .option(
        "--dataset-file <path>",
        "one file of the dataset, in place of a subset and a split",
      )
      .addOption(
        new Option(
          "--source <hub, dataset or files>",
          "modelscope, huggingface, a dataset on ModelScope (owner/name) or on Hugging Face " +
            "(huggingface:owner/name), or its page's address; or files of JSON Lines, JSON, CSV, TSV or " +
            "Parquet: a path, a folder or a pattern, also below data/",
        ).argParser(source).default(DEFAULT_SOURCE, "modelscope"),
      )
      .option("--subset <name>", "subset (config) of the dataset (default: its own default)")
      .option("--split <name>", "split of the dataset (default: train, or the only one)")
      .option("--list", "show subsets, splits, files, rows and columns, and do nothing else")
      .option("--revision <name>", "branch, tag or commit of the dataset")
      .option("--output-dir <dir>", "where train.jsonl and val.jsonl go", "data")
      .option("--train-ratio <number>", "part of the rows to train on", probability, 0.9)
      .option("--seed <number>", "seed of the shuffle", seed, 42)
      .option("--max-rows <number>", "rows to take, the first ones", count)
      .option("--dedup", "leave out rows that repeat earlier ones, or nearly so, before the split")
      .option(
        "--model <dir>",
        "model whose tokenizer gives lengths in tokens: its folder, the output folder of a run, or a " +
          "model's id below models/",
      )
      .option("--max-length <tokens>", "longest example that training will take", count, 2048)
      .option(
        "--system <text>",
        "system prompt that is counted in prompts (default: the seed's above its own dataset, else none)",
      )
      .option("--overwrite", "replace train.jsonl and val.jsonl")
      .option("--offline", "make no request");
    addPreviewFlags(command);
  },
  run: async ({ options, signal }) => {
    if (options.preview !== undefined) {
      return await previewCommand(options.preview, options, signal);
    }
    const { outputDir, trainRatio, maxRows, overwrite = false } = options;
    const located = await locateSource(options);
    if (options.list) return console.log((await list(located, options, signal)).join("\n"));
    const paths = {
      train: `${outputDir}/train.jsonl`,
      val: `${outputDir}/val.jsonl`,
      report: `${outputDir}/report.html`,
    };
    await refuseOverwrite([paths.train, paths.val], overwrite);
    const tokenizer = await openTokenizer(options);
    const { files, name, more } = await locate(located, options, signal);
    for (const file of files) {
      const { note } = await describeRowFile(file);
      if (note !== undefined) console.log(note);
    }
    const rows = await readDatasetRows(files, { maxRows });
    const repeats = findRepeats(rows, signal);
    const dropped = new Set(options.dedup ? repeats.map(({ index }) => index) : []);
    const kept = Array.from({ length: rows.length }, (_, index) => index)
      .filter((index) => !dropped.has(index));
    const split = splitDataset(kept.length, { trainRatio, seed: options.seed });
    const [train, validation] = [split.train, split.validation]
      .map((order) => order.map((index) => kept[index]));
    signal.throwIfAborted();
    await Deno.mkdir(outputDir, { recursive: true });
    const written = {
      ...more,
      seed: options.seed,
      trainRatio,
      ...maxRows === undefined ? {} : { maxRows },
      ...options.dedup ? { dedup: true } : {},
    };
    await writeTogether([
      { path: paths.train, parts: formatRows(rows, train) },
      { path: paths.val, parts: formatRows(rows, validation) },
      { path: `${outputDir}/${SPLIT_FILE}`, parts: [formatSplit(name, written)] },
    ]);
    for (const [path, { length }] of [[paths.train, train], [paths.val, validation]] as const) {
      console.log(`${path}  ${length} ${length === 1 ? "row" : "rows"}`);
    }
    const told = options.dedup
      ? describeDropped(rows, repeats)
      : describeAlike(rows, repeats, new Set(validation));
    for (const line of told) console.log(line);

    const own = name === SEED_DATASET ? DEFAULT_SYSTEM : undefined;
    const system = (options.system ?? own) || undefined;
    const collected = createDataFacts({ ...options, tokenizer, system });
    for (const [part, order] of [["train", train], ["val", validation]] as const) {
      for (const index of order) {
        signal.throwIfAborted();
        const { value, where } = rows.row(index);
        collected.add(value, where, part);
      }
    }
    const facts = collected.facts();
    const { columns } = rows;
    const shown = files.length === 1 ? files[0] : `${name} (${files.length} files)`;
    const report = { name: shown, columns, seed: options.seed, trainRatio };
    await writeTogether([{ path: paths.report, parts: [await renderDataReport(facts, report)] }]);
    console.log([...formatDataFacts(facts), paths.report].join("\n"));
  },
});

/** A dataset with its id, or files at their place. */
type Located =
  | { readonly hub: HubOptions["source"]; readonly id: string }
  | { readonly hub?: undefined; readonly path: string };

/** What may be an id or a folder below data/ is that folder where there is one. */
async function locateSource({ source, datasetName }: DataFlags): Promise<Located> {
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

async function list(located: Located, options: DataFlags, signal: AbortSignal): Promise<string[]> {
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

/** The files to split, and what they are called. */
async function locate(
  located: Located,
  options: DataFlags,
  signal: AbortSignal,
): Promise<{
  readonly files: readonly string[];
  readonly name: string;
  readonly more: Readonly<Record<string, string>>;
}> {
  if (located.hub === undefined) {
    const [{ path, files }] = await expandRows(located.path);
    return { files, name: path, more: {} };
  }
  const { hub, id } = located;
  const { subset, split, maxRows } = options;
  const file = options.datasetFile ?? (id === SEED_DATASET ? SEED_FILE : undefined);
  return await withHub(hub, options, signal, async (hubOptions) => {
    if (file !== undefined) {
      return { files: [await resolveDatasetFile(id, file, hubOptions)], name: id, more: {} };
    }
    if (maxRows === undefined) {
      const found = await resolveDataset(id, { ...hubOptions, subset, split });
      const more = { subset: found.subset.name, split: found.split.name };
      return { files: found.files, name: id, more };
    }
    const { subsets } = await listDataset(id, hubOptions);
    const chosen = chooseSplit(id, subsets, { subset, split });
    const files: string[] = [];
    // No more files than have as many rows.
    for (const path of chosen.split.files) {
      files.push(await resolveDatasetFile(id, path, hubOptions));
      if ((await readDatasetRows(files, { maxRows })).length >= maxRows) break;
    }
    return { files, name: id, more: { subset: chosen.subset.name, split: chosen.split.name } };
  });
}

async function withHub<T>(
  source: HubOptions["source"],
  { revision, outputDir, offline }: DataFlags,
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

function* formatRows(rows: DatasetRows, order: readonly number[]): Generator<string> {
  for (const index of order) yield `${formatPythonJson(rows.row(index).value)}\n`;
}
