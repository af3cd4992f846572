/**
 * `/v1/responses`: replies as items, as OpenAI's Responses API writes them.
 *
 * In: a parsed body. Out: what is asked of the service, and one object or the events of a stream.
 * Thinking is an item of its own before the message.
 */

import { isRecord } from "../../../internal/json/is_record.ts";
import type { ChosenLogprob } from "../../sampling/token_logprobs.ts";
import type { ChatPiece } from "../../chat/think_splitter.ts";
import type { Completion } from "../chat_service.ts";
import { usage } from "../completion_format.ts";
import type { StreamFormat } from "../event_stream.ts";
import type { Exchange } from "../exchange.ts";
import type { LogprobAnswer } from "../page_answers.ts";
import type { Fields } from "../request_values.ts";
import { logprobAnswers } from "../token_logprobs_format.ts";
import { parseResponseRequest } from "./response_request.ts";

/** Reads a request. */
export function readResponse(body: unknown): Exchange {
  const request = parseResponseRequest(body);
  const shared = head(isRecord(body) ? body : {}, request.model);
  let sequence = 0;
  const event = (type: string, fields: Fields): Event => {
    return { type, sequence_number: sequence++, ...fields };
  };
  const format: StreamFormat = {
    type: "text/event-stream; charset=utf-8",
    event: (value) => `event: ${(value as Event).type}\ndata: ${JSON.stringify(value)}\n\n`,
    failure: ({ message, code = null, param = null }) =>
      event("error", { code: code ?? "server_error", message, param }),
    silence: ": working\n\n",
  };
  return {
    request,
    format,
    events: (completion) => responseEvents(completion, { shared, event }),
    async whole(completion): Promise<unknown> {
      let last: unknown;
      for await (const { response } of responseEvents(completion, { shared, event })) {
        last = response;
      }
      return last;
    },
  };
}

interface Event {
  readonly type: string;
  readonly sequence_number: number;
  readonly [field: string]: unknown;
}

/** What a response repeats of its request, by the field's default where it was not given. */
function head(body: Fields, model: string): Fields {
  const given = (name: string, otherwise: unknown = null): unknown => body[name] ?? otherwise;
  const reasoning = isRecord(body.reasoning) ? body.reasoning : {};
  return {
    id: newId("resp"),
    object: "response",
    created_at: Math.floor(Date.now() / 1000),
    model,
    background: false,
    error: null,
    instructions: given("instructions"),
    max_output_tokens: given("max_output_tokens"),
    max_tool_calls: given("max_tool_calls"),
    metadata: given("metadata", {}),
    parallel_tool_calls: given("parallel_tool_calls", true),
    previous_response_id: null,
    reasoning: { effort: reasoning.effort ?? null, summary: null },
    store: false,
    temperature: given("temperature"),
    text: { format: { type: "text" }, ...(isRecord(body.text) ? body.text : {}) },
    tool_choice: given("tool_choice", "auto"),
    tools: [],
    top_logprobs: given("top_logprobs", 0),
    top_p: given("top_p"),
    truncation: "disabled",
    user: given("user"),
  };
}

function newId(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;
}

/** An item that text is added to. */
interface OpenItem {
  readonly kind: ChatPiece["kind"];
  readonly id: string;
  text: string;
  readonly logprobs: LogprobAnswer[];
}

/** The item as it stands. */
function itemOf({ kind, id }: OpenItem, status: string, content: readonly unknown[]): Fields {
  return kind === "think"
    ? { id, type: "reasoning", status, summary: [], content }
    : { id, type: "message", status, role: "assistant", content };
}

function partOf({ kind, text, logprobs }: OpenItem): Fields {
  return kind === "think"
    ? { type: "reasoning_text", text }
    : { type: "output_text", text, annotations: [], logprobs };
}

async function* responseEvents(
  completion: Completion,
  { shared, event }: {
    readonly shared: Fields;
    readonly event: (type: string, fields: Fields) => Event;
  },
): AsyncGenerator<Event, void> {
  const [choice] = completion.choices;
  const output: Fields[] = [];
  const response = (status: string, more: Fields): Fields => ({
    ...shared,
    status,
    incomplete_details: null,
    output: [...output],
    usage: null,
    ...more,
  });
  let item: OpenItem | undefined;
  const close = function* (status: "completed" | "incomplete"): Iterable<Event> {
    if (!item) return;
    const part = partOf(item);
    const done = itemOf(item, status, [part]);
    const at = { item_id: item.id, output_index: output.length };
    const place = { ...at, content_index: 0 };
    const { text, logprobs } = item;
    if (item.kind === "think") yield event("response.reasoning_text.done", { ...place, text });
    else yield event("response.output_text.done", { ...place, text, logprobs });
    yield event("response.content_part.done", { ...place, part });
    yield event("response.output_item.done", { output_index: output.length, item: done });
    output.push(done);
    item = undefined;
  };
  const open = function* (kind: ChatPiece["kind"]): Iterable<Event> {
    item = { kind, id: newId(kind === "think" ? "rs" : "msg"), text: "", logprobs: [] };
    const output_index = output.length;
    yield event("response.output_item.added", {
      output_index,
      item: itemOf(item, "in_progress", []),
    });
    yield event("response.content_part.added", {
      item_id: item.id,
      output_index,
      content_index: 0,
      part: partOf(item),
    });
  };
  yield event("response.created", { response: response("in_progress", {}) });
  yield event("response.in_progress", { response: response("in_progress", {}) });
  for await (const { kind, text: delta, tokens = [] } of choice) {
    if (item && item.kind !== kind) yield* close("completed");
    if (!item) yield* open(kind);
    const { id: item_id, logprobs } = item!;
    item!.text += delta;
    const place = { item_id, output_index: output.length, content_index: 0 };
    if (kind === "think") {
      yield event("response.reasoning_text.delta", { ...place, delta });
      continue;
    }
    const told = logprobsOf(completion, tokens);
    logprobs.push(...told);
    yield event("response.output_text.delta", { ...place, delta, logprobs: told });
  }
  const cut = choice.finishReason === "length";
  const status = cut ? "incomplete" : "completed";
  yield* close(status);
  yield event(`response.${status}`, {
    response: response(status, {
      incomplete_details: cut ? { reason: "max_output_tokens" } : null,
      completed_at: cut ? null : Math.floor(Date.now() / 1000),
      usage: usageOf(completion),
    }),
  });
}

function logprobsOf(
  { request, tokenizer }: Completion,
  tokens: readonly ChosenLogprob[],
): LogprobAnswer[] {
  return request.options.topLogprobs === undefined ? [] : logprobAnswers(tokens, tokenizer);
}

function usageOf(completion: Completion): Fields {
  const told = usage(completion);
  return {
    input_tokens: told.prompt_tokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: told.completion_tokens,
    output_tokens_details: told.completion_tokens_details,
    total_tokens: told.total_tokens,
  };
}
