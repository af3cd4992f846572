/**
 * What the trained model says to the first validation questions. In: a finished run. Out: samples,
 * streamed to the terminal while they are drawn; evaluation mode, without dropout.
 */

import type { ExampleList } from "../../data/examples/example_list.ts";
import type { RowLocation } from "../../data/records/jsonl_error.ts";
import { readRows } from "../../data/records/read_rows.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import type { Message, Tool } from "../../data/text/message.ts";
import { messageText } from "../../data/text/message_text.ts";
import type { ReplyRecord } from "../../data/records/record_types.ts";
import { parseRecord, recordsOf, toMessages } from "../../data/records/record.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import type { Sample } from "../track/sample.ts";
import { withTaughtEnds } from "../../infer/chat/chat_context.ts";
import { type Output, reply } from "../../infer/chat/reply.ts";
import type { TrainingRun } from "./run_training.ts";

/** Rows that are looked at for each question, as some end with no reply. */
const SPARE = 4;

/** A sample and the answer that the data gives. */
export type Prediction = Sample & { readonly reference: string };

/** A chat up to its last reply that is learned, and that reply. */
interface AskedChat {
  readonly messages: readonly Message[];
  readonly tools: readonly Tool[] | undefined;
  readonly enableThinking: boolean | undefined;
  readonly reference: string;
}

/** How predictions are drawn. */
export interface PredictOptions {
  /** Where the replies are streamed to. */
  readonly output: Output;
  /** Ends it within a reply. */
  readonly signal: AbortSignal;
}

/** Answers the questions one by one; those that were answered before an abort are kept. */
export async function predict(
  { args, runtime, trainer, tokenizer, chat, data }: Pick<
    TrainingRun,
    "args" | "runtime" | "trainer" | "tokenizer" | "chat" | "data"
  >,
  { output, signal }: PredictOptions,
): Promise<readonly Prediction[]> {
  const { model, system, seed, predictionSamples, predictionMaxNewTokens } = args;
  const chats = await firstChats(data.validation, predictionSamples, {
    system: system || undefined,
    dropRefused: args.dropRefusedRows ?? false,
    columns: args.columns,
  });
  const { config, weights, linear } = trainer;
  const own = await readGenerationConfig(model, { config, tokenizer });
  const generation = withTaughtEnds(own, chat.eosTokenIds);
  using generator = createGenerator({ runtime, config, weights, linear, generation });
  const predictions: Prediction[] = [];
  for (
    const [i, { messages, tools, enableThinking = chat.enableThinking, reference }] of chats
      .entries()
  ) {
    const question = messages.at(-1)!.content;
    await output.write(`\n${question}\n\n`);
    const { think, answer } = await reply({ generator, tokenizer }, {
      messages,
      enableThinking,
      tools,
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

/** The first rows up to their last reply that is learned, and that reply. */
async function firstChats(
  examples: ExampleList,
  count: number,
  { system, dropRefused, columns }: {
    readonly system: string | undefined;
    readonly dropRefused: boolean;
    readonly columns: RowColumns | undefined;
  },
): Promise<AskedChat[]> {
  const chats: AskedChat[] = [];
  const onRefused = dropRefused ? () => {} : undefined;
  for (const [file, lines] of firstLines(examples, SPARE * count)) {
    const parse = (value: Record<string, unknown>, where: RowLocation) =>
      lines.has(where.line) ? parseRecord(value, where, { columns }) : undefined;
    for await (const record of readRows(file, parse, { onRefused })) {
      if (record === undefined) continue;
      // They come in the order in which they stand in the file.
      lines.delete(lines.values().next().value!);
      const chat = askedChat(recordsOf(record)[0], system);
      if (chat !== undefined) chats.push(chat);
      if (chats.length === count) return chats;
      if (lines.size === 0) break;
    }
  }
  return chats;
}

/** What a row asks; nothing of plain text, which is not asked for in a chat, and where no reply is learned. */
function askedChat(record: ReplyRecord, system: string | undefined): AskedChat | undefined {
  if (record.kind === "text") return undefined;
  const messages = toMessages(record, { system });
  const last = messages.at(-1)!;
  // A row of which nothing is learned ends otherwise.
  if (last.role !== "assistant" || last.learn === false) return undefined;
  const { enableThinking, tools } = record;
  return { messages: messages.slice(0, -1), tools, enableThinking, reference: messageText(last) };
}

/** Lines of the first rows, by their files. */
function firstLines(examples: ExampleList, count: number): Map<string, Set<number>> {
  const files = new Map<string, Set<number>>();
  let rows = 0;
  for (let i = 0; i < examples.length && rows < count; i++) {
    const { file, line } = examples.at(i).source!;
    const lines = files.get(file) ?? new Set();
    if (lines.has(line)) continue;
    files.set(file, lines.add(line));
    rows++;
  }
  return files;
}
