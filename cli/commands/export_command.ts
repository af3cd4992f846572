/** The flags of `deno task export` and what it does. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { basename } from "node:path";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { exportClientFiles } from "../../infer/export/client_files.ts";
import { type ExportedModel, exportModel } from "../../infer/export/export_model.ts";
import { ExportedDecoder } from "../../infer/export/exported_decoder.ts";
import { EXPORT_FORMATS, type ExportDtype } from "../../infer/export/export_format.ts";
import { GGUF_FILE_TYPES, type GgufFileType } from "../../gguf/mod.ts";
import { compareParity, type ParityModel, parityReference } from "../../infer/export/parity.ts";
import { checkpointParityModel, exportParityModel } from "../../infer/export/parity_models.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { ADAPTER_CONFIG, type AdapterConfig } from "../../lora/adapter_config.ts";
import { mergedSource } from "../../lora/merged_source.ts";
import { openAdapter } from "../../lora/open_adapter.ts";
import { trainedRounding } from "../../lora/trained_base.ts";
import { modelParameters } from "../../model/parameters.ts";
import { type Model, openModel } from "../../model/weights/open_model.ts";
import { roundedSource } from "../../model/weights/rounded_source.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { tensorBytes, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { formatBytes, formatDuration } from "../../train/track/format_units.ts";
import { checkAdapter, findFolders, MODEL_CONFIG } from "../../train/runs/find_model.ts";
import { hashFile, sha256 } from "../../train/checkpoints/checkpoint.ts";
import { hashFolder } from "../../train/runs/collect_run_facts.ts";
import { count } from "../arguments/flag_values.ts";
import { writeModelFolder } from "../../train/checkpoints/model_folder.ts";
import { openFile } from "../process/open_file.ts";
import { openRuntime } from "../process/open_runtime.ts";
import { describeParity } from "./describe_parity.ts";
import { compareExports } from "../export_report/compared_exports.ts";
import { renderExports } from "../export_report/exports_page.ts";
import {
  keepParity,
  type KeptExport,
  type KeptQuestions,
  PARITY_FILE,
  PARITY_PAGE,
  type ParityFile,
  parityFile,
} from "../export_report/parity_file.ts";
import { type Comparison, PARITY_PROMPTS, parityQuestions } from "./parity_questions.ts";
import { writeGgufFolder } from "./write_gguf_folder.ts";
import { stageFolder } from "../../train/checkpoints/staged_folder.ts";
import { findFile } from "../../train/runs/find_file.ts";
import { during } from "../../train/runs/wait_line.ts";
import { terminal } from "../terminal/terminal.ts";
import { keptChat } from "../../train/runs/taught_chat.ts";
import type { CommandContext, CommandDefinition } from "../process/run_command.ts";
import { mergedOrigin } from "../../internal/json/model_origin.ts";
import { UsageError } from "../../internal/usage_error.ts";

const DEFAULT_DTYPES: readonly ExportDtype[] = ["q4"];
const DEFAULT_GGUF_DTYPES: readonly GgufFileType[] = ["q4_k_m"];

/** Parsed flags of the export. */
export interface ExportFlags {
  readonly model?: string;
  readonly adapter?: string;
  readonly keepAdapter?: boolean;
  readonly outputDir: string;
  readonly format: "onnx" | "hf" | "gguf";
  readonly dtype?: readonly (ExportDtype | GgufFileType)[];
  readonly parity: boolean;
  readonly verify?: boolean;
  readonly parityFile?: string;
  readonly parityTokens: number;
  readonly threads?: number;
}

