/**
 * `deno task data`: a dataset, split for training and validation. In: a dataset on a hub, or a JSON
 * Lines file. Out: train.jsonl and val.jsonl, byte for byte those of Qwen3-Medical-SFT's data.py, where
 * they came from in split.json, and a report of what is in them.
 *
 * @module
 */

import type { Command } from "commander";
import { readDatasetRows } from "../../data/records/dataset_rows.ts";
import type { DatasetRows } from "../../data/records/dataset_rows.ts";
import { formatPythonJson } from "../../internal/json/python_json.ts";
import { splitDataset } from "../../data/records/split_dataset.ts";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { resolveDatasetFile } from "../../hub/resolve_dataset_file.ts";
import { createByteProgress } from "../terminal/byte_progress.ts";
import { createDataFacts } from "../data_report/data_facts.ts";
import { formatDataFacts, renderDataReport } from "../data_report/data_report.ts";
import { findFile } from "../../train/runs/find_file.ts";
import { findModel, findTrained } from "../../train/runs/find_model.ts";
import { DATA } from "../../train/runs/named_folders.ts";
import { count, probability, repositoryId, seed } from "../arguments/flag_values.ts";
import { hubEnvironment } from "../process/hub_environment.ts";
import { runCommand } from "../process/run_command.ts";
import { terminal } from "../terminal/terminal.ts";
import { formatSplit, SEED_DATASET, SPLIT_FILE } from "../../train/runs/seed_data.ts";
import { DEFAULT_SYSTEM } from "../../train/runs/training_arguments.ts";
import { refuseOverwrite, writeTogether } from "../data_report/write_split.ts";

interface DataFlags {
  readonly datasetName: string;
  readonly datasetFile: string;
  readonly source: string;
  readonly revision?: string;
  readonly outputDir: string;
  readonly trainRatio: number;
  readonly seed: number;
  readonly model?: string;
  readonly maxLength: number;
  readonly system?: string;
  readonly overwrite?: boolean;
  readonly offline?: boolean;
}

/** Sources that are no files. */
const HUBS = ["modelscope", "huggingface"] as const;

await runCommand<DataFlags>({
  name: "deno task data",
  description: "Fetches or reads a dataset, shuffles it as Python does, splits and describes it.",
  flags: (command: Command) =>
    command
      .option(
        "--dataset-name <id>",
        "dataset on the hub",
        repositoryId,
        SEED_DATASET,
      )
      .option("--dataset-file <path>", "file of the dataset", "r1_data_example.jsonl")
      .option(
        "--source <hub or file>",
        "modelscope, huggingface or a .jsonl file: its path, or its name below data/",
        "modelscope",
      )
      .option("--revision <name>", "branch, tag or commit of the dataset")
      .option("--output-dir <dir>", "where train.jsonl and val.jsonl go", "data")
      .option("--train-ratio <number>", "part of the rows to train on", probability, 0.9)
      .option("--seed <number>", "seed of the shuffle", seed, 42)
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
      .option("--offline", "make no request"),
  run: async ({ options, signal }) => {
    const { outputDir, trainRatio, maxLength, overwrite = false } = options;
    const paths = {
      train: `${outputDir}/train.jsonl`,
      val: `${outputDir}/val.jsonl`,
      report: `${outputDir}/report.html`,
    };
    await refuseOverwrite([paths.train, paths.val], overwrite);
    const tokenizer = options.model === undefined
      ? undefined
      : await loadTokenizer(await findTrained(await findModel(options.model), "tokenizer.json"));
    const file = await locate(options, signal);
    const source = isHub(options.source) ? options.datasetName : file;
    const rows = await readDatasetRows([file]);
    const { train, validation } = splitDataset(rows.length, { trainRatio, seed: options.seed });
    signal.throwIfAborted();
    await Deno.mkdir(outputDir, { recursive: true });
    await writeTogether([
      { path: paths.train, parts: formatRows(rows, train) },
      { path: paths.val, parts: formatRows(rows, validation) },
      {
        path: `${outputDir}/${SPLIT_FILE}`,
        parts: [formatSplit(source, { seed: options.seed, trainRatio })],
      },
    ]);
    for (const [path, { length }] of [[paths.train, train], [paths.val, validation]] as const) {
      console.log(`${path}  ${length} ${length === 1 ? "row" : "rows"}`);
    }

    const own = source === SEED_DATASET ? DEFAULT_SYSTEM : undefined;
    const system = (options.system ?? own) || undefined;
    const collected = createDataFacts({ tokenizer, maxLength, system });
    for (const [part, order] of [["train", train], ["val", validation]] as const) {
      for (const index of order) {
        signal.throwIfAborted();
        const { value, where } = rows.row(index);
        collected.add(value, where, part);
      }
    }
    const facts = collected.facts();
    const { columns } = rows;
    const report = { name: file, columns, seed: options.seed, trainRatio };
    await writeTogether([{ path: paths.report, parts: [await renderDataReport(facts, report)] }]);
    console.log([...formatDataFacts(facts), paths.report].join("\n"));
  },
});

/** Whether a source is a hub, not a file. */
function isHub(source: string): source is typeof HUBS[number] {
  return (HUBS as readonly string[]).includes(source);
}

/** The file to split: found as its name says, or fetched where it is a hub's. */
async function locate(options: DataFlags, signal: AbortSignal): Promise<string> {
  const { source, datasetName, datasetFile, revision, outputDir, offline } = options;
  if (!isHub(source)) {
    return await findFile(source, { flag: "--source", folders: [DATA], others: HUBS });
  }
  const progress = createByteProgress(terminal);
  try {
    return await resolveDatasetFile(datasetName, datasetFile, {
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
