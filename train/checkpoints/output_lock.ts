/**
 * One trainer an output folder.
 *
 * In: the folder. Out: a lock that the system frees however the process ends.
 */

/** Holds the lock until disposed of. */
export interface OutputLock extends Disposable {
  /** The locked folder. */
  readonly directory: string;
  /** Whether the folder's path still leads to the locked folder: it may be moved, removed or replaced. */
  isHeld(): Promise<boolean>;
}

/** What the folder is locked for, for the error. */
export interface LockOutputOptions {
  /** What cannot be done where it is locked. @default "train into" */
  readonly act?: string;
  /** Who may hold it. @default "trainer" */
  readonly holder?: string;
}

/**
 * Makes the folder and locks it.
 *
 * @example
 * ```ts
 * import { lockOutput } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * {
 *   using _lock = await lockOutput(folder);
 *   await assert.rejects(lockOutput(folder), /another trainer/);
 * }
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {Error} where another trainer holds it, or it is not a folder that can be written
 */
export async function lockOutput(
  directory: string,
  { act = "train into", holder = "trainer" }: LockOutputOptions = {},
): Promise<OutputLock> {
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(directory, { recursive: true });
    file = await Deno.open(`${directory}/.lock`, { create: true, write: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(
      `Cannot write into ${directory}: ${problem(cause)}; give another --output-dir`,
      {
        cause,
      },
    );
  }
  using resources = new DisposableStack();
  resources.defer(() => file.close());
  const folder = await openFolder(directory);
  if (folder) resources.defer(() => folder.close());
  // The folder itself is locked as well: a file in it can be removed, and made again by the next.
  if (!await file.tryLock(true) || await locked(folder)) {
    throw new Error(
      `Cannot ${act} ${directory}: another ${holder} is writing there; ` +
        "wait for it or give another --output-dir",
    );
  }
  const [path, handle] = folder ? [directory, folder] : [`${directory}/.lock`, file];
  const own = await handle.stat();
  const isHeld = async (): Promise<boolean> => {
    try {
      const { dev, ino } = await Deno.stat(path);
      return dev === own.dev && ino === own.ino;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw cause;
      return false;
    }
  };
  const owned = resources.move();
  return { directory, isHeld, [Symbol.dispose]: () => owned.dispose() };
}

/** The folder as a file; `undefined` where the system has no such thing. */
async function openFolder(directory: string): Promise<Deno.FsFile | undefined> {
  try {
    return await Deno.open(directory);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    return undefined;
  }
}

/** Whether another process has locked it; false where folders cannot be locked, as on NFS. */
async function locked(folder: Deno.FsFile | undefined): Promise<boolean> {
  try {
    return folder !== undefined && !await folder.tryLock(true);
  } catch {
    return false;
  }
}

function problem(cause: unknown): string {
  if (cause instanceof Deno.errors.AlreadyExists) return "it is a file";
  if (cause instanceof Deno.errors.NotADirectory) return "a part of its path is a file";
  return (cause as Error).message;
}
