/**
 * The README.md of a pushed model. In: the run's manifest, its evaluations and samples. Out: a model
 * card in Hugging Face's form: what it was made from, how, with which result, and how to use it.
 */

import { basename } from "node:path";
import type { ChatSettings } from "../../data/text/chat_settings.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { BaseStorage } from "../../model/base_storage.ts";
import { METRIC_NAMES } from "../best_evaluation.ts";
import {
  formatBytes,
  formatCount,
  formatDate,
  formatDuration,
  formatLoss,
} from "../track/format_units.ts";
import type { FigureRow, SampleRow } from "../track/run_update.ts";
import { formatSample } from "../track/sample.ts";
import { compileGlob, isGlob } from "../../internal/glob_pattern.ts";
import { folderName } from "./folder_name.ts";
import type { RunManifest } from "./run_manifest.ts";
import { VERSION } from "../../internal/version.ts";

/** What a card is written from. */
export interface ModelCardOptions {
  /** `owner/name` of the repository. */
  readonly repo: string;
  /** Whether the files are an adapter's. */
  readonly adapter: boolean;
  /** The id of the model that it was made from, where it is on a hub. */
  readonly baseModel?: string;
  /** The run that made the weights, where its folder is known. */
  readonly manifest?: RunManifest;
  /** What the run logged, of which the card shows the evaluations. */
  readonly figures?: readonly FigureRow[];
  /** What the model said after training. */
  readonly samples?: readonly SampleRow[];
  /** Whether loss.svg lies beside the card. */
  readonly curve?: boolean;
  /** How it was taught to chat, where its folder says. */
  readonly chat?: ChatSettings;
  /** What an adapter's base was rounded to while it was trained. @default nothing */
  readonly storage?: BaseStorage;
}

/** Arguments that a reader asks for, by the words of TrainingArguments and of Trainer's own cards. */
const SHOWN = {
  learning_rate: "learningRate",
  train_batch_size: "perDeviceTrainBatchSize",
  eval_batch_size: "perDeviceEvalBatchSize",
  seed: "seed",
  gradient_accumulation_steps: "gradientAccumulationSteps",
  tokens_per_step: "tokensPerStep",
  packing: "packing",
  max_length: "maxLength",
  optimizer: "optim",
  weight_decay: "weightDecay",
  max_grad_norm: "maxGradNorm",
  lr_scheduler_type: "lrSchedulerType",
  warmup_steps: "warmupSteps",
  num_epochs: "numTrainEpochs",
  max_steps: "maxSteps",
  compat: "compat",
} as const;

/** Where the card has an adapter merged to. */
const MERGED = "output/merged";
/** Evaluations that the card shows: of more, the last ones. */
const EVALUATIONS = 20;

/** Writes the card. */
export function modelCard(options: ModelCardOptions): string {
  const {
    repo,
    adapter,
    baseModel: base,
    manifest,
    figures = [],
    samples = [],
    curve = false,
    chat,
    storage,
  } = options;
  const baseName = base ??
    (manifest ? folderName(String(manifest.arguments.model)) : "its base model");
  return [
    frontMatter({ repo, adapter, base, manifest }),
    `# ${basename(repo)}\n\n` +
    `${adapter ? "A LoRA adapter for" : "A fine-tuning of"} ${baseName}, made with ` +
    `[ortune](https://jsr.io/@ortune/ortune) ${VERSION} on stock ONNX Runtime.`,
    ...curve ? ["![Loss](loss.svg)"] : [],
    ...manifest ? [training(manifest, figures)] : [],
    ...samples.length > 0 ? [said(samples)] : [],
    ...chat ? chatting(chat) : [],
    usage({ repo, adapter, base, storage }),
  ].join("\n\n") + "\n";
}

