/**
 * What to say of a path that there is not.
 *
 * In: a path. Out: a 404 that tells the paths that there are, and which of them may be meant.
 */

import { ApiError } from "./api_error.ts";

const PATHS = "POST /v1/chat/completions, GET /v1/models, /health, /metrics and / (the page)";
const TO_CHAT = "send messages to /v1/chat/completions";

/** What clients ask for that is something else here, or nothing. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/^\/v1\/completions$/, `there are no plain completions: ${TO_CHAT}`],
  [/^\/v1\/responses(\/|$)/, `the Responses API is not there: ${TO_CHAT}`],
  [/^\/v1\/messages(\/|$)/, `Anthropic's API is not there: ${TO_CHAT}`],
  [/\/embeddings$/, "there are no embeddings: the model only replies to chats"],
  [/^\/v1\/(audio|images|files|batches|moderations|fine_tuning|assistants|threads)(\/|$)/, TO_CHAT],
  [
    /^\/api(\/|$)/,
    "this is not Ollama's API: set the client to an OpenAI base URL that ends in /v1",
  ],
  [
    /^\/(chat\/completions|models)(\/|$)/,
    "the path begins with /v1: set the base URL to end in /v1",
  ],
  [/^\/(completions|responses|generate|completion)$/, `the path begins with /v1: ${TO_CHAT}`],
  [/^\/v1\/v1(\/|$)/, "the path has /v1 twice: take it off the base URL or off the path"],
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
