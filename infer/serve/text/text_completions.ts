/**
 * `/v1/completions`: texts that go on with a prompt, as OpenAI's legacy API writes them.
 *
 * In: a parsed body. Out: what is asked of the service, and one object or the chunks of a stream,
 * which have the same shape.
 */

import type { Completion } from "../chat_service.ts";
import { head, merge, usage } from "../completion_format.ts";
import { DATA_EVENTS } from "../event_stream.ts";
import type { Exchange } from "../exchange.ts";
import { LogprobColumns } from "./logprob_columns.ts";
import { parseTextRequest } from "./text_request.ts";

/** Reads a request. */
export function readTextCompletion(body: unknown): Exchange {
  return { request: parseTextRequest(body), whole, events, format: DATA_EVENTS };
}

async function whole(completion: Completion): Promise<unknown> {
  const choices = await Promise.all(completion.choices.map(async (choice) => {
    let text = "";
    const columns = columnsOf(completion);
    for await (const piece of choice) {
      if (columns) columns.add(piece);
      text += piece.text;
    }
    const logprobs = columns?.take() ?? null;
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
  const columns = choices.map(() => columnsOf(completion));
  for await (const { choice, piece } of merge(choices)) {
    const { index, finishReason } = choice;
    const own = columns[index];
    if (piece && own) own.add(piece);
    const logprobs = piece && own ? own.take() : null;
    const { text = "" } = piece ?? {};
    const finish_reason = piece ? null : finishReason;
    yield { ...shared, choices: [{ index, text, logprobs, finish_reason }] };
  }
  if (request.includeUsage) yield { ...shared, choices: [], usage: usage(completion) };
}

/** Columns for a choice, where they were asked for. */
function columnsOf({ request, tokenizer }: Completion): LogprobColumns | undefined {
  return request.options.topLogprobs === undefined ? undefined : new LogprobColumns(tokenizer);
}
