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
import { describeRowFile } from "../../data/records/row_file.ts";
import { type DataSource, parseDataSource } from "../arguments/data_source.ts";
import { createDataFacts } from "../data_report/data_facts.ts";
import { formatDataFacts, renderDataReport } from "../data_report/data_report.ts";
import { describeAlike, describeDropped, findRepeats } from "../data_report/row_repeats.ts";
import { count, probability, repositoryId, seed } from "../arguments/flag_values.ts";
import { runCommand } from "../process/run_command.ts";
import { type DatasetFlags, listSplits, locateFiles, locateSource } from "./dataset_files.ts";
import {
  addPreviewFlags,
  openTokenizer,
  previewCommand,
  type PreviewFlags,
} from "./preview_command.ts";
import { formatSplit, SEED_DATASET, SPLIT_FILE } from "../../train/runs/seed_data.ts";
import { DEFAULT_SYSTEM } from "../../train/runs/training_arguments.ts";
import { refuseOverwrite, writeTogether } from "../data_report/write_split.ts";
import { plural } from "../../internal/plural.ts";

interface DataFlags extends PreviewFlags, DatasetFlags {
  readonly list?: boolean;
  readonly seed: number;
  readonly dedup?: boolean;
  readonly overwrite?: boolean;
}

/** Part of the rows to train on, where they are drawn. */
const TRAIN_RATIO = 0.9;
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
      .option(
        "--validation-split <name>",
        "split that becomes val.jsonl (default: beside a split train the dataset's own validation, valid, dev " +
          "or val, if it has one)",
      )
      .option(
        "--train-ratio <number>",
        "part of the rows to train on, in place of a validation split; others are drawn for val.jsonl " +
          "(default: without such a split 0.9)",
        probability,
      )
      .option("--seed <number>", "seed of the shuffle", seed, 42)
      .option("--max-rows <number>", "rows to take of each split, the first ones", count)
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
    const { outputDir, seed, maxRows, overwrite = false } = options;
    const located = await locateSource(options);
    if (options.list) return console.log((await listSplits(located, options, signal)).join("\n"));
    const paths = {
      train: `${outputDir}/train.jsonl`,
      val: `${outputDir}/val.jsonl`,
      report: `${outputDir}/report.html`,
    };
    await refuseOverwrite([paths.train, paths.val], overwrite);
    const tokenizer = await openTokenizer(options);
    const { files, validation, name, more, notes } = await locateFiles(located, options, signal);
    for (const file of [...files, ...validation?.files ?? []]) {
      const { note } = await describeRowFile(file);
      if (note !== undefined) console.log(note);
    }
    for (const note of notes) console.log(note);
    // Of rows that stand in both the later ones are left out, those to train on.
    const own = validation && await readDatasetRows(validation.files, { maxRows });
    const rows = joinRows([...own ? [own] : [], await readDatasetRows(files, { maxRows })]);
    const repeats = findRepeats(rows, signal);
    const dropped = new Set(options.dedup ? repeats.map(({ index }) => index) : []);
    const kept = Array.from({ length: rows.length }, (_, index) => index)
      .filter((index) => !dropped.has(index));
    const { trainRatio = TRAIN_RATIO } = options;
    const split = own
      ? {
        validation: kept.filter((i) => i < own.length),
        train: kept.filter((i) => i >= own.length),
      }
      : drawSplit(kept, { trainRatio, seed });
    if (split.train.length === 0) {
      throw new Error(
        "Cannot split the rows: --dedup leaves none to train on, as all stand among the validation rows",
      );
    }
    signal.throwIfAborted();
    await Deno.mkdir(outputDir, { recursive: true });
    const written = {
      ...more,
      ...validation ? { validationSplit: validation.name } : { seed, trainRatio },
      ...maxRows === undefined ? {} : { maxRows },
      ...options.dedup ? { dedup: true } : {},
    };
    await writeTogether([
      { path: paths.train, parts: formatRows(rows, split.train) },
      { path: paths.val, parts: formatRows(rows, split.validation) },
      { path: `${outputDir}/${SPLIT_FILE}`, parts: [formatSplit(name, written)] },
    ]);
    for (
      const [path, { length }] of [[paths.train, split.train], [
        paths.val,
        split.validation,
      ]] as const
    ) {
      console.log(`${path}  ${length} ${plural(length, "row")}`);
    }
    const told = options.dedup
      ? describeDropped(rows, repeats)
      : describeAlike(rows, repeats, new Set(split.validation));
    for (const line of told) console.log(line);

    const ownSystem = name === SEED_DATASET ? DEFAULT_SYSTEM : undefined;
    const system = (options.system ?? ownSystem) || undefined;
    const collected = createDataFacts({ ...options, tokenizer, system });
    for (const [part, order] of [["train", split.train], ["val", split.validation]] as const) {
      for (const index of order) {
        signal.throwIfAborted();
        const { value, where } = rows.row(index);
        collected.add(value, where, part);
      }
    }
    const facts = collected.facts();
    const { columns } = rows;
    const shown = files.length === 1 ? files[0] : `${name} (${files.length} files)`;
    const report = {
      name: shown,
      columns,
      split: validation ? { validation: validation.name } : { seed, trainRatio },
    };
    await writeTogether([{ path: paths.report, parts: [await renderDataReport(facts, report)] }]);
    console.log([...formatDataFacts(facts), paths.report].join("\n"));
  },
});

/** Some are drawn for validation, as CPython does. */
function drawSplit(
  kept: readonly number[],
  options: { readonly trainRatio: number; readonly seed: number },
): { readonly train: readonly number[]; readonly validation: readonly number[] } {
  const { train, validation } = splitDataset(kept.length, options);
  return {
    train: train.map((index) => kept[index]),
    validation: validation.map((index) => kept[index]),
  };
}

/** The rows of several readings, in order, each with the columns of its own. */
function joinRows(parts: readonly DatasetRows[]): DatasetRows {
  const [first, second] = parts;
  if (second === undefined) return first;
  return {
    length: first.length + second.length,
    columns: [...new Set([...second.columns, ...first.columns])],
    row: (index) => index < first.length ? first.row(index) : second.row(index - first.length),
  };
}

function* formatRows(rows: DatasetRows, order: readonly number[]): Generator<string> {
  for (const index of order) yield `${formatPythonJson(rows.row(index).value)}\n`;
}
