/**
 * run.json: what a run was made of, and what came of it.
 *
 * In: arguments and files. Out: a file in the output folder, written when training starts and again
 * when it ends; `status` stays `started` where the run was killed.
 */

import type { Comm } from "../../comm/comm.ts";
import { describeValue } from "../../internal/json/describe_value.ts";
import { isAbsent, readCappedText } from "../../internal/regular_file.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { BestCheckpoint, EndEvent, EvaluateEvent } from "../events.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "../../lora/adapter_config.ts";
import type { FileHasher } from "./file_hasher.ts";
import { expandRows } from "./row_paths.ts";
import { RUN_MANIFEST } from "../track/find_runs.ts";
import { companionFiles } from "../checkpoints/model_files.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { VERSION } from "../../internal/version.ts";
import { readModelOrigin } from "../../internal/json/model_origin.ts";
import { writeWhole } from "../../internal/write_whole.ts";

// Some kilobytes in use; beyond this a file is not what its name says.
const MAX_BYTES = 1024 * 1024;

/** A file by its content. */
export interface HashedFile {
  /** Its path, as the arguments name it. */
  readonly path: string;
  /** Its size. */
  readonly bytes: number;
  /** The sha256 of its content, in hexadecimal. */
  readonly sha256: string;
}

/** What the file holds. */
export interface RunManifest {
  /** The version of the format. */
  readonly format: 1;
  /** As the run was started; null where not by a command. */
  readonly command: string | null;
  /** All arguments, defaults filled in. */
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Data, tokenizer and weights. */
  readonly files: readonly HashedFile[];
  /** The base model's config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The id that the base model was fetched by, where it was. */
  readonly baseModel?: string;
  /** What the results depend on besides files. */
  readonly versions: Readonly<Record<string, string | number>>;
  /** How the run ended; `started` where it did not, `failed` where an error ended it. */
  readonly status: "started" | EndEvent["reason"] | "failed";
  /** When, as ISO 8601. */
  readonly started: string;
  /** When, as ISO 8601; null until then. */
  readonly ended: string | null;
  /** The checkpoint to use: the last one, or the best where that was asked for. */
  readonly checkpoint: string | null;
  /** The best evaluation, where there was one. */
  readonly best?: Pick<BestCheckpoint, "step" | "metric" | "value">;
  /** The last figures; null until the end. */
  readonly metrics: Readonly<Record<string, number | string>> | null;
  /** Why the run failed, where it did. */
  readonly error?: string;
  /** How many rows or examples each kind of data has; manifests of earlier versions lack them. */
  readonly rows?: { readonly training: number; readonly validation: number };
  /** The runs that this one goes on from, oldest first. */
  readonly earlier: readonly Pick<
    RunManifest,
    "command" | "status" | "started" | "ended" | "checkpoint"
  >[];
}

/** What a manifest is made of besides the arguments. */
export interface StartManifestOptions {
  readonly directory: string;
  readonly command?: string;
  readonly hash: FileHasher;
  readonly config: Readonly<Record<string, unknown>>;
  /** ONNX Runtime's version. */
  readonly onnxRuntime: string;
  /** Processor threads of the runtime. */
  readonly threads: number;
  /** Processes that train together. @default this one alone */
  readonly comm?: Pick<Comm, "name" | "size">;
  /** Whether the run goes on from a checkpoint. */
  readonly resumed: boolean;
  /** Rows trained on and examples evaluated. */
  readonly rows?: RunManifest["rows"];
  /** @default the clock */
  readonly now?: () => Date;
}

/** A manifest that waits for its run to end. */
export interface StartedManifest {
  /** When the run was started, as ISO 8601. */
  readonly started: string;
  /** Writes the manifest of the ended run. */
  end(result: {
    readonly end: EndEvent;
    readonly evaluation?: EvaluateEvent;
    readonly checkpoint?: string;
  }): Promise<void>;
  /** Writes the manifest of a run that an error ended, perhaps that of a signal. */
  fail(cause: unknown, status: "aborted" | "failed"): Promise<void>;
}

/** What the results depend on besides files, to the last bit. */
export function currentVersions(
  onnxRuntime: string,
  threads: number,
  { name, size }: Pick<Comm, "name" | "size"> = { name: "solo", size: 1 },
): RunManifest["versions"] {
  return {
    ortune: VERSION,
    deno: Deno.version.deno,
    onnxruntime: onnxRuntime,
    system: `${Deno.build.os}-${Deno.build.arch}`,
    cpus: navigator.hardwareConcurrency,
    threads,
    ...size > 1 ? { mpi: name, processes: size } : {},
  };
}

