/**
 * Checkpoint folders that are whole or not there at all.
 *
 * In: an output folder and a function that writes files. Out: `checkpoint-N`, staged under another
 * name, synced to the disk with a manifest of hashes, and renamed.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { WrittenFile } from "../tensor/safetensors_writer.ts";

/** The file of hashes in every checkpoint. */
export const MANIFEST = "manifest.json";

const STAGING_PREFIX = ".staging-";
const REPLACED_PREFIX = `${STAGING_PREFIX}replaced-`;
const READ_CHUNK = 1 << 22;

/** A checkpoint on the disk. */
export interface CheckpointFolder {
  /** The update it was made after. */
  readonly step: number;
  /** Path of `checkpoint-<step>`. */
  readonly directory: string;
}

/** The checkpoints of an output folder, oldest first. */
export async function listCheckpoints(output: string): Promise<CheckpointFolder[]> {
  const found: CheckpointFolder[] = [];
  try {
    for await (const entry of Deno.readDir(output)) {
      const match = entry.isDirectory && /^checkpoint-(\d+)$/.exec(entry.name);
      if (match) found.push({ step: Number(match[1]), directory: `${output}/${entry.name}` });
    }
  } catch (cause) {
    const none = [Deno.errors.NotFound, Deno.errors.NotADirectory];
    if (!none.some((kind) => cause instanceof kind)) throw cause;
  }
  return found.sort((a, b) => a.step - b.step);
}

/**
 * Removes what an interrupted save left behind, and puts a checkpoint back that was about to be
 * replaced. Call it only while holding the folder's lock.
 */
export async function sweepStaging(output: string): Promise<void> {
  for (const name of await fileNames(output)) {
    if (!name.startsWith(STAGING_PREFIX)) continue;
    const step = name.startsWith(REPLACED_PREFIX) && name.slice(REPLACED_PREFIX.length);
    if (step && !await exists(`${output}/checkpoint-${step}`)) {
      await Deno.rename(`${output}/${name}`, `${output}/checkpoint-${step}`);
    } else {
      await Deno.remove(`${output}/${name}`, { recursive: true });
    }
  }
}

/**
 * Writes `checkpoint-<step>`; what stood there is replaced.
 *
 * @example
 * ```ts
 * import { listCheckpoints, verifyCheckpoint, writeCheckpoint } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const output = await mkdtemp(`${tmpdir()}/ortune-`);
 * const { directory } = await writeCheckpoint(output, 8, async (staging) => {
 *   await writeFile(`${staging}/weights.txt`, "1 2 3");
 *   return [];
 * });
 * await verifyCheckpoint(directory);
 * assert.deepEqual(await listCheckpoints(output), [{ step: 8, directory }]);
 * await rm(output, { recursive: true });
 * ```
 *
 * @param write fills an empty folder, and answers the files it already synced and hashed
 * @returns the folder and its size
 */
export async function writeCheckpoint(
  output: string,
  step: number,
  write: (staging: string) => Promise<readonly WrittenFile[]>,
): Promise<{ directory: string; bytes: number }> {
  const directory = `${output}/checkpoint-${step}`;
  const staging = `${output}/${STAGING_PREFIX}checkpoint-${step}`;
  const replaced = `${output}/${REPLACED_PREFIX}${step}`;
  try {
    await removeIfPresent(staging);
    // Not with its parents: an output folder that is gone is not made anew behind its lock's back.
    await Deno.mkdir(staging);
    const known = new Map((await write(staging)).map((file) => [file.name, file]));
    const files: Record<string, { bytes: number; sha256: string }> = {};
    for (const name of await fileNames(staging)) {
      const { bytes, sha256 } = known.get(name) ?? await syncAndHash(`${staging}/${name}`);
      files[name] = { bytes, sha256 };
    }
    await Deno.writeTextFile(
      `${staging}/${MANIFEST}`,
      JSON.stringify({ step, files }, null, 2) + "\n",
    );
    await syncAndHash(`${staging}/${MANIFEST}`);
    await syncFolder(staging);
    await removeIfPresent(replaced);
    if (await exists(directory)) await Deno.rename(directory, replaced);
    await Deno.rename(staging, directory);
    await syncFolder(output);
    await removeIfPresent(replaced);
    const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
    return { directory, bytes };
  } catch (cause) {
    await removeIfPresent(staging).catch(() => {});
    throw new Error(
      `Cannot save checkpoint ${directory}: ${(cause as Error).message}; earlier checkpoints are ` +
        "untouched. Free space or give another --output-dir, and resume",
      { cause },
    );
  }
}