/** Exports a model. */
export const exportCommand: CommandDefinition<ExportFlags> = {
  name: "deno task export",
  description:
    "Writes a model for browsers, Node, llama.cpp, Ollama and other runtimes, and tells how exact it is.",
  flags: (command: Command) =>
    void command
      .option(
        "--model <dir>",
        "model folder or checkpoint in Hugging Face's layout, the output folder of a run, or a " +
          "model's id below models/ (default: the one the adapter names)",
      )
      .option(
        "--adapter <dir>",
        "LoRA adapter to merge into it: its folder or a checkpoint in PEFT's layout, or the output folder " +
          "of a run",
      )
      .option(
        "--keep-adapter",
        "do not merge: the adapter is a small file of its own, to be exchanged for another of the " +
          "same rank and modules",
      )
      .requiredOption("--output-dir <dir>", "a new folder for the export")
      .addOption(
        new Option(
          "--format <name>",
          "onnx for transformers.js, hf for safetensors in float32, gguf for llama.cpp and Ollama",
        )
          .choices(["onnx", "hf", "gguf"]).default("onnx"),
      )
      .option(
        "--dtype <names>",
        `of onnx: ${Object.keys(EXPORT_FORMATS).join(", ")}; of gguf: ` +
          `${Object.keys(GGUF_FILE_TYPES).join(", ")}; or several with a comma between ` +
          `(default: ${DEFAULT_DTYPES.join()}, of gguf ${DEFAULT_GGUF_DTYPES.join()})`,
        dtypes,
      )
      .option(
        "--verify",
        "of gguf: load the files in llama.cpp itself and compare (npm's @node-llama-cpp, 10 MB that Deno " +
          "downloads once)",
      )
      .option("--parity-file <path>", "a text to compare perplexity on (default: a short one)")
      .option("--parity-tokens <n>", "greedy tokens to compare after each prompt", count, 32)
      .option("--no-parity", "do not compare: holds a part of a weight at a time, not the model")
      .option("--threads <n>", "processor threads (default: all cores)", count),
  run,
};

function dtypes(text: string): (ExportDtype | GgufFileType)[] {
  const names = [...new Set(text.split(","))];
  const all = { ...EXPORT_FORMATS, ...GGUF_FILE_TYPES };
  if (names.every((name) => Object.hasOwn(all, name))) return names as (keyof typeof all)[];
  throw new InvalidArgumentError(`Allowed choices are ${Object.keys(all).join(", ")}.`);
}

/** What is exported: folders, opened. */
interface Subject {
  readonly directory: string;
  readonly model: Model;
  /** The model's, rounded where the adapter was trained on such a base. */
  readonly weights: TensorSource;
  readonly adapter?: {
    readonly directory: string;
    readonly lora: AdapterConfig;
    readonly weights: TensorSource;
  };
}

