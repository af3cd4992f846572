/** The command behind `deno task eval`. In: flags. Out: a table, scores.json and report.html. */

import { Option } from "commander";
import { readRows } from "../../data/records/read_rows.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import { type EvalRow, parseEvalRow } from "../../infer/evaluate/asked_row.ts";
import { openOwnMetric, type OwnMetric } from "../../infer/evaluate/own_metric.ts";
import { findExported } from "../../infer/export/exported_generator.ts";
import type { JudgeOptions } from "../../infer/evaluate/judge.ts";
import { readCappedText } from "../../internal/regular_file.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { writeWhole } from "../../internal/write_whole.ts";
import { lockOutput } from "../../train/checkpoints/output_lock.ts";
import { createFileHasher } from "../../train/runs/file_hasher.ts";
import { findFile, findOutput } from "../../train/runs/find_file.ts";
import { findFolders, type FoundFolders } from "../../train/runs/find_model.ts";
import { folderName } from "../../train/runs/folder_name.ts";
import { columnsFlag } from "../arguments/columns_flag.ts";
import { count, device, DEVICE_HELP, seed, words } from "../arguments/flag_values.ts";
import { addSamplingFlags } from "../arguments/sampling_flags.ts";
import { renderEval } from "../eval_report/eval_page.ts";
import { evalJson } from "../eval_report/eval_result.ts";
import { formatEval } from "../eval_report/eval_table.ts";
import { openRuntime } from "../process/open_runtime.ts";
import type { CommandContext, CommandDefinition } from "../process/run_command.ts";
import { evalModel } from "./eval_model.ts";
import { type AnsweredModel, evalScores } from "./eval_scores.ts";

/** Parsed flags of the evaluation. */
export interface EvalFlags {
  readonly model: readonly string[];
  readonly adapter: readonly string[];
  readonly data: string;
  readonly columns?: RowColumns;
  readonly maxRows?: number;
  readonly outputDir: string;
  readonly scoreOnly?: boolean;
  readonly system?: string;
  readonly chatTemplate?: string;
  readonly maxNewTokens: number;
  readonly doSample?: boolean;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed: number;
  readonly batchSize: number;
  readonly kvCacheMib: number;
  readonly loss: boolean;
  readonly metric?: string;
  readonly judge?: string;
  readonly judgeModel?: string;
  readonly resamples: number;
  readonly device: string;
  readonly threads?: number;
}

const MIB = 2 ** 20;
/** Most bytes of a metric's file. */
const MAX_METRIC_BYTES = MIB;

/** The flags and what the command does. */
export const evalCommand: CommandDefinition<EvalFlags> = {
  name: "deno task eval",
  description:
    "Measures what models answer to the rows of a file, several models beside each other.",
  flags: (command) => {
    command
      .addOption(
        new Option(
          "--model <dirs...>",
          "model folders, checkpoints, output folders of runs, or ids below models/; the first is what " +
            "the others are compared with",
        ).default([], "none"),
      )
      .addOption(
        new Option(
          "--adapter <dirs...>",
          "adapters, each as a model of its own, on the one --model or else on the base that it names",
        ).default([], "none"),
      )
      .requiredOption(
        "--data <file>",
        "rows to answer, also below data/: any shape that is trained on, or choice files with the " +
          "columns of MMLU, C-Eval or CMB",
      )
      .addOption(columnsFlag())
      .option("--max-rows <n>", "answer the first rows only (default: all)", count)
      .option("--output-dir <dir>", "where replies, scores and the page go", "output/eval")
      .option("--score-only", "make no replies: score those that are kept again")
      .option(
        "--system <text>",
        "system prompt of rows that have none; empty for none (default: of each model the one it was " +
          "trained with, else none)",
      )
      .option("--chat-template <path>", "Jinja file of a chat template in place of the models'")
      .option("--max-new-tokens <n>", "most tokens of a reply", count, 512)
      .option("--do-sample", "draw replies by chance, as the flags below say (default: greedily)");
    addSamplingFlags(command)
      .option("--seed <n>", "of drawn replies, a row each, and of the intervals", seed, 42)
      .option("--batch-size <n>", "most replies made at once", count, 16)
      .option("--kv-cache-mib <n>", "most memory for keys and values, in MiB", count, 1024)
      .option("--no-loss", "leave out the loss of the reference, which takes a pass a row")
      .option(
        "--metric <file>",
        "TypeScript file, also below data/, whose default export makes numbers of (example, reply); it " +
          "runs without any permission",
      )
      .option(
        "--judge <url>",
        "OpenAI-compatible API that grades each answer from 1 to 5, such as http://127.0.0.1:11434/v1; " +
          "needs deno run with --allow-net for it (key: ORTUNE_JUDGE_KEY)",
        words,
      )
      .option("--judge-model <name>", "the judge's name there", words)
      .option("--resamples <n>", "bootstrap draws behind the 95 % intervals", count, 1000)
      .option("--device <name>", DEVICE_HELP, device, "cpu")
      .option("--threads <n>", "processor threads (default: all cores)", count);
  },
  run,
};

/** Flags that say how replies are drawn. */
const DRAWING = ["temperature", "topP", "topK", "minP"] as const;

