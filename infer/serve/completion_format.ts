/**
 * Replies as the OpenAI API writes them.
 *
 * In: a request's body, a completion under way. Out: one object, or the chunks of a stream. What clients stumble over
 * is kept: one id, a role first, an index in every choice, a final finish_reason, and a usage chunk
 * with no choices.
 */

import type { ChatPiece } from "../chat/think_splitter.ts";
import type { ChosenLogprob } from "../sampling/token_logprobs.ts";
import { parseChatRequest } from "./chat_request.ts";
import { type ChoiceReply, type Completion, replyRole } from "./chat_service.ts";
import { DATA_EVENTS } from "./event_stream.ts";
import type { Exchange } from "./exchange.ts";
import type { ChunkChoice, ChunkDelta, CompletionChunk, Reasoning, Usage } from "./page_answers.ts";
import { logprobAnswers } from "./token_logprobs_format.ts";

/** Reads a request of `/v1/chat/completions`. */
export function readChatCompletion(body: unknown): Exchange {
  return {
    request: parseChatRequest(body),
    whole: completionObject,
    events: completionChunks,
    format: DATA_EVENTS,
  };
}

/** Waits for all choices and answers them as one `chat.completion`. */
async function completionObject(completion: Completion): Promise<Record<string, unknown>> {
  const choices = await Promise.all(completion.choices.map(async (choice) => {
    const said = { think: "", answer: "" };
    const tokens: ChosenLogprob[] = [];
    for await (const piece of choice) {
      said[piece.kind] += piece.text;
      tokens.push(...piece.tokens ?? []);
    }
    return {
      index: choice.index,
      message: {
        role: replyRole(completion.request),
        content: said.answer,
        ...(said.think === "" ? {} : reasoning(said.think)),
        refusal: null,
      },
      logprobs: logprobs(completion, tokens),
      finish_reason: choice.finishReason,
    };
  }));
  return { ...head(completion, "chat.completion"), choices, usage: usage(completion) };
}

/** The chunks of a stream, each made when it is asked for. */
async function* completionChunks(
  completion: Completion,
): AsyncGenerator<CompletionChunk, void> {
  const { choices, request } = completion;
  const shared = {
    ...head(completion, "chat.completion.chunk"),
    // As OpenAI does: null in every chunk but the last, and no field where it was not asked for.
    ...(request.includeUsage ? { usage: null } : {}),
  };
  const chunk = (
    index: number,
    delta: ChunkDelta,
    more: Partial<Pick<ChunkChoice, "finish_reason" | "logprobs">> = {},
  ): CompletionChunk => ({
    ...shared,
    choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
  });
  for (const { index } of choices) yield chunk(index, { role: replyRole(request), content: "" });
  for await (const { choice, piece } of merge(choices)) {
    if (!piece) yield chunk(choice.index, {}, { finish_reason: choice.finishReason });
    else if (piece.kind === "think") yield chunk(choice.index, reasoning(piece.text));
    else {
      const told = { logprobs: logprobs(completion, piece.tokens ?? []) };
      yield chunk(choice.index, { content: piece.text }, told);
    }
  }
  if (request.includeUsage) yield { ...shared, choices: [], usage: usage(completion) };
}

/** Of an answer's tokens; `null` where they were not asked for. */
function logprobs(
  { request, tokenizer }: Completion,
  tokens: readonly ChosenLogprob[],
): ChunkChoice["logprobs"] {
  if (request.options.topLogprobs === undefined) return null;
  return { content: logprobAnswers(tokens, tokenizer), refusal: null };
}

/** Pieces of all choices as they come, and at each one's end none. */
export async function* merge(
  choices: readonly ChoiceReply[],
): AsyncGenerator<{ readonly choice: ChoiceReply; readonly piece: ChatPiece | undefined }, void> {
  const ask = (choice: ChoiceReply) => {
    const answer = choice.next().then((result) => ({ choice, result }));
    // Its reader may have gone before it is waited for.
    answer.catch(() => {});
    return answer;
  };
  const asked = new Map(choices.map((choice) => [choice, ask(choice)]));
  while (asked.size > 0) {
    const { choice, result } = await Promise.race(asked.values());
    if (result.done) asked.delete(choice);
    else asked.set(choice, ask(choice));
    yield { choice, piece: result.done ? undefined : result.value };
  }
}

/** What all objects of one completion begin with. */
export function head<Name extends string>(
  { request }: Completion,
  object: Name,
  prefix = "chatcmpl",
): Pick<CompletionChunk, "id" | "created" | "model"> & { readonly object: Name } {
  return {
    id: `${prefix}-${crypto.randomUUID().replaceAll("-", "")}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: request.model,
  };
}

function reasoning(text: string): Reasoning {
  return { reasoning_content: text, reasoning: text };
}

/** What a completion that is over took. */
export function usage({ choices, promptTokens }: Completion): Usage {
  const sum = (of: (choice: ChoiceReply) => number): number =>
    choices.reduce((total, choice) => total + of(choice), 0);
  const made = sum(({ newTokens }) => newTokens);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: made,
    total_tokens: promptTokens + made,
    completion_tokens_details: { reasoning_tokens: sum(({ thinkTokens }) => thinkTokens) },
  };
}