async function run({ options, signal }: CommandContext<ExportFlags>): Promise<void> {
  const { outputDir, format, dtype, keepAdapter = false, verify = false } = options;
  assertFlags(options);
  await using resources = new AsyncDisposableStack();
  const subject = await openSubject(options, resources);
  const { directory, model: { config }, adapter } = subject;
  const adapterNotes = adapter ? await checkAdapter(adapter.directory, config) : [];
  for (const note of [...config.notes, ...adapterNotes]) console.error(`note: ${note}`);
  const text = options.parityFile === undefined
    ? undefined
    : await readParityText(options.parityFile);
  await using folder = await stageFolder(outputDir, "export");
  const staging = folder.path;
  const runtime = resources.use(openRuntime({ device: "cpu", threads: options.threads }));
  const ask = (): Promise<Comparison> =>
    during(
      `asking ${directory}`,
      () => askCheckpoint(runtime, subject, { text, greedyTokens: options.parityTokens, signal }),
      terminal,
    );
  let comparison = format !== "gguf" && options.parity ? await ask() : undefined;
  const reports: Record<string, KeptExport> = {};
  const compare = async (name: string, open: () => Disposable & ParityModel): Promise<void> => {
    if (!comparison) return;
    using model = open();
    const { questions, reference, tokenizer } = comparison;
    const report = await during(
      `comparing ${name}`,
      () => compareParity(model, questions, reference),
      terminal,
    );
    reports[name] = { ...reports[name], ...keepParity(report, tokenizer) };
    console.log(`${name}: ${describeParity(report)}`);
  };
  const merged = adapter && !keepAdapter
    ? resources.use(
      mergedSource(runtime, {
        config,
        base: subject.weights,
        adapter: adapter.weights,
        lora: adapter.lora,
      }),
    )
    : undefined;
  const weights = merged ?? subject.weights;
  const kept = await keptChat(adapter?.directory, {
    model: directory,
    eosTokenId: config.raw.eos_token_id,
  });

  const note = (name: string, files: readonly Written[], began: number): void => {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const kept = files.map(({ name = "", path = name, bytes, sha256 }) => ({
      path,
      bytes,
      sha256,
    }));
    reports[name] = { bytes, files: kept };
    const seconds = (performance.now() - began) / 1000;
    console.log(
      `${name}: ${formatBytes(bytes)} in ${formatDuration(seconds)}, ` +
        files.map((file) => file.path ?? file.name).join(", "),
    );
  };
  if (format === "hf") {
    const began = performance.now();
    const texts = { ...kept.texts, ...await mergedOrigin(directory) };
    const how = { model: directory, config, ...kept, texts, weights, signal };
    const files = await during("writing the model", () => writeModelFolder(staging, how), terminal);
    note("hf", files, began);
    if (comparison) {
      const again = await loadModel(runtime, staging, { signal });
      resources.use(again.weights);
      await compare("hf", () => checkpointParityModel(runtime, again));
    }
  } else if (format === "gguf") {
    const written = await writeGgufFolder(staging, {
      model: directory,
      adapter: subject.adapter,
      keepAdapter,
      config,
      weights,
      dtypes: dtype as readonly GgufFileType[] | undefined ?? DEFAULT_GGUF_DTYPES,
      name: basename(outputDir),
      threads: options.threads,
      // Not before the files: a model that llama.cpp has nothing like is refused at once.
      ask: verify ? async () => comparison = await ask() : undefined,
      signal,
    });
    Object.assign(reports, written);
  } else {
    await Deno.mkdir(`${staging}/onnx`);
    const dtypesOfOnnx = dtype as readonly ExportDtype[] | undefined ?? DEFAULT_DTYPES;
    const exported: ExportedModel[] = [];
    for (const dtype of dtypesOfOnnx) {
      const began = performance.now();
      const apart = keepAdapter ? adapter : undefined;
      const model = await during(
        `writing ${dtype}`,
        () => exportModel(staging, { config, weights, dtype, adapter: apart, signal }),
        terminal,
      );
      exported.push(model);
      note(dtype, model.files, began);
      if (apart) {
        // The last file of weights, before the model.
        console.log(
          `${dtype}: the adapter is ${
            model.files.at(-2)!.path
          }; another one's, exported from the ` +
            "same base with the same rank and modules, may take its place",
        );
      }
      await compare(
        dtype,
        () => exportParityModel(new ExportedDecoder(runtime, staging, { config, dtype }), config),
      );
    }
    await exportClientFiles(staging, { model: directory, config, ...kept, exported });
  }
  const file = parityFile({
    model: directory,
    ...adapter ? { adapter: adapter.directory, adapterKept: keepAdapter } : {},
    checkpoint: await during(`hashing ${directory}`, () => checkpointFacts(subject), terminal),
    exportFormat: format,
    onnxruntime: runtime.api.version,
    ...comparison ? { questions: keptQuestions(comparison, options.parityFile) } : {},
    exports: reports,
  });
  await Deno.writeTextFile(`${staging}/${PARITY_FILE}`, JSON.stringify(file, null, 2) + "\n");
  // The page names no folder: it lies in it, wherever that is moved.
  const page = await renderExports(compareExports([{ folder: "", file }]));
  await Deno.writeTextFile(`${staging}/${PARITY_PAGE}`, page);
  await folder.finish();
  console.log(
    `${outputDir}: ${
      comparison ? `report in ${PARITY_FILE}, as a page in ${PARITY_PAGE}` : "not compared"
    }`,
  );
}

/** What tells the checkpoint from others, and its sizes. */
async function checkpointFacts(
  { directory, model: { config, weights }, adapter }: Subject,
): Promise<ParityFile["checkpoint"]> {
  const sources = [weights, ...adapter ? [adapter.weights] : []];
  return {
    sha256: sha256(
      await hashFolder(directory, MODEL_CONFIG, hashFile),
      adapter ? await hashFolder(adapter.directory, ADAPTER_CONFIG, hashFile) : "",
    ),
    bytes: sources.flatMap((source) => source.names().map((name) => tensorBytes(source.info(name))))
      .reduce((sum, bytes) => sum + bytes, 0),
    parameters: modelParameters(config)
      .reduce((sum, { shape }) => sum + elementCount(shape), 0),
  };
}

