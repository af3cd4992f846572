/**
 * Checkpoint folders that are whole or not there at all.
 *
 * In: an output folder and a function that writes files. Out: `checkpoint-N`, staged under another
 * name, synced to the disk with a manifest of hashes, and renamed.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { basename } from "node:path";
import { describeValue } from "../../internal/json/describe_value.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { isCount } from "../../internal/json/is_count.ts";
import type { WrittenFile } from "../../ort/tensor/safetensors_writer.ts";

/** The file of hashes in every checkpoint. */
export const MANIFEST = "manifest.json";

const STAGING_PREFIX = ".staging-";
const REPLACED_PREFIX = `${STAGING_PREFIX}replaced-`;
/** A step as it is written in names: not as 007, which would be another name of checkpoint-7. */
const STEP = "(?:0|[1-9]\\d{0,14})";
const CHECKPOINT_NAME = new RegExp(`^checkpoint-(${STEP})$`);
const REPLACED_NAME = new RegExp(`^\\.staging-replaced-(${STEP})$`);
/** What saves and reports leave when they are cut short; other names are somebody else's. */
const STAGED_NAME = new RegExp(
  `^\\.staging-(?:(?:checkpoint|doomed|replaced)-${STEP}|run\\.json|report\\.html|loss\\.svg)$`,
);
/** A manifest has some 150 bytes a file, of which a checkpoint has a score. */
const MAX_MANIFEST_BYTES = 1 << 20;
/** What file managers put into any folder; nothing of ortune's has such a name. */
const LITTER = /^(?:\.DS_Store|\._.*|Thumbs\.db|desktop\.ini)$/;
const READ_CHUNK = 1 << 22;

/** A checkpoint on the disk. */
export interface CheckpointFolder {
  /** The update it was made after. */
  readonly step: number;
  /** Path of `checkpoint-<step>`. */
  readonly directory: string;
}

/**
 * The checkpoints of an output folder, oldest first.
 *
 * @example
 * ```ts
 * import { listCheckpoints } from "@ortune/ortune";
 * import { writeCheckpoint } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const output = await mkdtemp(`${tmpdir()}/ortune-`);
 * await writeCheckpoint(output, 8, async (staging) => {
 *   await writeFile(`${staging}/weights.txt`, "1 2 3");
 *   return [];
 * });
 * const [{ step, directory }] = await listCheckpoints(output);
 * assert.deepEqual([step, directory], [8, `${output}/checkpoint-8`]);
 * await rm(output, { recursive: true });
 * ```
 */
