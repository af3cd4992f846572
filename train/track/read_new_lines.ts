/**
 * The lines that a growing file got since the last look.
 *
 * In: a path and the cursor of the last look. Out: new whole lines and the next cursor; only new
 * bytes are read, and a file that was replaced or cut is read from its start.
 */

import { Buffer } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import { findRegularFile, isAbsent } from "../../internal/regular_file.ts";
import type { FileUpdate } from "./run_update.ts";

/** Bytes a look: a page shows the first figures of a long run before it has read the last. */
const MAX_BYTES = 1024 * 1024;
const LINE_BREAK = 0x0a;

/** What a look at a file found. */
export interface NewLines extends FileUpdate {
  readonly lines: readonly string[];
}

/**
 * Looks at a file. A last line without its line break waits for the next look; a line of over
 * 1 MiB is passed over in pieces that are no lines of anything.
 *
 * @param cursor of the last look; "" for the first.
 */
export async function readNewLines(path: string, cursor: string): Promise<NewLines> {
  const nothing = { cursor: "", reset: cursor !== "", more: false, lines: [] };
  let file: FileHandle;
  try {
    // A pipe would never answer, and a link may lead to what is nobody's run.
    const found = await findRegularFile(path);
    if (found.path === undefined) return nothing;
    file = await open(found.path, "r");
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return nothing;
  }
  try {
    const { ino, birthtimeMs, size } = await file.stat();
    const identity = `${ino}.${Math.round(birthtimeMs)}`;
    const [, before, at] = /^(\d+\.\d+)-(\d{1,15})$/.exec(cursor) ?? [];
    const reset = before !== identity || Number(at) > size;
    const offset = reset ? 0 : Number(at);
    const buffer = Buffer.alloc(Math.min(MAX_BYTES, size - offset));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    const bytes = buffer.subarray(0, bytesRead);
    const end = bytes.lastIndexOf(LINE_BREAK) + 1;
    const used = end === 0 && bytesRead === MAX_BYTES ? bytesRead : end;
    const lines = bytes.toString("utf8", 0, end).split("\n").slice(0, -1);
    return {
      cursor: `${identity}-${offset + used}`,
      reset: reset && cursor !== "",
      more: bytesRead === MAX_BYTES && offset + used < size,
      lines,
    };
  } finally {
    await file.close();
  }
}
