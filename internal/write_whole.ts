/** Text files that are whole or as they were. In: a path and a text. Out: the file. */

import { basename, dirname } from "node:path";

/**
 * Writes a file under another name in its folder, syncs it and renames it. What a process that was
 * killed leaves of it is swept with the staged checkpoints.
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const staging = `${dirname(path)}/.staging-${basename(path)}`;
  try {
    {
      using file = await Deno.open(staging, { write: true, create: true, truncate: true });
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.sync();
    }
    await Deno.rename(staging, path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) await Deno.remove(staging).catch(() => {});
    throw cause;
  }
}
