/**
 * `/api/chat` and `/api/generate`: replies as Ollama writes them, a JSON object a line.
 *
 * In: a parsed body. Out: what is asked of the service, and one object or the lines of a stream.
 */

import type { ChatService, Completion } from "../chat_service.ts";
import type { ChatPiece } from "../../chat/think_splitter.ts";
import type { StreamFormat } from "../event_stream.ts";
import type { Exchange, ReadyAnswer } from "../exchange.ts";
import { logprobAnswers } from "../token_logprobs_format.ts";
import { findOllamaModel } from "./ollama_models.ts";
import { type OllamaRequest, parseOllamaChat, parseOllamaGenerate } from "./ollama_request.ts";

const LINES: StreamFormat = {
  type: "application/x-ndjson",
  event: (value) => `${JSON.stringify(value)}\n`,
  failure: ollamaError,
};

/** An error in Ollama's shape. */
export function ollamaError({ message }: Error): { readonly error: string } {
  return { error: message };
}

/** Writes the text of a piece, or none, into the fields of one of the two paths. */
type Said = (said: Readonly<Record<ChatPiece["kind"], string>>) => Record<string, unknown>;

/** Reads a request of `/api/chat`. */
export function readOllamaChat(body: unknown, service: ChatService): Exchange | ReadyAnswer {
  return exchange(parseOllamaChat(body), service, ({ think, answer }) => ({
    message: { role: "assistant", content: answer, ...(think === "" ? {} : { thinking: think }) },
  }));
}

/** Reads a request of `/api/generate`. */
export function readOllamaGenerate(body: unknown, service: ChatService): Exchange | ReadyAnswer {
  return exchange(
    parseOllamaGenerate(body),
    service,
    ({ think, answer }) => ({
      response: answer,
      ...(think === "" ? {} : { thinking: think }),
    }),
  );
}

function exchange(
  asked: OllamaRequest,
  service: ChatService,
  write: Said,
): Exchange | ReadyAnswer {
  if ("load" in asked) {
    findOllamaModel(service, asked.load);
    const said = write({ think: "", answer: "" });
    return { ready: { ...head(asked.load), ...said, done: true, done_reason: "load" } };
  }
  const request = { ...asked, model: findOllamaModel(service, asked.model).id };
  const began = performance.now();
  /** Its lines have what is new, and the last one how it ended; `whole` joins them. */
  async function* lines(completion: Completion): AsyncGenerator<Line, void> {
    const [choice] = completion.choices;
    let first = 0;
    for await (const piece of choice) {
      if (first === 0) first = performance.now();
      yield { piece, fields: logprobsOf(completion, piece) };
    }
    const end = performance.now();
    if (first === 0) first = end;
    yield {
      fields: {
        done_reason: choice.finishReason,
        total_duration: nanoseconds(end - began),
        load_duration: 0,
        prompt_eval_count: completion.promptTokens,
        prompt_eval_duration: nanoseconds(first - began),
        eval_count: choice.newTokens,
        eval_duration: nanoseconds(end - first),
      },
    };
  }
  return {
    request,
    format: LINES,
    async *events(completion): AsyncGenerator<unknown, void> {
      for await (const { piece, fields } of lines(completion)) {
        const said = { think: "", answer: "" };
        if (piece) said[piece.kind] = piece.text;
        yield { ...head(asked.model), ...write(said), done: !piece, ...fields };
      }
    },
    async whole(completion): Promise<unknown> {
      const said = { think: "", answer: "" };
      const logprobs: unknown[] = [];
      let last = {};
      for await (const { piece, fields } of lines(completion)) {
        if (piece) said[piece.kind] += piece.text;
        logprobs.push(...fields.logprobs ?? []);
        last = fields;
      }
      const told = request.options.topLogprobs === undefined ? {} : { logprobs };
      return { ...head(asked.model), ...write(said), done: true, ...last, ...told };
    },
  };
}

interface Line {
  /** What is said; in the last line none. */
  readonly piece?: ChatPiece;
  readonly fields: { readonly logprobs?: readonly unknown[]; readonly [name: string]: unknown };
}

function head(model: string): { readonly model: string; readonly created_at: string } {
  return { model, created_at: new Date().toISOString() };
}

function logprobsOf(
  { request, tokenizer }: Completion,
  { tokens = [] }: ChatPiece,
): Line["fields"] {
  if (request.options.topLogprobs === undefined || tokens.length === 0) return {};
  return { logprobs: logprobAnswers(tokens, tokenizer) };
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6);
}
