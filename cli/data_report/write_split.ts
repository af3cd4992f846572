/**
 * Writes files together.
 *
 * In: a folder and the lines of each file. Out: all of the files, or none: each is written and synced
 * beside its place first, and renamed once all are whole.
 */

import { FileWriter } from "../../ort/tensor/file_writer.ts";

/** A file to write. */
export interface TextFile {
  readonly path: string;
  readonly parts: Iterable<string>;
}

/** Characters that are encoded and written at once. */
const BLOCK = 64 * 1024;

/** Refuses to go on where a file would be replaced that nobody said to replace. */
export async function refuseOverwrite(paths: readonly string[], overwrite: boolean): Promise<void> {
  if (overwrite) return;
  for (const path of paths) {
    if (await Deno.lstat(path).then(() => true, isThere)) {
      throw new Error(
        `Cannot write ${path}: it exists already. Give --overwrite to replace it, or another --output-dir`,
      );
    }
  }
}

function isThere(error: unknown): boolean {
  if (error instanceof Deno.errors.NotFound) return false;
  throw error;
}

/** Writes all files, or leaves what was there. */
export async function writeTogether(files: readonly TextFile[]): Promise<void> {
  const staged: string[] = [];
  const moved: { readonly path: string; readonly old: string | undefined }[] = [];
  try {
    for (const { path, parts } of files) {
      const name = `${path}.${crypto.randomUUID()}.new`;
      await using writer = await FileWriter.create(name);
      let block = "";
      for (const part of parts) {
        block += part;
        if (block.length < BLOCK) continue;
        await writer.write(new TextEncoder().encode(block));
        block = "";
      }
      await writer.write(new TextEncoder().encode(block));
      await writer.commit();
      staged.push(name);
    }
    for (const [index, { path }] of files.entries()) {
      const old = `${path}.${crypto.randomUUID()}.old`;
      const had = await Deno.rename(path, old).then(() => true, isThere);
      moved.push({ path, old: had ? old : undefined });
      await Deno.rename(staged[index], path);
    }
  } catch (error) {
    for (const { path, old } of moved) {
      await Deno.remove(path).catch(() => {});
      if (old !== undefined) await Deno.rename(old, path);
    }
    throw error;
  } finally {
    for (const path of staged) await Deno.remove(path).catch(() => {});
  }
  for (const { old } of moved) if (old !== undefined) await Deno.remove(old);
}