function frontMatter(
  { repo, adapter, base, manifest }: {
    readonly repo: string;
    readonly adapter: boolean;
    readonly base?: string;
    readonly manifest?: RunManifest;
  },
): string {
  const validation = manifest?.arguments.validationFile;
  const loss = manifest?.metrics?.evalLoss;
  // JSON strings are YAML strings.
  return [
    "---",
    `library_name: ${adapter ? "peft" : "transformers"}`,
    "pipeline_tag: text-generation",
    ...base ? [`base_model: ${JSON.stringify(base)}`] : [],
    "tags:",
    "- ortune",
    "- onnxruntime",
    ...adapter ? ["- lora"] : [],
    // As Hugging Face's Trainer writes it, so that the hub lists the result.
    ...typeof loss === "number" && typeof validation === "string"
      ? [
        "model-index:",
        `- name: ${JSON.stringify(basename(repo))}`,
        "  results:",
        "  - task:",
        "      type: text-generation",
        "      name: Text Generation",
        "    dataset:",
        `      name: ${JSON.stringify(basename(validation))}`,
        "      type: json",
        "      split: validation",
        "    metrics:",
        "    - type: loss",
        "      name: Loss",
        `      value: ${rounded(loss)}`,
      ]
      : [],
    "---",
  ].join("\n");
}

/** Four decimals are all that a loss says. */
function rounded(value: number): number {
  return Number(formatLoss(value));
}

const STATUS: Readonly<Record<string, string>> = {
  started: "did not end",
  completed: "finished",
  "early-stopped": "finished: stopped early",
  aborted: "aborted",
  failed: "failed",
};

function training(manifest: RunManifest, figures: readonly FigureRow[]): string {
  const { command, arguments: args, versions } = manifest;
  const hyperparameters: [string, unknown][] = [
    ...Object.entries(SHOWN).map(([name, key]): [string, unknown] => [name, args[key]]),
    ...Object.entries(args.lora ?? {}).map(([name, value]): [string, unknown] => [
      `lora ${name}`,
      name === "initAdapter" && value
        ? basename(String(value))
        : isRecord(value)
        ? JSON.stringify(value)
        : value,
    ]),
  ];
  return [
    "## Training",
    table(["", ""], results(manifest)),
    ...dataTable(manifest),
    "### Training hyperparameters",
    table(["", ""], hyperparameters.filter(([, value]) => value !== undefined && value !== null)),
    ...evaluations(figures),
    ...command === null ? [] : [fenced(command, "sh")],
    "### Framework versions",
    Object.entries(versions).map(([name, value]) => `- ${name} ${value}`).join("\n"),
  ].join("\n\n");
}

/** How the run ended, by the names of console, dashboard and report. */
function results({ status, started, metrics, best }: RunManifest): [string, string][] {
  const figure = (name: string, format: (value: number) => string): string | undefined => {
    const value = metrics?.[name];
    return value === undefined ? undefined : format(Number(value));
  };
  const rows: [string, string | undefined][] = [
    ["status", STATUS[status] ?? status],
    ["started", formatDate(started)],
    ["time", figure("seconds", formatDuration)],
    ["steps", figure("step", formatCount)],
    ["epochs", figure("epoch", (value) => String(Number(value.toFixed(2))))],
    ["tokens", figure("tokens", formatCount)],
    ["train loss", figure("trainLoss", formatLoss)],
    [METRIC_NAMES.eval_loss, figure("evalLoss", formatLoss)],
    [METRIC_NAMES.eval_token_loss, figure("evalTokenLoss", formatLoss)],
    ["perplexity", figure("evalTokenLoss", (value) => formatLoss(Math.exp(value)))],
    best
      ? [
        `best ${METRIC_NAMES[best.metric]}`,
        `${formatLoss(Number(best.value))} at step ${best.step}`,
      ]
      : ["best", undefined],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== undefined);
}

/** Whether a file is meant by a name: of itself, its folder or a pattern. */
function isOf(file: string, name: string): boolean {
  return file === name || file.startsWith(`${name}/`) || isGlob(name) && compileGlob(name)(file);
}

/** The files of rows, each with what it was for. */
function dataTable({ arguments: args, files, rows }: RunManifest): string[] {
  const parts = [
    { part: "training", paths: args.trainFile, count: rows?.training },
    { part: "validation", paths: args.validationFile, count: rows?.validation },
  ];
  const lines = parts.flatMap(({ part, paths, count }) => {
    const found = files.filter(({ path }) =>
      [paths].flat().some((each) => typeof each === "string" && isOf(path, each))
    );
    // Rows are counted of all files together.
    const shown = count === undefined || found.length > 1 ? "" : formatCount(count);
    return found.map((
      { path, bytes, sha256 },
    ) => [part, basename(path), shown, formatBytes(bytes), sha256]);
  });
  return lines.length > 0 ? [table(["data", "file", "rows", "size", "sha256"], lines)] : [];
}

