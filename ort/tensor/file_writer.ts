/**
 * Writes one file so that it appears whole or not at all, and hashes it on the way.
 *
 * In: a path and chunks of bytes. Out: the file, its length and its SHA-256. The bytes go to a
 * temporary file beside it, which is synced and then renamed; a reader never sees half a file, and
 * a source may still read from the file that is being replaced.
 */

import { createHash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { quoteName } from "./tensor_errors.ts";

/** A file that was written. */
export interface WrittenBytes {
  /** The length of the file. */
  bytes: number;
  /** The SHA-256 of the file, in hex. */
  sha256: string;
}

/** A file in the making; dispose it without commit() and nothing remains. */
export class FileWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #staged: string;
  readonly #file: FileHandle;
  readonly #hash = createHash("sha256");
  #bytes = 0;
  #open = true;

  private constructor(path: string, staged: string, file: FileHandle) {
    this.#path = path;
    this.#staged = staged;
    this.#file = file;
  }

  /** Begins a file; its folder must exist. */
  static async create(path: string): Promise<FileWriter> {
    const staged = `${path}.${crypto.randomUUID()}.tmp`;
    try {
      const file = await open(staged, "wx");
      return new FileWriter(path, staged, file);
    } catch (error) {
      throw writeError(path, 0, error);
    }
  }

  /**
   * Writes a file as a whole. In place of `await using`, which Node 22 cannot read.
   *
   * @param fill writes its bytes; where it fails, nothing remains
   */
  static async whole(
    path: string,
    fill: (file: FileWriter) => Promise<void>,
  ): Promise<WrittenBytes> {
    const file = await FileWriter.create(path);
    try {
      await fill(file);
      return await file.commit();
    } finally {
      await file[Symbol.asyncDispose]();
    }
  }

  /** Appends all of `chunk`. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#hash.update(chunk);
    try {
      for (let done = 0; done < chunk.byteLength;) {
        done += (await this.#file.write(chunk, done)).bytesWritten;
      }
    } catch (error) {
      throw writeError(this.#path, this.#bytes, error);
    }
    this.#bytes += chunk.byteLength;
  }

  /** Syncs to disk and gives the file its name. */
  async commit(): Promise<WrittenBytes> {
    try {
      await this.#file.sync();
      await this.#file.close();
      this.#open = false;
      await rename(this.#staged, this.#path);
    } catch (error) {
      if (!this.#open) await rm(this.#staged).catch(() => {});
      throw writeError(this.#path, this.#bytes, error);
    }
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  /** Removes the temporary file unless it was committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
    await rm(this.#staged).catch(() => {});
  }
}

/** Deno's own errors of writing name no path: this one does, and says what to do. */
export function writeError(path: string, written: number, cause: unknown): Error {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const full = code === "ENOSPC" || code === "EDQUOT" || /No space left|quota/i.test(message);
  const problem = full
    ? `the disk is full after ${written} bytes. Free space or choose another disk, then write again`
    : `${message}. Check that its folder exists and may be written`;
  return new Error(`Cannot write ${quoteName(path)}: ${problem}`, { cause });
}