/** The questions as they are kept beside the answers. */
function keptQuestions(
  { questions: { prompts, greedyTokens, text }, reference, tokenizer }: Comparison,
  textFile = "built in",
): KeptQuestions {
  const ids = [prompts, text].map((each) => each.map((ids) => [...ids]));
  return {
    sha256: sha256(JSON.stringify([...ids, greedyTokens])),
    text: textFile,
    greedyTokens,
    prompts: prompts.map(({ length }, i) => ({
      text: PARITY_PROMPTS[i],
      tokens: length,
      reply: tokenizer.decode(reference.greedy[i]),
    })),
  };
}

/** A file as both writers tell it. */
interface Written {
  readonly path?: string;
  readonly name?: string;
  readonly bytes: number;
  readonly sha256: string;
}

async function readParityText(name: string): Promise<string> {
  const path = await findFile(name, { flag: "--parity-file" });
  return await new Response((await openFile(path, "the parity text")).readable).text();
}

function assertFlags(options: ExportFlags): void {
  const { model, adapter, keepAdapter, format, dtype, verify } = options;
  if (model === undefined && adapter === undefined) {
    throw new UsageError("Cannot export nothing: give --model, --adapter or both");
  }
  if (keepAdapter && adapter === undefined) {
    throw new UsageError("Cannot keep an adapter apart without one: give --adapter");
  }
  if (keepAdapter && format === "hf") {
    throw new UsageError(
      "Cannot keep an adapter apart in a model folder: it is one in PEFT's layout already; leave " +
        "out --keep-adapter, or use --format onnx",
    );
  }
  if (verify && format !== "gguf") {
    throw new UsageError(
      `Cannot verify an export of --format ${format} in llama.cpp: --verify is for --format gguf`,
    );
  }
  const [formats, its] = format === "gguf" ? [GGUF_FILE_TYPES, "gguf"] : [EXPORT_FORMATS, "onnx"];
  const foreign = format === "hf"
    ? []
    : dtype?.filter((name) => !Object.hasOwn(formats, name)) ?? [];
  if (foreign.length > 0) {
    throw new UsageError(
      `Cannot export to ${foreign.join(", ")} with --format ${its}: it has ${
        Object.keys(formats).join(", ")
      }`,
    );
  }
  if (dtype !== undefined && format === "hf") {
    throw new UsageError(
      `Cannot write a model folder in ${dtype.join()}: --format hf is float32; leave out --dtype`,
    );
  }
}

async function openSubject(
  options: ExportFlags,
  resources: AsyncDisposableStack,
): Promise<Subject> {
  const { model: directory, adapter } = await findFolders(options);
  const model = resources.use(await openModel(directory));
  if (adapter === undefined) return { directory, model, weights: model.weights };
  const { lora, weights } = resources.use(await openAdapter(adapter, model.config));
  const rounding = await trainedRounding(adapter);
  return {
    directory,
    model,
    weights: rounding ? roundedSource(model.weights, model.config, rounding) : model.weights,
    adapter: { directory: adapter, lora, weights },
  };
}

/** Asks the checkpoint and lets go of it, so that it is not in memory beside its export. */
async function askCheckpoint(
  runtime: Runtime,
  { directory, adapter }: Subject,
  { text, greedyTokens, signal }: {
    readonly text: string | undefined;
    readonly greedyTokens: number;
    readonly signal: AbortSignal;
  },
): Promise<Comparison> {
  const tokenizer = await loadTokenizer(directory);
  using resources = new DisposableStack();
  const rounded = await trainedRounding(adapter?.directory);
  const { config, weights } = await loadModel(runtime, directory, { rounded, signal });
  resources.use(weights);
  const adapted = adapter &&
    resources.use(await loadAdapter(runtime, adapter.directory, { config, base: weights, signal }));
  const questions = parityQuestions({ config, tokenizer, greedyTokens, text });
  const model = resources.use(checkpointParityModel(runtime, { config, weights, adapted }));
  return { questions, reference: await parityReference(model, questions), tokenizer };
}
