/**
 * The server that answers as OpenAI's API does, as a handler of `Request` and `Response`.
 *
 * ```ts
 * import { Metrics } from "@ortune/ortune/serve";
 * import assert from "node:assert/strict";
 *
 * const metrics = new Metrics();
 * metrics.add("ortune_requests_total", "Requests", { route: "/health" });
 * assert.match(String(metrics), /ortune_requests_total\{route="\/health"\} 1/);
 * ```
 *
 * @module
 */

export { createHandler, type HandlerOptions } from "./handler.ts";
export type { AccessOptions } from "./access.ts";
export type { BodyLimits } from "./read_body.ts";
export type { ChatRequest, RequestedFormat } from "./chat_request.ts";
export {
  ChatService,
  type ChatServiceOptions,
  type ChoicePiece,
  type ChoiceReply,
  Completion,
  type PreparedChat,
  type ServedModel,
} from "./chat_service.ts";
export { type Labels, Metrics } from "./metrics.ts";
export { listen, type Listening, type ListenOptions } from "./listen.ts";
export { type AllowOrigin, parseOrigin } from "./cross_origin.ts";
