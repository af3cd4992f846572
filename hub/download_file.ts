/**
 * One file, fetched so that it appears whole and checked or not at all.
 *
 * In: an address, the expected size and checksum, and a path. Out: the file at that path, and its
 * SHA-256. Bytes go to a partial file apart, which an interrupted download leaves and the next one
 * goes on from, after hashing what is there; the whole is synced and renamed.
 */

import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { writeError } from "../ort/tensor/file_writer.ts";
import { requestHub, unreachableAdvice, withRetries } from "./hub_client.ts";
import type { HubClient, HubResponse } from "./hub_client.ts";
import { HubError } from "./hub_error.ts";
import type { HubFile } from "./list_files.ts";

/** Piece of a file that is read to hash it. */
const CHUNK_BYTES = 1024 * 1024;

/** Where a file goes. */
export interface DownloadFileOptions {
  /** Repository, for messages. */
  readonly id: string;
  /** Path of the finished file; its folder must exist. */
  readonly target: string;
  /** Path of the partial file, on the same disk; nobody else may use it meanwhile. */
  readonly partial: string;
  /** Called with the bytes that are here, which fall where a download starts over. */
  readonly onBytes?: (bytes: number) => void;
}

/** Fetches a file and gives its SHA-256. */
export async function downloadFile(
  client: HubClient,
  file: HubFile,
  options: DownloadFileOptions,
): Promise<string> {
  const partial = await PartialFile.open(file, options);
  try {
    const sha256 = await withRetries(client, async () => {
      await receive(client, file, options, partial);
      return await verify(client, file, options, partial);
    });
    await partial.commit(options.target);
    return sha256;
  } finally {
    await partial.close();
  }
}

/** Asks for what is missing and appends it. */
async function receive(
  client: HubClient,
  file: HubFile,
  { id, onBytes }: DownloadFileOptions,
  partial: PartialFile,
): Promise<void> {
  if (partial.bytes > file.size || !partial.resumable) await partial.restart();
  if (partial.bytes === file.size && file.size > 0) return;
  const headers: Record<string, string> = {};
  if (partial.bytes > 0) {
    headers.range = `bytes=${partial.bytes}-`;
    if (partial.etag !== undefined) headers["if-range"] = partial.etag;
  }
  const purpose = { what: `${file.path} of ${id}`, id, file: file.path, headers };
  let response: HubResponse;
  try {
    response = await requestHub(client, file.url, purpose);
  } catch (error) {
    if (!(error instanceof HubError && error.status === 416)) throw error;
    await partial.restart();
    throw temporary(client, error.host, file, id, "it does not have the range asked for", error);
  }
  try {
    await checkRange(client, response, file, id, partial);
    for await (const chunk of response.chunks()) {
      if (partial.bytes + chunk.length > file.size) {
        await partial.restart();
        throw temporary(client, response.host, file, id, `more than ${file.size} bytes came`);
      }
      await partial.append(chunk);
      onBytes?.(partial.bytes);
    }
  } finally {
    await response.cancel();
  }
  if (partial.bytes < file.size) {
    const problem = `it ended after ${partial.bytes} of ${file.size} bytes`;
    throw temporary(client, response.host, file, id, problem);
  }
}

/** Starts over where the answer is the whole file; refuses a part that does not fit. */
async function checkRange(
  client: HubClient,
  { status, headers, host }: HubResponse,
  file: HubFile,
  id: string,
  partial: PartialFile,
): Promise<void> {
  const etag = headers.get("etag") ?? undefined;
  if (status === 200) {
    await partial.restart();
    await partial.keepEtag(etag);
    return;
  }
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  const fits = status === 206 && partial.bytes > 0 && range !== null &&
    Number(range[1]) === partial.bytes &&
    (range[3] === "*" || Number(range[3]) === file.size);
  if (fits) return;
  await partial.restart();
  throw temporary(client, host, file, id, `status ${status} came with a part that does not fit`);
}

async function verify(
  client: HubClient,
  file: HubFile,
  { id }: DownloadFileOptions,
  partial: PartialFile,
): Promise<string> {
  const { sha256, git } = partial.digests();
  if (matches(file, sha256, git)) return sha256;
  await partial.restart();
  const host = new URL(file.url).host;
  throw new HubError(
    `Cannot fetch ${file.path} of ${id} from ${host}: its ${file.size} bytes do not have the ` +
      "published checksum, so they were thrown away. Run again, as the repository may have changed " +
      `meanwhile; if it stays so, ${lowerFirst(unreachableAdvice(client))}`,
    { host, file: file.path, temporary: true },
  );
}

/** Whether digests are those that the service names; a file without checksums has any. */
export function matches(file: HubFile, sha256: string, git: string): boolean {
  if (file.sha256 !== undefined) return file.sha256 === sha256;
  return file.gitOid === undefined || file.gitOid === git;
}