/**
 * Checks every file of a checkpoint against its manifest.
 *
 * @throws {Error} naming all files that are missing or differ
 */
export async function verifyCheckpoint(directory: string): Promise<void> {
  let files: [string, { bytes: number; sha256: string }][];
  try {
    files = Object.entries(JSON.parse(await Deno.readTextFile(`${directory}/${MANIFEST}`)).files);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(
      `Cannot use checkpoint ${directory}: its ${MANIFEST} is missing or broken; ` +
        "give a checkpoint-N folder that ortune wrote",
      { cause },
    );
  }
  const problems: string[] = [];
  for (const [name, { bytes, sha256 }] of files) {
    if (!await exists(`${directory}/${name}`)) {
      problems.push(`${name} is missing`);
      continue;
    }
    const found = await hashFile(`${directory}/${name}`);
    if (found.bytes !== bytes) problems.push(`${name} has ${found.bytes} bytes, not ${bytes}`);
    else if (found.sha256 !== sha256) problems.push(`${name} has another sha256`);
  }
  if (problems.length === 0) return;
  throw new Error(
    `Cannot use checkpoint ${directory}: ${problems.join("; ")}; resume from an earlier one`,
  );
}

/**
 * Deletes the oldest checkpoints beyond `limit`, once the newest is known to be good. Neither the
 * newest is deleted nor the one of update `keep`, so of those two both stay under a limit of 1.
 */
export async function rotateCheckpoints(
  output: string,
  limit: number,
  { keep }: { readonly keep?: number } = {},
): Promise<void> {
  const checkpoints = await listCheckpoints(output);
  const newest = checkpoints.at(-1);
  if (!newest) return;
  const spare = checkpoints.filter((each) => each !== newest && each.step !== keep);
  const kept = checkpoints.length - spare.length;
  const doomed = spare.slice(0, Math.max(0, checkpoints.length - Math.max(limit, kept)));
  if (doomed.length === 0) return;
  await verifyCheckpoint(newest.directory);
  for (const each of doomed) await removeCheckpoint(output, each);
}

/** Deletes a checkpoint, which is not there any more before its files go one by one. */
export async function removeCheckpoint(
  output: string,
  { step, directory }: CheckpointFolder,
): Promise<void> {
  const doomed = `${output}/${STAGING_PREFIX}doomed-${step}`;
  await removeIfPresent(doomed);
  await Deno.rename(directory, doomed);
  await Deno.remove(doomed, { recursive: true });
}

/** The sha256 of text or bytes, in hexadecimal. */
export function sha256(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

async function fileNames(directory: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(directory)) names.push(entry.name);
  return names.sort();
}

/** Bytes and sha256 of a file, read in pieces. */
export async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  using file = await Deno.open(path);
  return await hashOpenFile(file);
}

async function syncAndHash(path: string): Promise<{ bytes: number; sha256: string }> {
  using file = await Deno.open(path, { read: true, write: true });
  await file.sync();
  return await hashOpenFile(file);
}

async function hashOpenFile(file: Deno.FsFile): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(READ_CHUNK);
  let bytes = 0;
  for (let count; (count = await file.read(buffer)) !== null;) {
    hash.update(buffer.subarray(0, count));
    bytes += count;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Makes renames in a folder durable; Windows has no such call and needs none. */
async function syncFolder(directory: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using folder = await Deno.open(directory);
  await folder.sync();
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw cause;
  }
}

async function removeIfPresent(path: string): Promise<void> {
  if (await exists(path)) await Deno.remove(path, { recursive: true });
}