/** Hashes the files and writes the manifest of a run that starts. */
export async function startManifest(
  args: TrainingArguments,
  {
    directory,
    command,
    hash,
    config,
    onnxRuntime,
    threads,
    comm,
    resumed,
    rows,
    now = () => new Date(),
  }: StartManifestOptions,
): Promise<StartedManifest> {
  const { id: baseModel } = await readModelOrigin(args.model);
  const manifest: RunManifest = {
    format: 1,
    command: command ?? null,
    arguments: { ...args },
    files: await hashInputs(args, hash),
    config,
    ...baseModel === undefined ? {} : { baseModel },
    versions: currentVersions(onnxRuntime, threads, comm),
    status: "started",
    started: now().toISOString(),
    ended: null,
    checkpoint: null,
    metrics: null,
    rows,
    earlier: resumed ? await earlierRuns(directory) : [],
  };
  await write(directory, manifest);
  return {
    started: manifest.started,
    end: async ({ end, evaluation, checkpoint }) => {
      const { step, epoch, tokens, seconds, trainLoss, best } = end;
      const evaluated = evaluation
        ? { evalLoss: evaluation.evalLoss, evalTokenLoss: evaluation.evalTokenLoss }
        : {};
      // JSON has no NaN.
      const metrics = Object.fromEntries(
        Object.entries({ step, epoch, tokens, seconds, trainLoss, ...evaluated })
          .flatMap(([name, value]) =>
            value === undefined ? [] : [[name, Number.isFinite(value) ? value : String(value)]]
          ),
      );
      await write(directory, {
        ...manifest,
        status: end.reason,
        ended: now().toISOString(),
        checkpoint: checkpoint ?? null,
        ...best ? { best: { step: best.step, metric: best.metric, value: best.value } } : {},
        metrics,
      });
    },
    fail: async (cause, status) => {
      const said = cause instanceof Error ? cause.message : String(cause);
      const error = said.replaceAll("\0", "\ufffd");
      await write(directory, { ...manifest, status, ended: now().toISOString(), error });
    },
  };
}

/** Data, and every file of the model folder that training reads or hands on. */
async function hashInputs(
  { trainFile, validationFile, chatTemplate, model, lora }: TrainingArguments,
  hash: FileHasher,
): Promise<HashedFile[]> {
  const weights: string[] = [];
  for await (const { name, isFile } of Deno.readDir(model)) {
    const known = /^model.*\.safetensors(\.index\.json)?$/.test(name) || name === "config.json";
    if (known && isFile) weights.push(`${model}/${name}`);
  }
  const companions = await companionFiles(model);
  const sources = [
    ...await expandRows(trainFile),
    ...await expandRows(validationFile, "validation"),
  ];
  const rows = [...new Set(sources.flatMap(({ files }) => files))];
  const paths = [
    ...rows,
    ...chatTemplate ? [chatTemplate] : [],
    ...[...weights, ...companions].sort(),
    ...lora?.initAdapter
      ? [ADAPTER_CONFIG, ADAPTER_WEIGHTS].map((name) => `${lora.initAdapter}/${name}`)
      : [],
  ];
  const files: HashedFile[] = [];
  for (const path of paths) files.push({ path, ...await hash(path) });
  return files;
}

/** What an earlier run in the folder was; nothing where it left no manifest that can be read. */
async function earlierRuns(directory: string): Promise<RunManifest["earlier"]> {
  try {
    const { earlier, command, status, started, ended, checkpoint } = await readManifest(
      `${directory}/${RUN_MANIFEST}`,
    );
    return [...earlier, { command, status, started, ended, checkpoint }];
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    return [];
  }
}

/** Whole or not at all. */
async function write(directory: string, manifest: RunManifest): Promise<void> {
  const path = `${directory}/${RUN_MANIFEST}`;
  try {
    await writeWhole(path, JSON.stringify(manifest, null, 2) + "\n");
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(
      `Cannot write ${path}: ${(cause as Error).message}; free space or give another --output-dir`,
      { cause },
    );
  }
}

/**
 * Reads a manifest.
 *
 * @throws {Error} where the file is missing or is not a manifest
 */
export async function readManifest(path: string): Promise<RunManifest> {
  const remedy = "give the run.json of an output folder";
  const fail = (state: string, cause?: unknown): never => {
    throw new Error(`Cannot read ${path}: ${state}; ${remedy}`, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(await readCappedText(path, { maxBytes: MAX_BYTES, remedy }));
  } catch (cause) {
    if (isAbsent(cause)) {
      return fail("it is missing", cause);
    }
    if (cause instanceof SyntaxError) return fail("it is not valid JSON", cause);
    throw cause;
  }
  if (!isRecord(value) || value.format !== 1) return fail("it is not a manifest of format 1");
  const { arguments: args, files, versions, earlier } = value;
  if (!isRecord(args)) return fail("it has no arguments");
  if (!isRecord(versions)) return fail("it has no versions");
  if (!Array.isArray(files) || !files.every(isHashedFile)) return fail("it has no hashes of files");
  if (!Array.isArray(earlier)) return fail("it has no list of earlier runs");
  for (const [name, is] of Object.entries(FIELDS)) {
    // Fields that are not there are of an older ortune.
    if (value[name] === undefined || is(value[name])) continue;
    return fail(`its ${name} is ${describeValue(value[name])}`);
  }
  return value as unknown as RunManifest;
}

const isText = (value: unknown): boolean => typeof value === "string" && !value.includes("\0");
const isTextOrNull = (value: unknown): boolean => value === null || isText(value);
const isPlain = (value: unknown): boolean => isText(value) || typeof value === "number";
const isPlainRecord = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every(isPlain);

/** What each field is, besides those without which a file is no manifest. */
const FIELDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  command: isTextOrNull,
  config: isRecord,
  baseModel: isText,
  versions: isPlainRecord,
  status: isText,
  started: isText,
  ended: isTextOrNull,
  checkpoint: isTextOrNull,
  best: (value) => isRecord(value) && isPlain(value.step) && isText(value.metric),
  metrics: (value) => value === null || isPlainRecord(value),
  error: isText,
  rows: isPlainRecord,
  earlier: (value) => Array.isArray(value) && value.every(isRecord),
};

function isHashedFile(value: unknown): value is HashedFile {
  return isRecord(value) && isText(value.path) && typeof value.sha256 === "string" &&
    typeof value.bytes === "number";
}
