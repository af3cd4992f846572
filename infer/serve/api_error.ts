/**
 * Refusals in the shape of the OpenAI API.
 *
 * In: what is wrong with a request. Out: a status and a body that clients of that API show.
 */

import type { ErrorAnswer } from "./page_answers.ts";

/** What {@linkcode ApiError} is made with. */
export interface ApiErrorOptions extends ErrorOptions {
  /** A word for programs, such as `model_not_found`. */
  readonly code?: string;
  /** The field that is wrong. */
  readonly param?: string;
  /** Seconds after which it may be tried again. */
  readonly retryAfter?: number;
}

/** A request that is refused, or a reply that failed. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** The HTTP status. */
  readonly status: number;
  readonly code: string | undefined;
  readonly param: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(status: number, message: string, options: ApiErrorOptions = {}) {
    super(message, options);
    this.status = status;
    this.code = options.code;
    this.param = options.param;
    this.retryAfter = options.retryAfter;
  }

  /** `{ error: { message, type, param, code } }` */
  toJSON(): ErrorAnswer {
    const { message, status, param = null, code = null } = this;
    return { error: { message, type: TYPES[status] ?? "server_error", param, code } };
  }
}

const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "invalid_request_error",
  405: "invalid_request_error",
  408: "invalid_request_error",
  413: "invalid_request_error",
  415: "invalid_request_error",
  429: "rate_limit_error",
  503: "service_unavailable_error",
};

/** The refusal of a server that takes no new requests. */
export function stopping(): ApiError {
  return new ApiError(503, "The server is stopping", { code: "stopping", retryAfter: 5 });
}

/** Any error as one that may be told: of our own faults only that there was one. */
export function toApiError(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  return new ApiError(500, "Cannot answer: the server failed; its log says why", { cause });
}
