/**
 * Compiled kernels kept in a folder, so that a second run compiles nothing.
 *
 * In: a compiler, its version and a folder. Out: the same compiler, which looks there first.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import type { Compile } from "./nvrtc.ts";

/**
 * Compiles through a folder. The file's name is a hash of all that the result depends on, and its
 * first 32 bytes are a checksum of the rest: a torn or foreign file is compiled anew.
 *
 * @param folder made where it is not there; a folder that cannot be written only loses the cache
 */
export function cachedCompile(compile: Compile, version: string, folder: string): Compile {
  return async (source, architecture) => {
    const key = createHash("sha256")
      .update(JSON.stringify([source.name, source.code, architecture, version])).digest("hex");
    const path = `${folder}/${source.name}-${architecture}-${key.slice(0, 32)}.cubin`;
    const kept = await read(path);
    if (kept) return kept;
    const image = await compile(source, architecture);
    await write(folder, path, image);
    return image;
  };
}

function checksum(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

async function read(path: string): Promise<Uint8Array | undefined> {
  try {
    const file = new Uint8Array(await readFile(path));
    const image = file.slice(32);
    return checksum(image).every((byte, i) => byte === file[i]) ? image : undefined;
  } catch {
    return undefined;
  }
}

async function write(folder: string, path: string, image: Uint8Array): Promise<void> {
  // Renamed into place, since another process may compile the same kernel at the same time.
  const partial = `${path}.${crypto.randomUUID()}`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(partial, checksum(image));
    await writeFile(partial, image, { flag: "a" });
    await rename(partial, path);
  } catch {
    // No cache then: the image is there all the same.
  }
}
