/**
 * Brings files of a repository into its folder.
 *
 * In: an id, which files, and the options of a download. Out: the folder, in which each of the files
 * is whole and checked. Files that are there and right are not fetched again.
 */

import { createHash } from "node:crypto";
import { digestFile, downloadFile, matches } from "./download_file.ts";
import { createHubClient, endpointHost, SERVICES } from "./hub_client.ts";
import type { HubClient } from "./hub_client.ts";
import { HubError } from "./hub_error.ts";
import type { HubOptions, RepositoryKind } from "./hub_options.ts";
import { listFiles } from "./list_files.ts";
import type { HubFile, HubListing } from "./list_files.ts";
import {
  lockFolder,
  makeFolders,
  makeRepositoryFolder,
  partialFolder,
  plainFile,
  readRecord,
  repositoryFolder,
  writeRecord,
} from "./repository_folder.ts";
import type { FolderRecord, RecordedFile } from "./repository_folder.ts";
import { checkRepositoryId, checkRevision } from "./repository_path.ts";

/** Files fetched at once: more rarely is faster, and hubs limit it. */
const FILES_AT_ONCE = 3;

/** Which files of a repository are wanted. */
export interface Wanted {
  readonly kind: RepositoryKind;
  /** Picks from a listing; throws where what is needed is not in it. */
  readonly select: (files: readonly HubFile[], host: string) => readonly HubFile[];
  /** Whether the files of a record are all that is needed, for offline use. */
  readonly isComplete: (record: FolderRecord) => boolean;
}

/** Fetches what is missing, and gives the folder. */
export async function syncRepository(
  id: string,
  wanted: Wanted,
  options: HubOptions,
): Promise<string> {
  const { source, cacheDir, offline = false } = options;
  checkRepositoryId(id);
  const client = createHubClient(options);
  const revision = checkRevision(
    options.revision ?? (source === "huggingface" ? "main" : "master"),
  );
  if (offline) return await findOffline(id, wanted, options);
  options.signal?.throwIfAborted();
  const folder = await makeRepositoryFolder(cacheDir, id);
  using _lock = await lockFolder(folder, options);
  const listing = await listFiles(client, { kind: wanted.kind, id, revision });
  const files = wanted.select(listing.files, endpointHost(client));
  await fetchAll(client, { id, folder, revision, listing, files, wanted, options });
  await Deno.remove(partialFolder(folder), { recursive: true }).catch(() => {});
  return folder;
}

async function findOffline(
  id: string,
  wanted: Wanted,
  { source, cacheDir, revision }: HubOptions,
): Promise<string> {
  const folder = repositoryFolder(cacheDir, id);
  const record = await readRecord(folder);
  const problem = await offlineProblem(folder, record, wanted, revision);
  if (problem === undefined) return folder;
  throw new HubError(
    `Cannot use ${id} offline: ${problem} in ${folder}. Fetch it once while online, or copy the ` +
      `folder from a machine that did (from ${SERVICES[source].name} or another source)`,
  );
}

async function offlineProblem(
  folder: string,
  record: FolderRecord | undefined,
  wanted: Wanted,
  revision: string | undefined,
): Promise<string | undefined> {
  if (record === undefined || !wanted.isComplete(record)) return "no complete copy is";
  if (revision !== undefined && revision !== record.revision && revision !== record.commit) {
    return `revision ${record.revision}, not ${revision}, is`;
  }
  for (const [path, { size }] of Object.entries(record.files)) {
    const found = await plainFile(folder, path);
    if (found === undefined) return `no ${path} is`;
    if (found.size !== size) return `${path} with ${found.size} bytes instead of ${size} is`;
  }
  return undefined;
}

interface FetchAll {
  readonly id: string;
  readonly folder: string;
  readonly revision: string;
  readonly listing: HubListing;
  readonly files: readonly HubFile[];
  readonly wanted: Wanted;
  readonly options: HubOptions;
}

