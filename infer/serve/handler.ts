/**
 * The answers of the server.
 *
 * In: requests. Out: the OpenAI API's chat completions, the page to chat with, its health and its
 * metrics.
 */

import type { BatchLoad } from "../generate/batch_generator.ts";
import { type AccessOptions, assertOwnSite, assertToken } from "./access.ts";
import { ApiError, toApiError } from "./api_error.ts";
import { addCors, allowedOrigin, isPreflight, preflightHeaders } from "./cross_origin.ts";
import { PAGE_FILES, PAGE_POLICY } from "./chat_page.ts";
import { parseChatRequest } from "./chat_request.ts";
import type { ChatService, Completion, ServedModel } from "./chat_service.ts";
import { completionChunks, completionObject } from "./completion_format.ts";
import { eventStream } from "./event_stream.ts";
import type { Metrics } from "./metrics.ts";
import { notFound } from "./not_found.ts";
import type { ModelAnswer, ModelList, PageSettings } from "./page_answers.ts";
import { type BodyLimits, readJsonBody } from "./read_body.ts";

/** What a handler is made with. */
export interface HandlerOptions extends AccessOptions {
  /** Answers the chats. */
  readonly service: ChatService;
  /** What /metrics shows. */
  readonly metrics: Metrics;
  /** How busy the models are. */
  readonly load: () => BatchLoad;
  /** The system prompt that the page starts with. @default {""} */
  readonly system?: string;
  /** Questions that the page offers to begin with. @default none */
  readonly examples?: readonly string[];
  /** Limits of a request's body. */
  readonly body?: BodyLimits;
  /** Told of errors that are the server's own. */
  readonly onError: (cause: unknown) => void;
  /** The time that models are said to be made at. @default {now} */
  readonly now?: Date;
}

const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** As nginx counts requests whose client did not wait for the answer: neither side's fault. */
const CLIENT_GONE = "499";

/** Makes the handler of a server's requests. */
export function createHandler(options: HandlerOptions): (request: Request) => Promise<Response> {
  const { metrics, onError } = options;
  const created = Math.floor((options.now ?? new Date()).getTime() / 1000);
  return async (request) => {
    let response: Response;
    let route = "other";
    const { allowOrigin } = options;
    const origin = allowOrigin && allowedOrigin(request.headers, allowOrigin);
    try {
      assertOwnSite(request.headers, options);
      const pathname = withoutSlash(new URL(request.url).pathname);
      const found = ROUTES.find(({ path }) => path.test(pathname));
      if (!found) throw notFound(pathname);
      route = found.name;
      if (origin !== undefined && isPreflight(request)) {
        // Without the token, which no browser sends before it has leave.
        const headers = { ...HEADERS, ...preflightHeaders(request, found.methods) };
        response = new Response(null, { status: 204, headers });
      } else if (!found.methods.includes(request.method)) {
        const allowed = found.methods.join(" or ");
        const refused = failure(new ApiError(405, `The method must be ${allowed}`));
        refused.headers.set("allow", found.methods.join(", "));
        response = refused;
      } else {
        if (!found.open) await assertToken(request.headers, options.apiKey);
        response = await found.answer(request, { ...options, pathname, created });
      }
    } catch (cause) {
      const error = toApiError(cause);
      // Whose reader is gone has not failed.
      if (error.status === 500 && !request.signal.aborted) onError(cause);
      response = failure(error);
    }
    if (allowOrigin) addCors(response.headers, origin);
    // Whose client has left gets no answer, whatever it would have been.
    const status = request.signal.aborted ? CLIENT_GONE : String(response.status);
    const labels = { route, status };
    metrics.add("ortune_http_requests_total", "Requests by their answer.", labels);
    return response;
  };
}

interface Context extends HandlerOptions {
  readonly pathname: string;
  readonly created: number;
}

interface Route {
  readonly name: string;
  readonly path: Pick<RegExp, "test">;
  readonly methods: readonly string[];
  /** Whether it needs no token: it tells and does nothing. */
  readonly open?: boolean;
  readonly answer: (request: Request, context: Context) => Response | Promise<Response>;
}

/** HEAD is for whoever looks after servers: the same answer, of which no body is sent. */
const READ = ["GET", "HEAD"];
const ROUTES: readonly Route[] = [
  { name: "chat", path: /^\/v1\/chat\/completions$/, methods: ["POST"], answer: completions },
  { name: "models", path: /^\/v1\/models(\/.+)?$/, methods: READ, answer: models },
  { name: "health", path: /^\/health$/, methods: READ, open: true, answer: health },
  { name: "metrics", path: /^\/metrics$/, methods: READ, answer: metricsText },
  { name: "settings", path: /^\/settings\.json$/, methods: READ, answer: settings },
  {
    name: "page",
    path: { test: (path) => PAGE_FILES.has(path) },
    methods: READ,
    open: true,
    answer: page,
  },
];

