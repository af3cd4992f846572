/** What stands at a path, as far as it may be looked at. In: a path. Out: yes or no. */

import { normalize } from "node:path";

/** Whether there is a file that may be read. */
export async function isFile(path: string): Promise<boolean> {
  return (await stat(path))?.isFile ?? false;
}

/** Whether there is a folder that may be read. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path))?.isDirectory ?? false;
}

/** Whether two paths lead to one folder that may be read. */
export async function isSameFolder(path: string, other: string): Promise<boolean> {
  if (normalize(`${path}/`) === normalize(`${other}/`)) return true;
  const [one, two] = [await stat(path), await stat(other)];
  // Windows has no inodes.
  return one !== undefined && two !== undefined && one.ino !== null && one.ino === two.ino &&
    one.dev === two.dev;
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  const { state } = await Deno.permissions.query({ name: "read", path });
  if (state !== "granted") return undefined;
  try {
    return await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw cause;
  }
}