async function fetchAll(client: HubClient, job: FetchAll): Promise<void> {
  const { id, folder, revision, listing, files, wanted, options } = job;
  const before = await readRecord(folder);
  const isModel = wanted.kind === "model";
  const recorded = new Map(Object.entries(before?.files ?? {}));
  const keepRecord = async (complete: boolean): Promise<void> => {
    const commit = listing.commit ?? null;
    const sorted = Object.fromEntries([...recorded].sort(([a], [b]) => a < b ? -1 : 1));
    const { source } = client;
    const what = { version: 1, id, source, revision, commit, complete, files: sorted } as const;
    await writeRecord(folder, what);
  };
  const progress = new Progress(files, options);
  const missing: HubFile[] = [];
  for (const file of files) {
    const present = await presentFile(client, job, file, recorded.get(file.path));
    if (present === undefined) {
      // It stays on record: an interrupted update must still know that the old file is ours.
      missing.push(file);
    } else {
      recorded.set(file.path, present);
      progress.done(file);
    }
  }
  // Files of another revision would mix with these, as a left-over shard would with one file.
  const names = new Set(files.map(({ path }) => path));
  const stale = isModel ? [...recorded.keys()].filter((path) => !names.has(path)) : [];
  for (const path of stale) recorded.delete(path);
  if (missing.length > 0 || stale.length > 0) await keepRecord(false);
  for (const path of stale) {
    if (await plainFile(folder, path) !== undefined) await Deno.remove(`${folder}/${path}`);
  }
  // One after another, so that a record never replaces a newer one.
  let saving = Promise.resolve();
  await inParallel(client, missing, async (file, client) => {
    const partial = `${partialFolder(folder)}/${partialName(file)}`;
    const target = `${folder}/${file.path}`;
    const parent = file.path.split("/").slice(0, -1).join("/");
    if (parent !== "") await makeFolders(folder, parent);
    const onBytes = (bytes: number): void => progress.at(file, bytes);
    const sha256 = await downloadFile(client, file, { id, target, partial, onBytes });
    const { size, modified } = (await plainFile(folder, file.path))!;
    if (file.sha256 === undefined && file.gitOid === undefined) {
      options.onNotice?.(
        `${file.path}: ${endpointHost(client)} publishes no checksum, only its size was checked`,
      );
    }
    recorded.set(file.path, { size, sha256, modified });
    progress.done(file);
    await (saving = saving.then(() => keepRecord(false)));
  });
  await syncFolder(folder);
  await keepRecord(true);
}

/** What is recorded of a file that is here and right; `undefined` where it must be fetched. */
async function presentFile(
  client: HubClient,
  { id, folder, options }: FetchAll,
  file: HubFile,
  recorded: RecordedFile | undefined,
): Promise<RecordedFile | undefined> {
  const found = await plainFile(folder, file.path);
  if (found === undefined) return undefined;
  const known = recorded !== undefined && recorded.size === found.size &&
    recorded.modified === found.modified;
  if (known && file.sha256 !== undefined && found.size === file.size) {
    return recorded.sha256 === file.sha256 ? recorded : undefined;
  }
  if (found.size === file.size && (file.sha256 ?? file.gitOid) !== undefined) {
    const path = `${folder}/${file.path}`;
    const { sha256, git } = await digestFile(path, found.size, client.signal);
    if (matches(file, sha256, git)) return { ...found, sha256 };
  }
  if (recorded !== undefined) {
    if (!known) {
      options.onNotice?.(
        `${folder}/${file.path} was changed since it was fetched: fetching it again`,
      );
    }
    return undefined;
  }
  throw new HubError(
    `Cannot fetch ${file.path} of ${id} into ${folder}: another file of that name is there, which ` +
      "was not fetched. Move it away, or choose another folder",
    { file: file.path },
  );
}

/** A name that changes with the content, so that no download goes on from another's bytes. */
function partialName(file: HubFile): string {
  const identity = [file.path, file.size, file.sha256 ?? file.gitOid ?? file.url].join("\0");
  return `${createHash("sha256").update(identity).digest("hex").slice(0, 32)}.part`;
}

/** Works through files, some at once; the first failure stops the others. */
async function inParallel(
  client: HubClient,
  files: readonly HubFile[],
  work: (file: HubFile, client: HubClient) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const relay = (): void => stop.abort(client.signal?.reason);
  client.signal?.addEventListener("abort", relay, { once: true });
  if (client.signal?.aborted) relay();
  const queue = files.values();
  const worker = async (): Promise<void> => {
    for (const file of queue) {
      if (stop.signal.aborted) return;
      try {
        await work(file, { ...client, signal: stop.signal });
      } catch (error) {
        if (!stop.signal.aborted) stop.abort(error);
        return;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker));
  } finally {
    client.signal?.removeEventListener("abort", relay);
  }
  stop.signal.throwIfAborted();
}

/** Makes renames in the folder last; not every system lets a folder be synced. */
async function syncFolder(folder: string): Promise<void> {
  try {
    using file = await Deno.open(folder);
    await file.sync();
  } catch { /* as safe as the system makes it */ }
}

/** Counts bytes over all files. */
class Progress {
  readonly #bytes = new Map<string, number>();
  readonly #options: HubOptions;
  readonly #size: number;
  readonly #files: number;
  #sum = 0;
  #filesDone = 0;

  constructor(files: readonly HubFile[], options: HubOptions) {
    this.#options = options;
    this.#size = files.reduce((sum, { size }) => sum + size, 0);
    this.#files = files.length;
  }

  at({ path }: HubFile, bytes: number): void {
    this.#sum += bytes - (this.#bytes.get(path) ?? 0);
    this.#bytes.set(path, bytes);
    this.#options.onProgress?.({
      file: path,
      bytes: this.#sum,
      size: this.#size,
      filesDone: this.#filesDone,
      files: this.#files,
    });
  }

  done(file: HubFile): void {
    this.#filesDone++;
    this.at(file, file.size);
  }
}
