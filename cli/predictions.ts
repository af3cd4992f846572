/**
 * What the trained model says to the first validation questions. In: a finished run. Out: samples,
 * streamed to the terminal while they are drawn; evaluation mode, without dropout.
 */

import { readJsonl } from "../data/jsonl.ts";
import type { Message } from "../data/message.ts";
import { parseRecord, toMessages } from "../data/record.ts";
import { readGenerationConfig } from "../infer/generation_config.ts";
import { createGenerator } from "../infer/generator.ts";
import type { Sample } from "../track/sample.ts";
import { type Output, reply } from "./reply.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import type { TrainingRun } from "./training_run.ts";

/** A sample and the answer that the data gives. */
export type Prediction = Sample & { readonly reference: string };

/** How predictions are drawn. */
export interface PredictOptions {
  readonly args: Pick<
    TrainingArguments,
    | "model"
    | "validationFile"
    | "system"
    | "seed"
    | "predictionSamples"
    | "predictionMaxNewTokens"
  >;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Answers the questions one by one; those that were answered before an abort are kept. */
export async function predict(
  { runtime, trainer, tokenizer }: Pick<TrainingRun, "runtime" | "trainer" | "tokenizer">,
  { args, output, signal }: PredictOptions,
): Promise<readonly Prediction[]> {
  const { model, validationFile, system, seed, predictionSamples, predictionMaxNewTokens } = args;
  if (validationFile === undefined || predictionSamples === 0) return [];
  const chats = await firstChats(validationFile, predictionSamples, system || undefined);
  const { config, weights, decodeGraph: graph } = trainer;
  const generation = await readGenerationConfig(model, { config, tokenizer });
  using generator = createGenerator({ runtime, config, weights, graph, generation });
  const predictions: Prediction[] = [];
  for (const [i, { messages, reference }] of chats.entries()) {
    const question = messages.at(-1)!.content;
    await output.write(`\n${question}\n\n`);
    const { think, answer } = await reply({ generator, tokenizer }, {
      messages,
      output,
      maxNewTokens: predictionMaxNewTokens,
      seed: seed + i,
      signal,
    });
    await output.write("\n");
    if (signal.aborted) break;
    predictions.push({ question, ...think ? { think } : {}, answer, reference });
  }
  return predictions;
}

/** The first rows up to their last reply, and that reply. */
async function firstChats(
  path: string,
  count: number,
  system: string | undefined,
): Promise<{ messages: readonly Message[]; reference: string }[]> {
  const chats = [];
  for await (const record of readJsonl(path, parseRecord)) {
    const messages = toMessages(record, { system });
    chats.push({ messages: messages.slice(0, -1), reference: messages.at(-1)!.content });
    if (chats.length === count) break;
  }
  return chats;
}
