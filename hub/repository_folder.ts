/**
 * The folder that a repository's files are kept in.
 *
 * In: a cache folder and an id. Out: `{cacheDir}/{owner}/{name}` with real files, locked while they
 * change, and `.ortune.json` in it, which says what they are.
 */

import { MAX_ORIGIN_BYTES, ORIGIN_FILE } from "../internal/json/model_origin.ts";
import { FileWriter } from "../ort/tensor/file_writer.ts";
import { HubError } from "./hub_error.ts";
import type { HubOptions } from "./hub_options.ts";
import { checkFilePath } from "./repository_path.ts";

const LOCK = ".ortune.lock";
const PARTIAL = ".ortune-partial";
const LOCK_POLL_MILLISECONDS = 200;

/** A file that was fetched and checked. */
export interface RecordedFile {
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the bytes, in hex. */
  readonly sha256: string;
  /** When it was last changed, in milliseconds; a file changed since is hashed anew. */
  readonly modified: number;
}

/** What a folder holds. */
export interface FolderRecord {
  readonly version: 1;
  /** What it was fetched by, `owner/name`; records from before have none. */
  readonly id?: string;
  readonly source: string;
  readonly revision: string;
  /** The commit, where the service names one. */
  readonly commit: string | null;
  /** Whether all that was asked for is here. */
  readonly complete: boolean;
  readonly files: Readonly<Record<string, RecordedFile>>;
}

/** `{cacheDir}/{owner}/{name}`. */
export function repositoryFolder(cacheDir: string, id: string): string {
  return `${cacheDir.replace(/(?<=.)\/+$/, "")}/${id}`;
}

/** Where a file's download is kept until it is whole. */
export function partialFolder(folder: string): string {
  return `${folder}/${PARTIAL}`;
}

/** Makes the folder; refuses links, through which files would end elsewhere. */
export async function makeRepositoryFolder(cacheDir: string, id: string): Promise<string> {
  const folder = repositoryFolder(cacheDir, id);
  await Deno.mkdir(cacheDir, { recursive: true });
  await makeFolders(cacheDir, id);
  await makeFolders(folder, PARTIAL);
  return folder;
}

/** Makes the folders of a relative path one by one, each a real one. */
export async function makeFolders(root: string, path: string): Promise<void> {
  let folder = root;
  for (const part of path.split("/")) {
    folder = `${folder}/${part}`;
    const found = await Deno.lstat(folder).catch(() => undefined);
    if (found === undefined) await Deno.mkdir(folder, { recursive: true });
    else if (!found.isDirectory) {
      throw new HubError(
        `Cannot write into ${folder}: it is ${
          found.isSymlink ? "a link" : "not a folder"
        }. Remove it, or choose another folder`,
      );
    }
  }
}

/** Size and time of a plain file; `undefined` where there is none; throws for anything else. */
export async function plainFile(
  folder: string,
  path: string,
): Promise<{ size: number; modified: number } | undefined> {
  let at = folder;
  const parts = path.split("/");
  for (const [index, part] of parts.entries()) {
    at = `${at}/${part}`;
    const found = await Deno.lstat(at).catch((error: unknown) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (found === undefined) return undefined;
    if (index < parts.length - 1 ? found.isDirectory : found.isFile) {
      if (index === parts.length - 1) {
        return { size: found.size, modified: found.mtime?.getTime() ?? 0 };
      }
      continue;
    }
    throw new HubError(
      `Cannot use ${at}: it is ${
        found.isSymlink ? "a link" : "not of the kind expected"
      }. Remove it, or choose another folder`,
      { file: path },
    );
  }
  return undefined;
}

/** Waits until nobody else changes the folder; disposing frees it, as does any end of the process. */
export async function lockFolder(
  folder: string,
  { signal, onNotice }: Pick<HubOptions, "signal" | "onNotice">,
): Promise<Disposable> {
  const file = await Deno.open(`${folder}/${LOCK}`, { create: true, write: true });
  try {
    for (let waited = false; !await file.tryLock(true); waited = true) {
      if (!waited) onNotice?.(`Waiting for another download into ${folder} to end`);
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MILLISECONDS));
      signal?.throwIfAborted();
    }
  } catch (error) {
    file.close();
    throw error;
  }
  return { [Symbol.dispose]: () => file.close() };
}

/** Reads what the folder holds; a record that is missing or damaged is none. */
export async function readRecord(folder: string): Promise<FolderRecord | undefined> {
  const path = `${folder}/${ORIGIN_FILE}`;
  try {
    const found = await Deno.lstat(path);
    if (!found.isFile || found.size > MAX_ORIGIN_BYTES) return undefined;
    return parseRecord(JSON.parse(await Deno.readTextFile(path)));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}

function parseRecord(value: unknown): FolderRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { version, id, source, revision, commit = null, complete, files } = value as FolderRecord;
  if (version !== 1 || typeof source !== "string" || typeof revision !== "string") return undefined;
  if (typeof files !== "object" || files === null) return undefined;
  const entries: [string, RecordedFile][] = [];
  for (const [path, { size, sha256, modified }] of Object.entries(files)) {
    checkFilePath(path);
    if (typeof size !== "number" || typeof sha256 !== "string") return undefined;
    entries.push([path, { size, sha256, modified }]);
  }
  return {
    version,
    ...typeof id === "string" ? { id } : {},
    source,
    revision,
    commit,
    complete: complete === true,
    files: Object.fromEntries(entries),
  };
}

/** Writes what the folder holds, whole or not at all. */
export async function writeRecord(folder: string, record: FolderRecord): Promise<void> {
  await using writer = await FileWriter.create(`${folder}/${ORIGIN_FILE}`);
  await writer.write(new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`));
  await writer.commit();
}
