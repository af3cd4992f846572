/** What a folder holds, to compare byte by byte. In: a folder. Out: a hash a file. */

import { sha256 } from "../../train/checkpoints/checkpoint.ts";

/** The sha256 of every file below a folder, by its path in it. */
export async function folderHashes(directory: string): Promise<Record<string, string>> {
  const hashes: [string, string][] = [];
  const walk = async (path: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(`${directory}${path}`)) {
      const inside = `${path}/${name}`;
      if (isDirectory) await walk(inside);
      else hashes.push([inside.slice(1), sha256(await Deno.readFile(`${directory}${inside}`))]);
    }
  };
  await walk("");
  return Object.fromEntries(hashes.sort(([a], [b]) => (a < b ? -1 : 1)));
}