/** Trainer's table of results: the last training loss logged, and the losses of the validation rows. */
function evaluations(figures: readonly FigureRow[]): string[] {
  const shown = (value: number | null | undefined): string =>
    value === undefined ? "no log" : value === null ? "NaN" : formatLoss(value);
  let logged: number | null | undefined;
  const rows: string[][] = [];
  for (const row of figures) {
    if (row.skipped_updates !== undefined) continue;
    if (row.loss !== undefined) logged = row.loss;
    if (row.eval_loss === undefined) continue;
    rows.push([
      shown(logged),
      (row.epoch ?? 0).toFixed(2),
      String(row.step),
      shown(row.eval_loss),
      shown(row.eval_token_loss),
    ]);
  }
  if (rows.length === 0) return [];
  const head = ["Train loss", "Epoch", "Step", "Eval loss", "Per token"];
  return [
    "### Training results",
    table(head, rows.slice(-EVALUATIONS)),
    "The eval loss is `eval_loss`: the mean over examples. Train loss and per token are means " +
    "over supervised tokens.",
  ];
}

function said(samples: readonly SampleRow[]): string {
  const last = samples.reduce((step, each) => Math.max(step, each.step), 0);
  const texts = samples.filter(({ step }) => step === last)
    .map(({ question, think, answer }) =>
      fenced(formatSample({ question, think: think || undefined, answer }))
    );
  return ["## What it says to validation questions", ...texts].join("\n\n");
}

/** What clients must do that know nothing of the training. */
function chatting({ system, enableThinking }: ChatSettings): string[] {
  const said = [
    ...system
      ? [
        "It was trained below this system prompt, which a client must send as the first message " +
        "(`deno task inference` and `deno task serve` do):",
        fenced(system),
      ]
      : system === ""
      ? ["It was trained without a system prompt: send none."]
      : [],
    ...enableThinking === false
      ? ["It was trained without thinking: render its chat template with `enable_thinking=False`."]
      : [],
  ];
  return said.length > 0 ? ["## Chat", ...said] : [];
}

function usage(
  { repo, adapter, base = "BASE", storage }: {
    readonly repo: string;
    readonly adapter: boolean;
    readonly base?: string;
    readonly storage?: BaseStorage;
  },
): string {
  const load = (name: string): string =>
    `AutoModelForCausalLM.from_pretrained(${JSON.stringify(name)})`;
  const whole = (name: string): string[] => [
    "from transformers import AutoModelForCausalLM",
    "",
    `model = ${load(name)}`,
  ];
  const python = adapter
    ? [
      "from peft import PeftModel",
      "from transformers import AutoModelForCausalLM",
      "",
      `base = ${load(base)}`,
      `model = PeftModel.from_pretrained(base, ${JSON.stringify(repo)})`,
    ]
    : whole(repo);
  const deno = [
    `deno task fetch --model ${repo} --source huggingface`,
    adapter
      ? `deno task inference:lora --adapter models/${repo} --model ${base}`
      : `deno task inference --model ${repo}`,
  ];
  const merge = `deno task merge --adapter models/${repo} --model ${base} --output-dir ${MERGED}`;
  const uses = storage
    ? [
      fenced(deno.join("\n"), "sh"),
      `It was trained on a base whose weights were rounded (\`--base-dtype ${storage.name}\`). ortune ` +
      "rounds them so again; PEFT does not know of it. For other programs, merge the adapter first:",
      fenced(merge, "sh"),
      fenced(whole(MERGED).join("\n"), "python"),
    ]
    : [fenced(python.join("\n"), "python"), fenced(deno.join("\n"), "sh")];
  return ["## Use", ...uses].join("\n\n");
}

function table(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const line = (cells: readonly unknown[]) =>
    `| ${
      cells.map((cell) => String(cell).replace(/[\\|]/g, "\\$&").replace(/\s+/g, " ")).join(" | ")
    } |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

/** Text that Markdown leaves alone: its fence is longer than any in it. */
function fenced(text: string, language = "text"): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}
