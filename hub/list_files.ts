/**
 * What a repository holds.
 *
 * In: a client, an id and a revision. Out: every file with its size and checksum, and where to get
 * its bytes, of one commit where the service names it.
 */

import { endpointHost, requestJson } from "./hub_client.ts";
import type { HubClient } from "./hub_client.ts";
import { HubError } from "./hub_error.ts";
import type { RepositoryKind } from "./hub_options.ts";
import { checkFilePath } from "./repository_path.ts";

/**
 * Most files of one repository: models have some tens. A listing is held in memory and each entry
 * costs a check.
 */
const MAX_FILES = 20_000;
/** Largest page of a listing: 1,000 entries of less than 2 KiB, with room to spare. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
/** Most pages, so that a host which always names a next one ends. */
const MAX_PAGES = 500;
const PAGE_SIZE = 200;
/** Largest file, 1 TiB: no shard of any model comes near, and file offsets stay exact. */
const MAX_FILE_BYTES = 2 ** 40;

/** A file of a repository. */
export interface HubFile {
  /** Path in the repository, checked. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the bytes, in hex, where the service gives it. */
  readonly sha256: string | undefined;
  /** Git's own SHA-1 of the file, where the service gives that in its place. */
  readonly gitOid: string | undefined;
  /** Address of the bytes. */
  readonly url: string;
}

/** The files of a repository at one revision. */
export interface HubListing {
  /** The commit, where the service names one. */
  readonly commit: string | undefined;
  readonly files: readonly HubFile[];
}

/** Which repository to list. */
export interface ListFilesOptions {
  readonly kind: RepositoryKind;
  readonly id: string;
  readonly revision: string;
}

/** Lists a repository, refusing listings that cannot be trusted. */
export async function listFiles(
  client: HubClient,
  options: ListFilesOptions,
): Promise<HubListing> {
  const listing = client.source === "huggingface"
    ? await listHuggingFace(client, options)
    : await listModelScope(client, options);
  const seen = new Set<string>();
  for (const { path } of listing.files) {
    // macOS and Windows would write both into one file.
    const key = path.toLowerCase();
    if (seen.has(key)) {
      throw badListing(client, options, `two files are called ${JSON.stringify(path)} there`);
    }
    seen.add(key);
  }
  return listing;
}

async function listHuggingFace(
  client: HubClient,
  options: ListFilesOptions,
): Promise<HubListing> {
  const { kind, id, revision } = options;
  const api = `${client.endpoint}/api/${kind}s/${id}`;
  const purpose = { what: `the file list of ${id}`, id, maxBytes: MAX_PAGE_BYTES };
  const { value: info } = await requestJson(
    client,
    `${api}/revision/${encodeURIComponent(revision)}`,
    purpose,
  );
  const commit = asRecord(info).sha;
  if (typeof commit !== "string" || !/^[\da-f]{40}$/.test(commit)) {
    throw badListing(client, options, "the commit has no hash");
  }
  const base = `${client.endpoint}/${kind === "dataset" ? "datasets/" : ""}${id}/resolve/${commit}`;
  const files: HubFile[] = [];
  let next: string | undefined = `${api}/tree/${commit}?recursive=true`;
  for (let page = 0; next !== undefined; page++) {
    if (page === MAX_PAGES) throw badListing(client, options, `it has over ${MAX_PAGES} pages`);
    const { value, headers }: { value: unknown; headers: Headers } = await requestJson(
      client,
      next,
      purpose,
    );
    for (const entry of asArray(client, options, value)) {
      const { type, path, size, oid, lfs } = asRecord(entry);
      if (type !== "file") continue;
      const large = asRecord(lfs);
      const file = lfs == null
        ? { size, sha256: undefined, gitOid: hash(oid, 40) }
        : { size: large.size ?? size, sha256: hash(large.oid, 64), gitOid: undefined };
      files.push(toFile(client, options, { ...file, path, url: (name) => `${base}/${name}` }));
      checkCount(client, options, files);
    }
    next = nextPage(client, options, headers.get("link"));
  }
  return { commit, files };
}

