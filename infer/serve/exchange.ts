/**
 * One request for text, in any protocol.
 *
 * In: an HTTP request and the protocol's reader of bodies. Out: the protocol's whole answer or its
 * stream, made by the service and ended when the client is gone.
 */

import { type ApiError, stopping, toApiError } from "./api_error.ts";
import type { ChatRequest } from "./chat_request.ts";
import type { ChatService, Completion } from "./chat_service.ts";
import { eventStream, type StreamFormat } from "./event_stream.ts";
import { json, stream } from "./http_answer.ts";
import { type BodyLimits, readJsonBody } from "./read_body.ts";

/** A request that a protocol has read, and how its replies are written. */
export interface Exchange {
  /** What is asked of the service. */
  readonly request: ChatRequest;
  /** The replies in one piece. */
  whole(completion: Completion): Promise<unknown>;
  /** The replies as they come. */
  events(completion: Completion): AsyncIterator<unknown, void>;
  /** How the events are written. */
  readonly format: StreamFormat;
}

/** An answer that needs no reply of a model. */
export interface ReadyAnswer {
  /** The answer. */
  readonly ready: unknown;
}

/** What requests are answered with. */
export interface ExchangeContext {
  readonly service: ChatService;
  readonly body?: BodyLimits;
  /** Told of errors that are the server's own. */
  readonly onError: (cause: unknown) => void;
}

/** Answers a request. */
export async function answerExchange(
  request: Request,
  { service, body, onError }: ExchangeContext,
  read: (body: unknown, service: ChatService) => Exchange | ReadyAnswer,
): Promise<Response> {
  // Before the body: a server that stops reads no more.
  if (service.closed) throw stopping();
  const exchange = read(await readJsonBody(request, body), service);
  if ("ready" in exchange) return json(exchange.ready);
  const asked = exchange.request;
  const prepared = await service.prepare(asked, request.signal);
  // Nobody would read it.
  request.signal.throwIfAborted();
  const completion = service.start(asked, prepared);
  // Also once the answer is there, where it does nothing.
  request.signal.addEventListener("abort", () => completion.abort(), { once: true });
  if (asked.stream) {
    const { format } = exchange;
    const events = eventStream(exchange.events(completion), {
      format,
      onCancel: () => completion.abort(),
      onError: (cause): ApiError => {
        completion.abort();
        const error = toApiError(cause);
        if (error.status === 500) onError(cause);
        return error;
      },
    });
    return stream(events, format.type);
  }
  try {
    return json(await exchange.whole(completion));
  } catch (cause) {
    completion.abort();
    throw cause;
  }
}
