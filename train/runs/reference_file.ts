/**
 * What pairs are compared with, kept in a run's output folder, so that a resumed run compares with the same numbers.
 * In: a trainer before its first update, or the file of an earlier start. Out: log-probabilities by example.
 */

import type { Comm } from "../../comm/comm.ts";
import { broadcastJson } from "../../comm/json_between_ranks.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { readCappedText } from "../../internal/regular_file.ts";
import { writeWhole } from "../../internal/write_whole.ts";
import { sha256 } from "../checkpoints/checkpoint.ts";
import type { RunFacts } from "../checkpoints/run_facts.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import type { TrainOptions } from "../loop/loop.ts";
import { referenceLogps } from "../loop/reference_logps.ts";
import type { Trainer } from "../trainer.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import type { TrainingData } from "./training_data.ts";

/** The file's name in the output folder. */
export const REFERENCE_FILE = "reference.json";
/** Some 20 bytes a reply: 10 million pairs. */
const MAX_BYTES = 2 ** 28;
/** Facts of a run that decide what its model makes of a reply before it is trained. */
const FACTS = [
  "method",
  "config_sha256",
  "tokenizer_sha256",
  "train_data_sha256",
  "precision",
  "base_dtype",
  "base_block_size",
  "base_compute",
  "init_lora_weights",
  "init_adapter_sha256",
] as const;

/** Of what run it is, and where its file is. */
export interface ReferenceFileOptions {
  readonly args: Pick<TrainingArguments, "perDeviceTrainBatchSize" | "perDeviceEvalBatchSize">;
  readonly data: Pick<TrainingData, "train" | "validation" | "validationSha256">;
  readonly padId: number;
  readonly facts: RunFacts;
  /** The hash of the model's weights. */
  readonly modelSha256: string;
  /** The output folder, which the first process writes. */
  readonly directory: string;
  /** The checkpoint that the run goes on from. */
  readonly resumeFrom?: string;
  readonly comm: Comm;
  /** Told how many replies are done, of how many; of several processes about. @default nobody is */
  readonly onProgress?: (done: number, all: number) => void;
  readonly signal?: AbortSignal;
}

type References = NonNullable<TrainOptions["references"]>;

/**
 * Computes them, or reads them where a run is resumed.
 *
 * @returns undefined where the trainer's objective compares with nothing
 * @throws {Error} where a resumed run's file is missing, or of another model or other rows
 */
export async function openReferences(
  trainer: Trainer,
  options: ReferenceFileOptions,
): Promise<References | undefined> {
  if (!trainer.pairs?.reference) return undefined;
  const { args, data, padId, facts, modelSha256, directory, resumeFrom, comm, signal } = options;
  const path = `${directory}/${REFERENCE_FILE}`;
  const fingerprint = sha256(JSON.stringify({
    ...Object.fromEntries(FACTS.map((name) => [name, facts[name] ?? null])),
    model_sha256: modelSha256,
    validation_sha256: data.validationSha256,
  }));
  if (resumeFrom !== undefined) {
    const told = comm.rank === 0 ? await read(path, { fingerprint, resumeFrom, data }) : undefined;
    const { train, validation } = (await broadcastJson(comm, told))!;
    return { examples: Float64Array.from(train), evalExamples: Float64Array.from(validation) };
  }
  const { perDeviceTrainBatchSize: batchSize, perDeviceEvalBatchSize = batchSize } = args;
  const group = new ProcessGroup(comm, signal);
  const { length } = data.train;
  const reached = (done: number) => options.onProgress?.(done, length + data.validation.length);
  const examples = await referenceLogps(trainer, data.train, {
    ...{ batchSize, padId, group },
    onProgress: reached,
  });
  const evalExamples = await referenceLogps(trainer, data.validation, {
    ...{ batchSize: perDeviceEvalBatchSize, padId, group },
    onProgress: (done) => reached(length + done),
  });
  if (comm.rank === 0) {
    const text = JSON.stringify({
      fingerprint,
      train: [...examples],
      validation: [...evalExamples],
    });
    await writeWhole(path, `${text}\n`);
  }
  return { examples, evalExamples };
}

async function read(
  path: string,
  { fingerprint, resumeFrom, data }:
    & { readonly fingerprint: string; readonly resumeFrom: string }
    & Pick<ReferenceFileOptions, "data">,
): Promise<{ readonly train: readonly number[]; readonly validation: readonly number[] }> {
  const remedy =
    "start again with --overwrite-output-dir, or from the checkpoint's weights with --model";
  const fail = (why: string, cause?: unknown): never => {
    throw new Error(
      `Cannot resume from ${resumeFrom}: what its run compares replies with is kept in ${path}, which ${why}; ${remedy}`,
      { cause },
    );
  };
  let value: unknown;
  try {
    value = JSON.parse(await readCappedText(path, { maxBytes: MAX_BYTES, remedy }));
  } catch (cause) {
    return fail(
      cause instanceof SyntaxError
        ? "is no valid JSON"
        : (cause as { readonly code?: string }).code === "ENOENT"
        ? "is missing"
        : `cannot be read (${(cause as Error).message})`,
      cause,
    );
  }
  const numbers = (list: unknown, length: number): list is readonly number[] =>
    Array.isArray(list) && list.length === length && list.every(Number.isFinite);
  if (!isRecord(value)) return fail("holds no object");
  const { fingerprint: own, train, validation } = value;
  if (own !== fingerprint) return fail("is of another model, adapter or other rows");
  if (!numbers(train, data.train.length) || !numbers(validation, data.validation.length)) {
    return fail("does not hold a number for each reply");
  }
  return { train, validation };
}
