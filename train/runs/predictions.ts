/**
 * What the trained model says to the first validation questions. In: a finished run. Out: samples,
 * streamed to the terminal while they are drawn; evaluation mode, without dropout.
 */

import { messageText } from "../../data/text/message_text.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import { askedChat } from "../../infer/evaluate/asked_row.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import type { Sample } from "../track/sample.ts";
import { withTaughtEnds } from "../../infer/chat/chat_context.ts";
import { type Output, reply } from "../../infer/chat/reply.ts";
import { firstRows } from "./first_rows.ts";
import type { TrainingRun } from "./run_training.ts";

/** A sample and the answer that the data gives. */
export type Prediction = Sample & { readonly reference: string };

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
  const rows = await firstRows(data.validation, predictionSamples, {
    dropRefused: args.dropRefusedRows,
    columns: args.columns,
    // Plain text is not asked for in a chat.
    takes: (record) => record.kind !== "text" && askedChat(record) !== undefined,
  });
  const chats = rows.flatMap(({ record }) =>
    record.kind === "text" ? [] : askedChat(record, system || undefined) ?? []
  );
  const { config, weights, linear } = trainer;
  const own = await readGenerationConfig(model, { config, tokenizer });
  const generation = withTaughtEnds(own, chat.eosTokenIds);
  using generator = createGenerator({ runtime, config, weights, linear, generation });
  const predictions: Prediction[] = [];
  for (
    const [i, { messages, tools, enableThinking = chat.enableThinking, reply: expected }] of chats
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
    predictions.push({
      question,
      ...think ? { think } : {},
      answer,
      reference: messageText(expected),
    });
  }
  return predictions;
}
