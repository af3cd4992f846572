/**
 * The answers of the server.
 *
 * In: requests. Out: texts and models as OpenAI's and Ollama's APIs have them, the page to chat with,
 * its health and its metrics.
 */

import type { BatchLoad } from "../generate/batch_generator.ts";
import { type AccessOptions, assertOwnSite, assertToken } from "./access.ts";
import { ApiError, stopping, toApiError } from "./api_error.ts";
import { addCors, allowedOrigin, isPreflight, preflightHeaders } from "./cross_origin.ts";
import { PAGE_FILES, PAGE_POLICY } from "./chat_page.ts";
import { readChatCompletion } from "./completion_format.ts";
import type { ChatService, ServedModel } from "./chat_service.ts";
import { answerExchange, type Exchange, type ReadyAnswer } from "./exchange.ts";
import { empty, json, text } from "./http_answer.ts";
import type { Metrics } from "./metrics.ts";
import { notFound } from "./not_found.ts";
import { ollamaModels, ollamaShow, ollamaVersion } from "./ollama/ollama_models.ts";
import { ollamaError, readOllamaChat, readOllamaGenerate } from "./ollama/ollama_replies.ts";
import type { ModelAnswer, ModelList, PageSettings } from "./page_answers.ts";
import { type BodyLimits, readJsonBody } from "./read_body.ts";
import { readResponse } from "./responses/responses.ts";
import { readTextCompletion } from "./text/text_completions.ts";

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

/** As nginx counts requests whose client did not wait for the answer: neither side's fault. */
const CLIENT_GONE = "499";

/** Makes the handler of a server's requests. */
export function createHandler(options: HandlerOptions): (request: Request) => Promise<Response> {
  const { metrics, onError } = options;
  const created = Math.floor((options.now ?? new Date()).getTime() / 1000);
  return async (request) => {
    let response: Response;
    let found: Route | undefined;
    const { allowOrigin } = options;
    const origin = allowOrigin && allowedOrigin(request.headers, allowOrigin);
    const pathname = withoutSlash(new URL(request.url).pathname);
    try {
      assertOwnSite(request.headers, options);
      found = ROUTES.find(({ path }) => path.test(pathname));
      if (!found) throw notFound(pathname);
      if (origin !== undefined && isPreflight(request)) {
        // Without the token, which no browser sends before it has leave.
        response = empty(preflightHeaders(request, found.methods));
      } else if (!found.methods.includes(request.method)) {
        const allowed = found.methods.join(" or ");
        const refused = failure(new ApiError(405, `The method must be ${allowed}`), found);
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
      response = failure(error, found ?? (pathname.startsWith("/api/") ? OLLAMA : undefined));
    }
    if (allowOrigin) addCors(response.headers, origin);
    // Whose client has left gets no answer, whatever it would have been.
    const status = request.signal.aborted ? CLIENT_GONE : String(response.status);
    const labels = { route: found?.name ?? "other", status };
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
  /** The body of a refusal. @default {OpenAI's} */
  readonly failure?: (error: ApiError) => unknown;
}

/** A route of requests for text. */
function texts(
  name: string,
  path: RegExp,
  read: (body: unknown, service: ChatService) => Exchange | ReadyAnswer,
): Route {
  const answer: Route["answer"] = (request, context) => answerExchange(request, context, read);
  return { name, path, methods: ["POST"], answer };
}

/** How Ollama's paths refuse. */
const OLLAMA: Pick<Route, "failure"> = { failure: ollamaError };

/** A route whose clients are Ollama's. */
function ollama(route: Route): Route {
  return {
    ...route,
    ...OLLAMA,
    answer: (request, context) =>
      route.answer(request, { ...context, body: { ...context.body, anyType: true } }),
  };
}

/** HEAD is for whoever looks after servers: the same answer, of which no body is sent. */
const READ = ["GET", "HEAD"];
const ROUTES: readonly Route[] = [
  texts("chat", /^\/v1\/chat\/completions$/, readChatCompletion),
  texts("text", /^\/v1\/completions$/, readTextCompletion),
  texts("responses", /^\/v1\/responses$/, readResponse),
  ollama(texts("ollama_chat", /^\/api\/chat$/, readOllamaChat)),
  ollama(texts("ollama_generate", /^\/api\/generate$/, readOllamaGenerate)),
  ollama({
    name: "ollama_models",
    path: /^\/api\/(tags|ps)$/,
    methods: READ,
    answer: (_, { service, created }) => json(ollamaModels(service, created)),
  }),
  ollama({
    name: "ollama_show",
    path: /^\/api\/show$/,
    methods: ["POST"],
    answer: async (request, { service, body, created }) =>
      json(ollamaShow(await readJsonBody(request, body), service, created)),
  }),
  ollama({
    name: "ollama_version",
    path: /^\/api\/version$/,
    methods: READ,
    answer: () => json(ollamaVersion()),
  }),
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
  if (service.closed) throw stopping();
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

function failure(error: ApiError, { failure = (each) => each }: Partial<Route> = {}): Response {
  const response = json(failure(error), error.status);
  if (error.retryAfter !== undefined) response.headers.set("retry-after", `${error.retryAfter}`);
  if (error.status === 401) response.headers.set("www-authenticate", "Bearer");
  return response;
}
