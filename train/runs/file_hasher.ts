/** Hashes of files, each read once. In: a path. Out: its size and sha256. */

import { hashFile } from "../checkpoints/checkpoint.ts";

/** Answers a file's size and sha256. */
export type FileHasher = typeof hashFile;

/** Makes a hasher that remembers; for files that do not change while it is in use. */
export function createFileHasher(): FileHasher {
  const known = new Map<string, ReturnType<typeof hashFile>>();
  return (path) => {
    let hash = known.get(path);
    if (!hash) known.set(path, hash = hashFile(path));
    return hash;
  };
}
