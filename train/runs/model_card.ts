/**
 * The README.md of a pushed model. In: the run's manifest, its evaluations and samples. Out: a model
 * card in Hugging Face's form: what it was made from, how, with which result, and how to use it.
 */

import { basename } from "node:path";
import type { ChatSettings } from "../../data/text/chat_settings.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { SampleRow } from "../track/run_update.ts";
import { formatSample } from "../track/sample.ts";
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
  /** What the model said after training. */
  readonly samples?: readonly SampleRow[];
  /** Whether loss.svg lies beside the card. */
  readonly curve?: boolean;
  /** How it was taught to chat, where its folder says. */
  readonly chat?: ChatSettings;
}

/** Arguments that a reader asks for, by the words of TrainingArguments. */
const SHOWN = [
  "learningRate",
  "lrSchedulerType",
  "numTrainEpochs",
  "maxSteps",
  "perDeviceTrainBatchSize",
  "gradientAccumulationSteps",
  "tokensPerStep",
  "packing",
  "maxLength",
  "warmupSteps",
  "weightDecay",
  "maxGradNorm",
  "optim",
  "seed",
  "compat",
] as const;

/** Writes the card. */
export function modelCard(options: ModelCardOptions): string {
  const { repo, adapter, baseModel: base, manifest, samples = [], curve = false, chat } = options;
  const baseName = base ??
    (manifest ? folderName(String(manifest.arguments.model)) : "its base model");
  return [
    frontMatter({ adapter, base }),
    `# ${basename(repo)}\n\n` +
    `${adapter ? "A LoRA adapter for" : "A fine-tuning of"} ${baseName}, made with ` +
    `[ortune](https://jsr.io/@ortune/ortune) ${VERSION} on stock ONNX Runtime.`,
    ...curve ? ["![Loss](loss.svg)"] : [],
    ...manifest ? [training(manifest)] : [],
    ...samples.length > 0 ? [said(samples)] : [],
    ...chat ? chatting(chat) : [],
    usage({ repo, adapter, base }),
  ].join("\n\n") + "\n";
}

function frontMatter(
  { adapter, base }: { readonly adapter: boolean; readonly base?: string },
): string {
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
    "---",
  ].join("\n");
}

function training(
  { command, arguments: args, files, versions, metrics, best }: RunManifest,
): string {
  const rows: [string, unknown][] = [
    ...Object.entries(metrics ?? {}),
    ...best
      ? [[`best ${best.metric}`, `${best.value} at step ${best.step}`] as [string, string]]
      : [],
    ...SHOWN.map((name): [string, unknown] => [name, args[name]]),
    ...Object.entries(args.lora ?? {}).map(([name, value]): [string, unknown] => [
      `lora ${name}`,
      name === "initAdapter" && value
        ? basename(String(value))
        : isRecord(value)
        ? JSON.stringify(value)
        : value,
    ]),
  ];
  const data = files.filter(({ path }) => path.endsWith(".jsonl"));
  return [
    "## Training",
    table(["", ""], rows.filter(([, value]) => value !== undefined && value !== null)),
    ...data.length > 0
      ? [table(["data", "bytes", "sha256"], data.map((f) => [basename(f.path), f.bytes, f.sha256]))]
      : [],
    ...command === null ? [] : [fenced(command, "sh")],
    `Versions: ${Object.entries(versions).map(([name, value]) => `${name} ${value}`).join(", ")}.`,
  ].join("\n\n");
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
  { repo, adapter, base }: {
    readonly repo: string;
    readonly adapter: boolean;
    readonly base?: string;
  },
): string {
  const python = adapter
    ? [
      "from peft import PeftModel",
      "from transformers import AutoModelForCausalLM",
      "",
      `base = AutoModelForCausalLM.from_pretrained(${JSON.stringify(base ?? "BASE")})`,
      `model = PeftModel.from_pretrained(base, ${JSON.stringify(repo)})`,
    ]
    : [
      "from transformers import AutoModelForCausalLM",
      "",
      `model = AutoModelForCausalLM.from_pretrained(${JSON.stringify(repo)})`,
    ];
  const deno = [
    `deno task fetch --model ${repo} --source huggingface`,
    adapter
      ? `deno task inference:lora --adapter models/${repo} --model ${base ?? "BASE"}`
      : `deno task inference --model ${repo}`,
  ];
  return ["## Use", fenced(python.join("\n"), "python"), fenced(deno.join("\n"), "sh")].join(
    "\n\n",
  );
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