/** The digests of a file that is already here. */
export async function digestFile(
  path: string,
  size: number,
  signal?: AbortSignal,
): Promise<{ sha256: string; git: string }> {
  using file = await Deno.open(path);
  const digests = startDigests(size);
  for await (const chunk of readChunks(file)) {
    signal?.throwIfAborted();
    digests.update(chunk);
  }
  return digests.finish();
}

interface Digests {
  readonly update: (chunk: Uint8Array) => void;
  readonly finish: () => { sha256: string; git: string };
}

/** SHA-256, and what git calls a file: the SHA-1 of a header with its size, and the bytes. */
function startDigests(size: number): Digests {
  const hashes: [Hash, Hash] = [
    createHash("sha256"),
    createHash("sha1").update(`blob ${size}\0`),
  ];
  return {
    update: (chunk) => hashes.forEach((one) => one.update(chunk)),
    finish: () => ({ sha256: hashes[0].digest("hex"), git: hashes[1].digest("hex") }),
  };
}

async function* readChunks(file: Deno.FsFile): AsyncGenerator<Uint8Array, void, undefined> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let read = await file.read(chunk); read !== null; read = await file.read(chunk)) {
    yield chunk.subarray(0, read);
  }
}

/** The file in the making, with the digests of what it holds. */
class PartialFile {
  readonly #file: Deno.FsFile;
  readonly #wanted: HubFile;
  readonly #path: string;
  readonly #target: string;
  #digests: Digests;
  #closed = false;
  bytes = 0;
  etag: string | undefined;

  private constructor(file: Deno.FsFile, wanted: HubFile, { partial, target }: {
    partial: string;
    target: string;
  }) {
    this.#file = file;
    this.#wanted = wanted;
    this.#path = partial;
    this.#target = target;
    this.#digests = startDigests(wanted.size);
  }

  /** Opens the partial file, hashing what an earlier download left. */
  static async open(wanted: HubFile, options: DownloadFileOptions): Promise<PartialFile> {
    const { partial: path } = options;
    const present = await Deno.lstat(path).catch(() => undefined);
    // Anything but a plain file was not left by us; writing through a link would end elsewhere.
    if (present !== undefined && !present.isFile) await Deno.remove(path, { recursive: true });
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path, { read: true, write: true, create: true });
    } catch (cause) {
      throw writeError(path, 0, cause);
    }
    const partial = new PartialFile(file, wanted, options);
    partial.etag = await Deno.readTextFile(`${path}.etag`).catch(() => undefined);
    for await (const chunk of readChunks(file)) {
      partial.#digests.update(chunk);
      partial.bytes += chunk.length;
    }
    return partial;
  }

  /** Without checksum only an unchanged ETag tells that both parts belong together. */
  get resumable(): boolean {
    return this.#wanted.sha256 !== undefined || this.#wanted.gitOid !== undefined ||
      this.etag !== undefined;
  }

  async restart(): Promise<void> {
    await this.#file.truncate(0);
    await this.#file.seek(0, Deno.SeekMode.Start);
    this.bytes = 0;
    this.#digests = startDigests(this.#wanted.size);
    await this.keepEtag(undefined);
  }

  /** Remembers a strong ETag: a weak one cannot vouch for bytes. */
  async keepEtag(etag: string | undefined): Promise<void> {
    // deno-lint-ignore no-control-regex -- header values must not hold any
    this.etag = etag !== undefined && /^"[^"\x00-\x1f]{1,200}"$/.test(etag) ? etag : undefined;
    if (this.etag === undefined) await Deno.remove(`${this.#path}.etag`).catch(() => {});
    else await Deno.writeTextFile(`${this.#path}.etag`, this.etag);
  }

  async append(chunk: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < chunk.length;) {
        done += await this.#file.write(chunk.subarray(done));
      }
    } catch (cause) {
      throw writeError(this.#target, this.bytes, cause);
    }
    this.#digests.update(chunk);
    this.bytes += chunk.length;
  }

  digests(): { sha256: string; git: string } {
    return this.#digests.finish();
  }

  async commit(target: string): Promise<void> {
    try {
      await this.#file.sync();
      await this.close();
      await Deno.rename(this.#path, target);
    } catch (cause) {
      throw writeError(target, this.bytes, cause);
    }
    await Deno.remove(`${this.#path}.etag`).catch(() => {});
  }

  /** Closes; bytes that are of use stay, an empty file does not. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#file.close();
    if (this.bytes === 0 && this.#wanted.size > 0) await Deno.remove(this.#path).catch(() => {});
  }
}

function temporary(
  client: HubClient,
  host: string | undefined,
  file: HubFile,
  id: string,
  problem: string,
  cause?: unknown,
): HubError {
  return new HubError(
    `Cannot fetch ${file.path} of ${id} from ${host}: ${problem}. Run again, which goes on from ` +
      `there, or ${lowerFirst(unreachableAdvice(client))}`,
    { host, file: file.path, temporary: true, cause },
  );
}

function lowerFirst(text: string): string {
  return text[0].toLowerCase() + text.slice(1);
}