/** Some clients end paths with a slash. */
function withoutSlash(pathname: string): string {
  let end = pathname.length;
  while (end > 1 && pathname[end - 1] === "/") end--;
  return pathname.slice(0, end);
}

/** What the page starts with. */
function settings(_: Request, { system = "", examples = [], service }: Context): Response {
  const systems = Object.fromEntries(service.models.map((each) => [each.id, each.system ?? ""]));
  return json({ system, systems, examples } satisfies PageSettings);
}

function page(_: Request, { pathname }: Context): Response {
  const file = PAGE_FILES.get(pathname)!;
  const response = text(file.body, file.type);
  response.headers.set("content-security-policy", PAGE_POLICY);
  return response;
}

function health(_: Request, { service }: Context): Response {
  if (service.closed) throw new ApiError(503, "The server is stopping", { retryAfter: 5 });
  return json({ status: "ok" });
}

function metricsText(_: Request, { metrics, load }: Context): Response {
  const { running, waiting, reservedPositions, positions, steps } = load();
  metrics.set("ortune_replies_running", "Replies being made.", running);
  metrics.set("ortune_replies_waiting", "Replies that wait for a row.", waiting);
  const reserved = "Positions of the cache set aside for running replies.";
  metrics.set("ortune_cache_reserved_positions", reserved, reservedPositions);
  metrics.set("ortune_cache_positions", "Positions of the cache.", positions);
  metrics.total("ortune_decoding_steps_total", "Steps of the batch.", steps);
  return text(metrics.toString(), "text/plain; version=0.0.4");
}

function models(_: Request, { service, pathname, created }: Context): Response {
  const { window } = service;
  const describe = ({ id, parent }: ServedModel): ModelAnswer => ({
    id,
    object: "model",
    created,
    owned_by: "ortune",
    parent: parent ?? null,
    max_model_len: window,
  });
  const name = pathname.slice("/v1/models/".length);
  if (name !== "") return json(describe(service.model(decoded(name))));
  return json({ object: "list", data: service.models.map(describe) } satisfies ModelList);
}

/** Names of models have slashes, which some clients escape. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

async function completions(request: Request, context: Context): Promise<Response> {
  const { service, body } = context;
  // Before the body: a server that stops reads no more.
  if (service.closed) throw new ApiError(503, "The server is stopping", { retryAfter: 5 });
  const asked = parseChatRequest(await readJsonBody(request, body));
  const prepared = await service.prepare(asked, request.signal);
  // Nobody would read it.
  request.signal.throwIfAborted();
  const completion = service.start(asked, prepared);
  // Also once the answer is there, where it does nothing.
  request.signal.addEventListener("abort", () => completion.abort(), { once: true });
  if (request.signal.aborted) completion.abort();
  if (asked.stream) return streamed(completion, context);
  try {
    return json(await completionObject(completion));
  } catch (cause) {
    completion.abort();
    throw cause;
  }
}

function streamed(completion: Completion, { onError }: Context): Response {
  const stream = eventStream(completionChunks(completion), {
    onCancel: () => completion.abort(),
    onError: (cause) => {
      completion.abort();
      const error = toApiError(cause);
      if (error.status === 500) onError(cause);
      return error;
    },
  });
  return new Response(stream, {
    headers: {
      ...HEADERS,
      "content-type": "text/event-stream; charset=utf-8",
      // Proxies such as nginx would hold events back.
      "x-accel-buffering": "no",
    },
  });
}

function failure(error: ApiError): Response {
  const response = json(error, error.status);
  if (error.retryAfter !== undefined) response.headers.set("retry-after", `${error.retryAfter}`);
  if (error.status === 401) response.headers.set("www-authenticate", "Bearer");
  return response;
}

function json(value: unknown, status = 200): Response {
  return whole(JSON.stringify(value), "application/json", status);
}

function text(body: string, type: string): Response {
  return whole(body, `${type}; charset=utf-8`);
}

/** A body of known length: it has arrived even where the connection goes on. */
function whole(body: string, type: string, status = 200): Response {
  const bytes = new TextEncoder().encode(body);
  const headers = { ...HEADERS, "content-type": type, "content-length": `${bytes.length}` };
  return new Response(bytes, { status, headers });
}
