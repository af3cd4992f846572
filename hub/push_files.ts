/**
 * Uploads files to a model repository on Hugging Face, as one commit.
 *
 * In: an id, a token and files. Out: the repository, made if it was not there, and the commit. Large
 * files go straight to the store that the hub names, without the token.
 *
 * @module
 */

import { createRepo, HubApiError, uploadFilesWithProgress } from "@huggingface/hub";
import { parseEndpoint, SERVICES } from "./hub_client.ts";
import { HubError } from "./hub_error.ts";
import type { HubProgress } from "./hub_options.ts";
import { checkRepositoryId } from "./repository_path.ts";

const CONFLICT = 409;

/** A file to upload: where it goes in the repository, and what it is. */
export interface PushedFile {
  /** Path in the repository. */
  readonly path: string;
  /** A file's URL, which is read in pieces, or its content. */
  readonly content: URL | Blob;
  /** Its size, for the progress. */
  readonly bytes: number;
}

/** Options of {@linkcode pushFiles}. */
export interface PushOptions {
  /** A token that may write; begins with `hf_`. */
  readonly token: string;
  /** Title of the commit. */
  readonly title: string;
  /** Whether a repository that is made is private. @default false */
  readonly private?: boolean;
  /** Branch. @default "main" */
  readonly revision?: string;
  /** Address of the hub or a mirror. @default Hugging Face's */
  readonly endpoint?: string;
  /** Makes requests. @default globalThis.fetch */
  readonly fetch?: typeof fetch;
  /** Stops between requests; what was not committed leaves no trace. */
  readonly signal?: AbortSignal;
  /** Called as bytes go. */
  readonly onProgress?: (progress: HubProgress) => void;
}

/**
 * Uploads all files, then commits them together: a repository never holds half of them.
 *
 * Needs `--allow-net` for the hub and its store.
 *
 * @param id `owner/name`
 * @returns the address of the repository
 * @throws {HubError} where the hub refuses or cannot be reached
 * @throws {TypeError} where the id, the token or the endpoint cannot be one
 *
 * @example
 * ```ts
 * import { pushFiles } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const readme = new Blob(["# A model"]);
 * const files = [{ path: "README.md", content: readme, bytes: readme.size }];
 * await assert.rejects(pushFiles("owner/name", files, { token: "secret", title: "First" }), {
 *   message: "Cannot push to owner/name: a token of Hugging Face begins with hf_; correct HF_TOKEN",
 * });
 * ```
 */
export async function pushFiles(
  id: string,
  files: readonly PushedFile[],
  {
    token,
    title,
    private: isPrivate = false,
    revision = "main",
    endpoint = SERVICES.huggingface.endpoint,
    fetch = globalThis.fetch,
    signal,
    onProgress = () => {},
  }: PushOptions,
): Promise<string> {
  const name = checkRepositoryId(id, "push to");
  if (!/^hf_\w+$/.test(token)) {
    throw new TypeError(
      `Cannot push to ${name}: a token of Hugging Face begins with hf_; correct HF_TOKEN`,
    );
  }
  const hub = {
    repo: { type: "model", name },
    accessToken: token,
    hubUrl: parseEndpoint(endpoint, "huggingface"),
    fetch,
  } as const;
  const { host } = new URL(hub.hubUrl);
  try {
    await makeRepository(hub, isPrivate);
    signal?.throwIfAborted();
    const size = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const sent = new Map<string, number>();
    const upload = uploadFilesWithProgress({
      ...hub,
      files: files.map(({ path, content }) => ({ path, content })),
      commitTitle: title,
      branch: revision,
      abortSignal: signal,
      // The plain protocol, which any mirror speaks.
      useXet: false,
    });
    for await (const event of upload) {
      if (event.event !== "fileProgress" || event.state !== "uploading") continue;
      const file = files.find(({ path }) => path === event.path)!;
      sent.set(event.path, event.progress * file.bytes);
      const bytes = Math.round(sent.values().reduce((sum, each) => sum + each, 0));
      const filesDone = files.filter(({ path, bytes }) => sent.get(path) === bytes).length;
      onProgress({ file: event.path, bytes, size, filesDone, files: files.length });
    }
    onProgress({
      file: files.at(-1)?.path ?? "",
      bytes: size,
      size,
      filesDone: files.length,
      files: files.length,
    });
    return `${hub.hubUrl}/${name}`;
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw explain(cause, { name, host });
  }
}

/** Makes the repository; one that is there is as good. */
async function makeRepository(
  hub: Parameters<typeof createRepo>[0],
  isPrivate: boolean,
): Promise<void> {
  try {
    await createRepo({ ...hub, visibility: isPrivate ? "private" : "public" });
  } catch (cause) {
    if (!(cause instanceof HubApiError) || cause.statusCode !== CONFLICT) throw cause;
  }
}

function explain(cause: unknown, { name, host }: { name: string; host: string }): HubError {
  if (!(cause instanceof HubApiError)) {
    return new HubError(
      `Cannot push to ${name}: ${host} could not be reached or stopped answering ` +
        `(${cause instanceof Error ? cause.message : cause}); nothing was committed, push again`,
      { host, cause, temporary: true },
    );
  }
  const { statusCode: status, message } = cause;
  const ways: Readonly<Record<number, string>> = {
    401: "HF_TOKEN is not valid; make one that may write at https://huggingface.co/settings/tokens",
    403: "HF_TOKEN may not write there; take a token with write access, or a repository of yours",
    404: "there is no such owner or branch for this token",
    413: "a file is too large for the hub",
    429: "the hub asks to wait; push again later",
  };
  const way = ways[status] ?? (status >= 500 ? "the hub has a fault; push again later" : message);
  return new HubError(`Cannot push to ${name}: ${host} answered ${status}: ${way}`, {
    host,
    status,
    cause,
    temporary: status === 429 || status >= 500,
  });
}