export async function listCheckpoints(output: string): Promise<CheckpointFolder[]> {
  const found: CheckpointFolder[] = [];
  try {
    for await (const entry of Deno.readDir(output)) {
      const match = entry.isDirectory && CHECKPOINT_NAME.exec(entry.name);
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
    if (!STAGED_NAME.test(name)) continue;
    const step = REPLACED_NAME.exec(name)?.[1];
    if (step !== undefined && !await exists(`${output}/checkpoint-${step}`)) {
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
 * import { listCheckpoints, verifyCheckpoint } from "@ortune/ortune";
 * import { writeCheckpoint } from "@ortune/ortune/train";
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

/** What a manifest says of a file. */
interface ListedFile {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Checks a checkpoint against its manifest: it has exactly the files that are listed, each with its
 * content, and the step of the folder's name, if that is `checkpoint-<step>`.
 *
 * @example
 * ```ts
 * import { verifyCheckpoint } from "@ortune/ortune";
 * import { writeCheckpoint } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const output = await mkdtemp(`${tmpdir()}/ortune-`);
 * await writeCheckpoint(output, 8, async (staging) => {
 *   await writeFile(`${staging}/weights.txt`, "1 2 3");
 *   return [];
 * });
 * assert.equal(await verifyCheckpoint(`${output}/checkpoint-8`), 8);
 * await writeFile(`${output}/checkpoint-8/weights.txt`, "1 2 4");
 * await assert.rejects(verifyCheckpoint(`${output}/checkpoint-8`), /another sha256/);
 * await rm(output, { recursive: true });
 * ```
 *
 * @returns the step that the manifest tells
 * @throws {Error} naming all files that are missing, differ or are not listed
 */
export async function verifyCheckpoint(directory: string): Promise<number> {
  const { step, files } = await readManifest(directory);
  const problems: string[] = [];
  const [, named] = CHECKPOINT_NAME.exec(basename(directory)) ?? [];
  if (named !== undefined && Number(named) !== step) {
    problems.push(`its ${MANIFEST} is of step ${step}`);
  }
  const found = new Map<string, Deno.DirEntry>();
  for await (const entry of Deno.readDir(directory)) found.set(entry.name, entry);
  for (const [name, { bytes, sha256 }] of files) {
    const entry = found.get(name);
    found.delete(name);
    if (entry === undefined) {
      problems.push(`${name} is missing`);
      continue;
    }
    if (!entry.isFile) {
      problems.push(`${name} is ${entry.isSymlink ? "a link" : "no file"}`);
      continue;
    }
    const own = await hashFile(`${directory}/${name}`);
    if (own.bytes !== bytes) {
      problems.push(`${name} has ${own.bytes} bytes, not ${bytes} as ${MANIFEST} says`);
    } else if (own.sha256 !== sha256) {
      problems.push(`${name} has another sha256 than ${MANIFEST} says`);
    }
  }
  found.delete(MANIFEST);
  const unlisted = [...found.keys()].filter((name) => !LITTER.test(name)).sort();
  problems.push(...unlisted.map((name) => `${name} is not in its ${MANIFEST}; move it away`));
  if (problems.length === 0) return step;
  throw new Error(
    `Cannot use checkpoint ${directory}: ${problems.join("; ")}; resume from an earlier one`,
  );
}

/** Reads a manifest, and trusts nothing in it. */
async function readManifest(
  directory: string,
): Promise<{ readonly step: number; readonly files: readonly (readonly [string, ListedFile])[] }> {
  const broken = (why?: string, cause?: unknown): Error =>
    new Error(
      `Cannot use checkpoint ${directory}: its ${MANIFEST} is missing or broken` +
        `${why === undefined ? "" : `, ${why}`}; give a checkpoint-N folder that ortune wrote`,
      { cause },
    );
  let value: unknown;
  let unread: string | undefined;
  try {
    const { isFile, size } = await Deno.lstat(`${directory}/${MANIFEST}`);
    if (!isFile) unread = "no file";
    else if (size > MAX_MANIFEST_BYTES) unread = `${size} bytes`;
    else value = JSON.parse(await Deno.readTextFile(`${directory}/${MANIFEST}`));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw broken(undefined, cause);
  }
  if (unread !== undefined) throw broken(unread);
  if (!isRecord(value) || !isRecord(value.files)) throw broken();
  const { step, files } = value;
  if (!isCount(step)) throw broken(`its step is ${describeValue(step)}`);
  const listed = Object.entries(files).map(([name, file]) => {
    if (!/^[\w.-]+$/.test(name) || name === "." || name === ".." || name === MANIFEST) {
      throw broken(`${JSON.stringify(name)} is no name of a checkpoint's file`);
    }
    if (
      !isRecord(file) || !isCount(file.bytes) || typeof file.sha256 !== "string" ||
      !/^[0-9a-f]{64}$/.test(file.sha256)
    ) {
      throw broken(`${name} lacks a count of bytes or a sha256`);
    }
    return [name, { bytes: file.bytes, sha256: file.sha256 }] as const;
  });
  if (listed.length === 0) throw broken("it lists no file");
  return { step, files: listed };
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
  // A copied file may be one that nobody may write, which Windows alone has to be opened for.
  using file = await Deno.open(path, { read: true, write: Deno.build.os === "windows" });
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
export async function syncFolder(directory: string): Promise<void> {
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