function nextPage(
  client: HubClient,
  options: ListFilesOptions,
  link: string | null,
): string | undefined {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
  if (target === undefined) return undefined;
  const url = URL.parse(target, client.endpoint);
  if (url?.origin === new URL(client.endpoint).origin) return url.href;
  throw badListing(client, options, "its next page is on another host");
}

async function listModelScope(client: HubClient, options: ListFilesOptions): Promise<HubListing> {
  const { kind, id, revision } = options;
  const api = `${client.endpoint}/api/v1/${kind}s/${id}/repo`;
  const purpose = { what: `the file list of ${id}`, id, maxBytes: MAX_PAGE_BYTES };
  const files: HubFile[] = [];
  const url = (path: string): string =>
    `${api}?${kind === "dataset" ? "Source=SDK&" : ""}Revision=${
      encodeURIComponent(revision)
    }&FilePath=${path}`;
  const add = (entries: readonly unknown[]): void => {
    for (const entry of entries) {
      const { Type, Path, Size, Sha256 } = asRecord(entry);
      if (Type === "tree") continue;
      const file = { path: Path, size: Size, sha256: hash(Sha256, 64), gitOid: undefined, url };
      files.push(toFile(client, options, file));
      checkCount(client, options, files);
    }
  };
  const page = async (query: string): Promise<readonly unknown[]> => {
    const address = `${api}/${query}`;
    const { value } = await requestJson(client, address, purpose);
    const { Success, Message, Data } = asRecord(value);
    if (Success === false) {
      throw badListing(client, options, `the service says ${JSON.stringify(short(Message))}`);
    }
    return asArray(client, options, Array.isArray(Data) ? Data : asRecord(Data).Files);
  };
  const revisionQuery = `Revision=${encodeURIComponent(revision)}&Recursive=True`;
  if (kind === "model") {
    add(await page(`files?${revisionQuery}`));
    return { commit: undefined, files };
  }
  for (let number = 1;; number++) {
    if (number > MAX_PAGES) throw badListing(client, options, `it has over ${MAX_PAGES} pages`);
    const entries = await page(
      `tree?${revisionQuery}&Root=/&PageNumber=${number}&PageSize=${PAGE_SIZE}`,
    );
    add(entries);
    if (entries.length < PAGE_SIZE) return { commit: undefined, files };
  }
}

interface Entry {
  readonly path: unknown;
  readonly size: unknown;
  readonly sha256: string | undefined;
  readonly gitOid: string | undefined;
  readonly url: (path: string) => string;
}

function toFile(client: HubClient, options: ListFilesOptions, entry: Entry): HubFile {
  const { path, size, sha256, gitOid, url } = entry;
  if (typeof path !== "string") throw badListing(client, options, "an entry has no path");
  checkFilePath(path);
  if (!Number.isSafeInteger(size) || (size as number) < 0 || (size as number) > MAX_FILE_BYTES) {
    throw badListing(
      client,
      options,
      `the size of ${path} is ${short(size)}, not from 0 to 2^40 bytes`,
    );
  }
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return { path, size: size as number, sha256, gitOid, url: url(encoded) };
}

function checkCount(
  client: HubClient,
  options: ListFilesOptions,
  files: readonly HubFile[],
): void {
  if (files.length > MAX_FILES) {
    throw badListing(
      client,
      options,
      `it has over ${MAX_FILES} files, more than any model or dataset of text needs`,
    );
  }
}

function badListing(client: HubClient, { id }: ListFilesOptions, problem: string): HubError {
  const host = endpointHost(client);
  return new HubError(
    `Cannot use the file list of ${id} from ${host}: ${problem}. Check the id and the endpoint`,
    { host },
  );
}

function hash(value: unknown, length: number): string | undefined {
  if (typeof value !== "string") return undefined;
  const hex = value.toLowerCase();
  return hex.length === length && /^[\da-f]+$/.test(hex) ? hex : undefined;
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function asArray(
  client: HubClient,
  options: ListFilesOptions,
  value: unknown,
): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw badListing(client, options, "the answer holds no list of files");
}

function short(value: unknown): string {
  return String(value).slice(0, 120);
}
