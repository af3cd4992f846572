/** What all runs on published models share: records, the system prompt, and how the machine is told of. */

import { cpus, totalmem } from "node:os";
import { readExamples } from "../../data/examples/read_examples.ts";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { evaluate } from "../../train/loop/evaluate.ts";
import type { BaseOptions } from "../../train/resolve_base_storage.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";

/** The system prompt of every chat. */
export const SYSTEM = "You are a careful medical assistant. Think first, then answer.";
/** Records to learn from. */
export const TRAIN_FILE = new URL("train.jsonl", import.meta.url).pathname;
/** Records held out. */
export const VALIDATION_FILE = new URL("val.jsonl", import.meta.url).pathname;

/** The questions of a file of records. */
export async function readQuestions(path: string): Promise<string[]> {
  const rows = (await Deno.readTextFile(path)).trimEnd().split("\n");
  return rows.map((row) => JSON.parse(row).question);
}

/** Such as "2026-11-28, 2 threads of AMD EPYC (2 cores, 24 GiB), ONNX Runtime 1.30.0". */
export function describeMachine({ api }: Runtime, threads: string): string {
  return `${new Date().toISOString().slice(0, 10)}, ${threads} threads of ${
    cpus()[0]?.model ?? "an unknown processor"
  } (${cpus().length} cores, ${
    (totalmem() / 2 ** 30).toFixed(0)
  } GiB), ONNX Runtime ${api.version}`;
}

/**
 * Loss a token of the records held out, on an untrained model: an adapter that was not trained changes
 * nothing.
 *
 * @param base what its matrices are kept in. @default float32
 */
export async function lossBefore(
  runtime: Runtime,
  { model, maxLength, base = {} }: {
    readonly model: string;
    readonly maxLength: number;
    readonly base?: BaseOptions;
  },
): Promise<number> {
  const tokenizer = await loadTokenizer(model);
  const { examples } = await readExamples(VALIDATION_FILE, {
    tokenizer,
    maxLength,
    system: SYSTEM,
  });
  await using trainer = await createLoraTrainer(model, { runtime, ...base });
  const padId = tokenizer.padTokenId!;
  return (await evaluate(trainer, examples, { batchSize: 1, padId })).evalTokenLoss;
}
