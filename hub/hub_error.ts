/**
 * The error of a download.
 *
 * In: what was asked, of which host, and what came of it. Out: an Error whose message names the
 * host, the status and the file, and says what to do.
 */

/** What is known of a failed download. */
export interface HubErrorDetails extends ErrorOptions {
  /** Host that was asked, with its port where that is not the usual one. */
  readonly host?: string;
  /** Status of the answer, where there was one. */
  readonly status?: number;
  /** Path of the file within its repository, where one was asked for. */
  readonly file?: string;
  /** Whether asking again may help. @default false */
  readonly temporary?: boolean;
  /** How long the host asks to wait first, in milliseconds. */
  readonly retryAfter?: number;
}

/**
 * A repository or a file that could not be fetched.
 *
 * @example
 * ```ts
 * import { HubError } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const error = new HubError("Cannot fetch config.json: status 404", { status: 404 });
 * assert.equal(error.status, 404);
 * assert.equal(error.temporary, false);
 * ```
 */
export class HubError extends Error {
  /** `"HubError"`. */
  override readonly name: string = "HubError";
  /** Host that was asked. */
  readonly host: string | undefined;
  /** Status of the answer, where there was one. */
  readonly status: number | undefined;
  /** Path of the file within its repository, where one was asked for. */
  readonly file: string | undefined;
  /** Whether asking again may help. */
  readonly temporary: boolean;
  /** How long the host asks to wait first, in milliseconds. */
  readonly retryAfter: number | undefined;

  /** Takes the whole message, and what it is made of. */
  constructor(message: string, details: HubErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.host = details.host;
    this.status = details.status;
    this.file = details.file;
    this.temporary = details.temporary ?? false;
    this.retryAfter = details.retryAfter;
  }
}
