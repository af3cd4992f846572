/**
 * What to say of a path that there is not.
 *
 * In: a path. Out: a 404 that tells the paths that there are, and which of them may be meant.
 */

import { ApiError } from "./api_error.ts";

const PATHS = "POST /v1/chat/completions, /v1/completions and /v1/responses, GET /v1/models, " +
  "Ollama's /api/chat, /api/generate, /api/tags, /api/show and /api/version, /health, /metrics and / " +
  "(the page)";
const TO_CHAT = "send messages to /v1/chat/completions";
const NO_EMBEDDINGS =
  "there are no embeddings: the model is trained to write text, and its hidden " +
  "states mean nothing to a search; serve a model made for embeddings elsewhere";
const NO_RANKS =
  "texts are not scored or ranked: the model only writes text; serve a model made for " +
  "it elsewhere";

/** What clients ask for that is something else here, or nothing. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/^\/v1\/responses\//, "responses are not kept: send the whole chat as input of each"],
  [/^\/v1\/chat\/completions\//, "completions are not kept: send the whole chat each time"],
  [/^\/v1\/messages(\/|$)/, `Anthropic's API is not there: ${TO_CHAT}`],
  [/\/(embeddings?|embed)$/, NO_EMBEDDINGS],
  [/\/(rerank|score|classify|pooling)$/, NO_RANKS],
  [/\/(de)?tokenize$/, "tokens are not given out: answers count them under usage"],
  [/^\/v1\/(audio|images|videos)(\/|$)/, "the model reads and writes text only"],
  [
    /^\/v1\/(files|uploads|batches|moderations|fine_tuning|assistants|threads|conversations|evals|vector_stores)(\/|$)/,
    TO_CHAT,
  ],
  [
    /^\/api\/(pull|push|create|copy|delete|blobs)(\/|$)/,
    "models are those that the server was started with",
  ],
  [/^\/api\/(v0|v1)(\/|$)/, "the path begins with /v1: set the base URL to end in /v1"],
  [/^\/api\/?$/, "Ollama's clients add /api/chat and the like to the server's address"],
  [
    /^\/(chat\/completions|completions|responses|models)(\/|$)/,
    "the path begins with /v1: set the base URL to end in /v1",
  ],
  [/^\/(generate|completion|infill)$/, `this is another server's API: ${TO_CHAT}`],
  [/^\/v1\/v1(\/|$)/, "the path has /v1 twice: take it off the base URL or off the path"],
  [/^\/v1\/api(\/|$)/, "Ollama's paths have no /v1: take it off the base URL"],
  [/^\/v1\/chat$/, TO_CHAT],
  [/^\/v1$/, "this is the base URL: clients add /chat/completions and /models"],
];

/** The refusal of a path. */
export function notFound(pathname: string): ApiError {
  const [, hint] = HINTS.find(([path]) => path.test(pathname)) ?? [];
  const shown = pathname.length > 100 ? `${pathname.slice(0, 100)}…` : pathname;
  return new ApiError(
    404,
    `There is no ${shown} here${hint ? `: ${hint}` : ""}; there are ${PATHS}`,
    { code: "not_found" },
  );
}
