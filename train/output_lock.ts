/**
 * One trainer an output folder.
 *
 * In: the folder. Out: a lock that the system frees however the process ends.
 */

/** Holds the lock until disposed of. */
export interface OutputLock extends Disposable {
  /** The locked folder. */
  readonly directory: string;
}

/**
 * Makes the folder and locks it.
 *
 * @example
 * ```ts
 * import { lockOutput } from "@ortune/ortune";
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
export async function lockOutput(directory: string): Promise<OutputLock> {
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
  if (!await file.tryLock(true)) {
    file.close();
    throw new Error(
      `Cannot train into ${directory}: another trainer is writing there; ` +
        "wait for it or give another --output-dir",
    );
  }
  return { directory, [Symbol.dispose]: () => file.close() };
}

function problem(cause: unknown): string {
  if (cause instanceof Deno.errors.AlreadyExists) return "it is a file";
  if (cause instanceof Deno.errors.NotADirectory) return "a part of its path is a file";
  return (cause as Error).message;
}
