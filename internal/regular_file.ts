/**
 * Files at paths that others can shape: model folders, data, runs.
 *
 * In: a path, and the folder that the file must lie in. Out: the path of a regular file, or what is
 * wrong with it. A link may lead to a file of the same folder, or of the same repository in Hugging
 * Face's cache; devices and pipes are refused before they are opened, since reading one may never end.
 *
 * @module
 */

import { lstat, open, realpath } from "node:fs/promises";
import { dirname, join, sep } from "node:path";

/** A file that may be opened, or why not. */
export type FoundFile =
  | { readonly path: string; readonly problem?: undefined }
  | { readonly path?: undefined; readonly problem: string };

/** Where links may lead. */
export interface FindRegularFileOptions {
  /**
   * The folder that the file must lie in, links resolved; `null` for any that this process may read,
   * where the user named the path.
   * @default {the folder of the path}
   */
  readonly root?: string | null;
}

/**
 * Looks at a path.
 *
 * @returns the real path, or the end of a sentence that begins with the file's name
 * @throws {Error} with code `ENOENT` where there is nothing at the path
 */
export async function findRegularFile(
  path: string,
  { root = dirname(path) }: FindRegularFileOptions = {},
): Promise<FoundFile> {
  const link = await lstat(path);
  if (!link.isSymbolicLink()) {
    return link.isFile() ? { path } : { problem: "is not a regular file" };
  }
  const target = await realpath(path).catch(() => undefined);
  if (target === undefined) return { problem: "is a link to nothing" };
  if (root === null) {
    if (!await mayRead(target)) return { problem: "is a link to a file that may not be read" };
  } else {
    const home = await realpath(root);
    if (!isInside(target, home) && !isBlobOf(target, home)) {
      return { problem: "is a link to a file outside of its folder" };
    }
  }
  return (await lstat(target)).isFile()
    ? { path: target }
    : { problem: "is a link to something other than a regular file" };
}

/** How a file is read. */
export interface ReadCappedOptions extends FindRegularFileOptions {
  /** Most bytes: more are an error, whatever the file says of its size. */
  readonly maxBytes: number;
  /** What to do about a file that cannot be used; ends the error. */
  readonly remedy: string;
}

/**
 * Reads a whole file.
 *
 * @throws {RangeError} where it is not a regular file of its folder, or longer than `maxBytes`
 * @throws {Error} with code `ENOENT` where there is none
 *
 * @example
 * ```ts
 * import { readCapped } from "./regular_file.ts";
 * import assert from "node:assert/strict";
 *
 * const options = { maxBytes: 1024, remedy: "give a regular file" };
 * await assert.rejects(readCapped("/dev/zero", options), {
 *   message: "Cannot read /dev/zero: it is not a regular file; give a regular file",
 * });
 * ```
 */
export async function readCapped(
  path: string,
  { maxBytes, remedy, root }: ReadCappedOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const fail = (state: string): RangeError =>
    new RangeError(`Cannot read ${path}: it ${state}; ${remedy}`);
  const found = await findRegularFile(path, { root });
  if (found.problem !== undefined) throw fail(found.problem);
  const file = await open(found.path, "r");
  try {
    const { size } = await file.stat();
    if (size > maxBytes) throw fail(`has ${size} bytes, more than ${maxBytes}`);
    // Some files say 0 and hold more.
    let bytes = new Uint8Array(size + 1);
    let filled = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) return bytes.subarray(0, filled);
      filled += bytesRead;
      if (filled > maxBytes) throw fail(`has more than ${maxBytes} bytes`);
      if (filled < bytes.length) continue;
      const more = new Uint8Array(Math.min(2 * filled, maxBytes + 1));
      more.set(bytes);
      bytes = more;
    }
  } finally {
    await file.close();
  }
}

/** The same as text; bytes that are no UTF-8 are replaced. */
export async function readCappedText(path: string, options: ReadCappedOptions): Promise<string> {
  return new TextDecoder().decode(await readCapped(path, options));
}

/** Whether an error says that there is nothing at a path. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

/** Deno itself asks for leave to read the link alone. */
async function mayRead(path: string): Promise<boolean> {
  if (!("Deno" in globalThis)) return true;
  return (await Deno.permissions.query({ name: "read", path })).state === "granted";
}

function isInside(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/**
 * Hugging Face's cache keeps `models--OWNER--NAME/snapshots/REVISION/…/FILE` as links to files right
 * inside `models--OWNER--NAME/blobs`.
 */
function isBlobOf(path: string, folder: string): boolean {
  const repository = /^(.*[/\\]models--[^/\\]+)[/\\]snapshots[/\\]./.exec(folder)?.[1];
  return repository !== undefined && dirname(path) === join(repository, "blobs");
}
