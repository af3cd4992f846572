/**
 * `/v1/completions`: texts that go on with a prompt, as OpenAI's legacy API writes them.
 *
 * In: a parsed body. Out: what is asked of the service, and one object or the chunks of a stream,
 * which have the same shape.
 */

import type { ChatPiece } from "../../chat/think_splitter.ts";
import type { Completion } from "../chat_service.ts";
import { head, merge, usage } from "../completion_format.ts";
import { DATA_EVENTS } from "../event_stream.ts";
import type { Exchange } from "../exchange.ts";
import { logprobAnswers } from "../token_logprobs_format.ts";
import { parseTextRequest } from "./text_request.ts";

/** Reads a request. */
export function readTextCompletion(body: unknown): Exchange {
  return { request: parseTextRequest(body), whole, events, format: DATA_EVENTS };
}

/** Log probabilities in the legacy API's columns, an entry a token. */
interface LogprobColumns {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Readonly<Record<string, number>>[];
  /** Where the text that each token begins or goes on with begins, in characters of the choice's. */
  readonly text_offset: number[];
}

async function whole(completion: Completion): Promise<unknown> {
  const choices = await Promise.all(completion.choices.map(async (choice) => {
    let text = "";
    const logprobs = noColumns(completion);
    for await (const piece of choice) {
      if (logprobs) addColumns(logprobs, completion, piece, text);
      text += piece.text;
    }
    return { index: choice.index, text, logprobs, finish_reason: choice.finishReason };
  }));
  return { ...head(completion, "text_completion", "cmpl"), choices, usage: usage(completion) };
}

async function* events(completion: Completion): AsyncGenerator<unknown, void> {
  const { choices, request } = completion;
  const shared = {
    ...head(completion, "text_completion", "cmpl"),
    ...(request.includeUsage ? { usage: null } : {}),
  };
  const before = choices.map(() => "");
  for await (const { choice: { index, finishReason }, piece } of merge(choices)) {
    const logprobs = piece ? noColumns(completion) : null;
    if (piece && logprobs) addColumns(logprobs, completion, piece, before[index]);
    const { text = "" } = piece ?? {};
    before[index] += text;
    const finish_reason = piece ? null : finishReason;
    yield { ...shared, choices: [{ index, text, logprobs, finish_reason }] };
  }
  if (request.includeUsage) yield { ...shared, choices: [], usage: usage(completion) };
}

function noColumns({ request }: Completion): LogprobColumns | null {
  if (request.options.topLogprobs === undefined) return null;
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
}

/** Adds the tokens of a piece. */
function addColumns(
  columns: LogprobColumns,
  { tokenizer }: Completion,
  { text, tokens = [] }: ChatPiece,
  before: string,
): void {
  const start = [...before].length;
  const last = Math.max(0, [...text].length - 1);
  let offset = 0;
  for (const { top_logprobs, ...chosen } of logprobAnswers(tokens, tokenizer)) {
    columns.tokens.push(chosen.token);
    columns.token_logprobs.push(chosen.logprob);
    // Parts of a character have more tokens than it has characters.
    columns.text_offset.push(start + Math.min(offset, last));
    offset += [...chosen.token].length;
    const all = new Map<string, number>();
    // With the chosen one, which may not be among the likeliest. Of parts of characters, which look
    // the same, the likeliest is told.
    for (const { token, logprob } of [...top_logprobs, chosen]) {
      if (!all.has(token)) all.set(token, logprob);
    }
    columns.top_logprobs.push(Object.fromEntries(all));
  }
}
