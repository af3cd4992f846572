/**
 * A new folder that is whole or not there at all.
 *
 * In: the path of a folder. Out: a folder of another name beside it to be filled, and a way to give it
 * its name once everything in it is on the disk.
 */

import { basename, dirname, normalize } from "node:path";
import { syncFolder } from "./checkpoint.ts";

/** A name that training, which sweeps its own staged files, leaves alone. */
const STAGING_PREFIX = ".unfinished-";

/** A folder that is being filled; one that is disposed of before it is finished leaves nothing. */
export interface StagedFolder extends AsyncDisposable {
  /** Where to write. */
  readonly path: string;
  /** Syncs all that was written, and gives the folder its name. */
  finish(): Promise<void>;
}

/**
 * Makes a folder for something that is written as a whole. What a process that was killed left of the
 * same folder is removed; a process that still writes it is not disturbed.
 *
 * @param action what is to be done, for the error
 * @throws {Error} where the folder holds anything already, or cannot be made
 */
export async function stageFolder(directory: string, action: string): Promise<StagedFolder> {
  const cannot = (why: string, cause?: unknown): Error =>
    new Error(`Cannot ${action} into ${directory}: ${why}; give a new --output-dir`, { cause });
  const target = normalize(directory).replace(/(?<=.)[/\\]+$/, "");
  const name = basename(target);
  if (["", ".", ".."].includes(name)) throw cannot("it has no name of its own");
  const staging = `${dirname(target)}/${STAGING_PREFIX}${name}`;
  await using resources = new AsyncDisposableStack();
  try {
    const { state } = await Deno.permissions.query({ name: "write", path: target });
    // Which tells what may not be written in the words of every task.
    if (state !== "granted") await Deno.mkdir(target);
    await assertEmpty(target, cannot);
    await Deno.mkdir(dirname(target), { recursive: true });
    const lock = await lockFolder(staging);
    if (lock === "taken") throw cannot("another process is writing it");
    await removeIfPresent(staging);
    await Deno.mkdir(staging);
    lock?.close();
    const own = await lockFolder(staging);
    if (own === "taken") throw cannot("another process is writing it");
    resources.defer(() => removeIfPresent(staging));
    if (own) resources.defer(() => own.close());
  } catch (cause) {
    const known = cause instanceof Deno.errors.NotCapable ||
      cause instanceof Error && cause.message.startsWith(`Cannot ${action} into `);
    if (known) throw cause;
    throw cannot((cause as Error).message, cause);
  }
  const owned = resources.move();
  return {
    path: staging,
    finish: async () => {
      try {
        await syncAll(staging);
        // In place of an empty folder, which only POSIX does in one step.
        if (Deno.build.os === "windows") await removeIfPresent(target, { recursive: false });
        await Deno.rename(staging, target);
        await syncFolder(dirname(target));
      } catch (cause) {
        if (cause instanceof Deno.errors.NotCapable) throw cause;
        throw cannot(`${(cause as Error).message}; free space`, cause);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function assertEmpty(
  directory: string,
  cannot: (why: string) => Error,
): Promise<void> {
  try {
    const { isSymlink, isDirectory } = await Deno.lstat(directory);
    if (!isDirectory) throw cannot(isSymlink ? "it is a link" : "it is a file");
    for await (const _ of Deno.readDir(directory)) throw cannot("it is not empty");
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
}

/** Locks a folder; `undefined` where there is none, or the system has no such locks. */
async function lockFolder(directory: string): Promise<Deno.FsFile | "taken" | undefined> {
  let folder: Deno.FsFile | undefined;
  try {
    folder = await Deno.open(directory);
    if (await folder.tryLock(true)) return folder;
  } catch (cause) {
    folder?.close();
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    return undefined;
  }
  folder.close();
  return "taken";
}

/** Syncs every file and folder below a folder, and it. */
async function syncAll(directory: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) {
      await syncAll(path);
      continue;
    }
    // A companion may be one that nobody may write, which Windows alone has to be opened for.
    using file = await Deno.open(path, { read: true, write: Deno.build.os === "windows" });
    await file.sync();
  }
  await syncFolder(directory);
}

async function removeIfPresent(path: string, options = { recursive: true }): Promise<void> {
  try {
    await Deno.remove(path, options);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
}