async function run({ options, signal }: CommandContext<EvalFlags>): Promise<void> {
  const { doSample = false, scoreOnly = false, resamples, maxNewTokens, repetitionPenalty } =
    options;
  const drawing = DRAWING.filter((name) => options[name] !== undefined);
  if (drawing.length > 0 && !doSample) {
    throw new UsageError(
      "Cannot draw replies without --do-sample: give it, or leave its flags out",
    );
  }
  const judge = await judgeOf(options);
  const data = await findFile(options.data, { flag: "--data" });
  using own = await ownMetricOf(options);
  const folders = await namedFolders(options);
  const rows = await readEvalRows(data, options);
  const outputDir = await findOutput(options.outputDir);
  using _lock = await lockOutput(outputDir, { act: "evaluate into", holder: "command" });
  using runtime = openRuntime(options, { say });
  const how = {
    maxNewTokens,
    greedy: !doSample,
    seed: options.seed,
    ...repetitionPenalty === undefined ? {} : { repetitionPenalty },
    ...Object.fromEntries(drawing.map((name) => [name, options[name]])),
  };
  const hash = createFileHasher();
  const models: AnsweredModel[] = [];
  for (const found of folders) {
    const { name, model, adapter } = found;
    const file = name.replace(/[^\w.-]+/g, "-");
    const answered = await evalModel(found, rows, {
      runtime,
      how,
      losses: options.loss,
      batchSize: options.batchSize,
      cacheBytes: options.kvCacheMib * MIB,
      system: options.system,
      chatTemplate: options.chatTemplate,
      scoreOnly,
      journal: `${outputDir}/replies-${file}.jsonl`,
      hash,
      signal,
      say,
    });
    const gradesPath = `${outputDir}/grades-${file}.jsonl`;
    models.push({ name, model, adapter, gradesPath, ...answered });
  }
  const result = await evalScores(rows, models, {
    data,
    own,
    judge,
    seed: options.seed,
    resamples,
    signal,
  });
  const [scores, page] = [`${outputDir}/scores.json`, `${outputDir}/report.html`];
  await writeWhole(scores, evalJson(result));
  await writeWhole(page, await renderEval(result));
  for (const line of formatEval(result)) console.log(line);
  console.log(`scores and page: ${scores}, ${page}`);
}

function say(line: string): void {
  console.error(line);
}

/** The models in order, each with a name of its own. */
async function namedFolders(
  { model: models, adapter: adapters }: EvalFlags,
): Promise<(FoundFolders & { readonly name: string })[]> {
  if (models.length + adapters.length === 0) {
    throw new UsageError("Cannot evaluate nothing: give --model, or --adapter for one on its base");
  }
  if (adapters.length > 0 && models.length > 1) {
    throw new UsageError(
      `Cannot tell on which of ${models.length} models the adapters are: give one --model, or none for ` +
        "the base that each names",
    );
  }
  const useAdapter = "give it with --adapter";
  const found: FoundFolders[] = [];
  for (const model of models) found.push(await findFolders({ model }, useAdapter));
  for (const adapter of adapters) {
    found.push(await findFolders({ model: models[0], adapter }, useAdapter));
  }
  for (const { model } of found) {
    if (!await findExported(model)) continue;
    throw new UsageError(
      `Cannot evaluate the export ${model}: give the checkpoint that it was made from`,
    );
  }
  const taken = new Set<string>();
  return found.map((each) => {
    const own = folderName(each.adapter ?? each.model);
    let name = own;
    for (let n = 2; taken.has(name); n++) name = `${own}-${n}`;
    taken.add(name);
    return { ...each, name };
  });
}

async function readEvalRows(
  path: string,
  { columns, maxRows = Infinity }: EvalFlags,
): Promise<readonly EvalRow[]> {
  const rows: EvalRow[] = [];
  for await (
    const row of readRows(path, (value, where) => parseEvalRow(value, where, { columns }))
  ) {
    rows.push(row);
    if (rows.length >= maxRows) break;
  }
  return rows;
}

async function ownMetricOf({ metric }: EvalFlags): Promise<OwnMetric | undefined> {
  if (metric === undefined) return undefined;
  const path = await findFile(metric, { flag: "--metric" });
  const text = await readCappedText(path, {
    maxBytes: MAX_METRIC_BYTES,
    remedy: "give one TypeScript file",
    root: null,
  });
  return await openOwnMetric(path, text);
}

/** The judge; whether this process may ask it is seen before any reply is made. */
async function judgeOf(
  { judge, judgeModel }: EvalFlags,
): Promise<Omit<JudgeOptions, "signal"> | undefined> {
  if (judge === undefined) {
    if (judgeModel === undefined) return undefined;
    throw new UsageError("Cannot ask a judge without its address: give --judge");
  }
  if (judgeModel === undefined) {
    throw new UsageError("Cannot ask a judge without its name there: give --judge-model");
  }
  const url = URL.parse(judge);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new UsageError(
      `Cannot ask ${judge}: expected an address such as http://127.0.0.1:11434/v1`,
    );
  }
  const { state } = await Deno.permissions.query({ name: "net", host: url.host });
  if (state !== "granted") {
    throw new Error(
      `Cannot ask ${url.host}: the task may not use a network; run deno run --allow-net=${url.host} and ` +
        "the task's other flags in deno.json with cli/commands/eval.ts",
    );
  }
  const apiKey = Deno.env.get("ORTUNE_JUDGE_KEY") || undefined;
  return { url: judge, model: judgeModel, ...apiKey === undefined ? {} : { apiKey } };
}
