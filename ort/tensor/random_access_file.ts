/**
 * An open file that is read at places, one read after another.
 *
 * In: a path that others can shape. Out: bytes at positions. Deno seeks for a read at a position, which
 * must not mix with another's, so reads wait for each other.
 */

import { type FileHandle, open } from "node:fs/promises";
import { notFoundError } from "../../internal/not_found_error.ts";
import { findRegularFile, isAbsent } from "../../internal/regular_file.ts";
import { quoteName } from "./tensor_errors.ts";

/** An open file. Concurrent reads are safe. */
export class RandomAccessFile implements AsyncDisposable, Disposable {
  /** The path that was opened. */
  readonly path: string;
  /** Its length in bytes when it was opened. */
  readonly size: number;
  readonly #file: FileHandle;
  /** Settles when the last read asked for is done; it never rejects. */
  #queue: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(path: string, size: number, file: FileHandle) {
    this.path = path;
    this.size = size;
    this.#file = file;
  }

  /**
   * Opens a regular file; links lead where this process may read, as the path is the user's.
   *
   * @param kind what the file should be, for errors: `safetensors`
   * @throws {RangeError} where it is something other than a regular file
   * @throws {Error} with code `ENOENT` where there is none
   */
  static async open(path: string, kind: string): Promise<RandomAccessFile> {
    try {
      // A pipe would never open.
      const found = await findRegularFile(path, { root: null });
      if (found.path === undefined) {
        throw new RangeError(
          `Cannot read ${kind} ${quoteName(path)}: it ${found.problem}. Give a file`,
        );
      }
      const file = await open(found.path);
      try {
        return new RandomAccessFile(path, (await file.stat()).size, file);
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      if (!isAbsent(error)) throw error;
      throw notFoundError(
        `Cannot read ${kind} ${quoteName(path)}: there is no such file. Check the path`,
        { cause: error },
      );
    }
  }

  /** Reads from a byte on until `into` is full or the file ends; returns the bytes read. */
  async read(into: Uint8Array, position: number): Promise<number> {
    let got = 0;
    const turn = this.#queue.then(async () => {
      if (this.#closed) throw new TypeError(`${quoteName(this.path)} is closed`);
      while (got < into.byteLength) {
        const left = into.byteLength - got;
        const { bytesRead } = await this.#file.read(into, got, left, position + got);
        if (bytesRead === 0) break;
        got += bytesRead;
      }
    });
    this.#queue = turn.catch(() => {});
    await turn;
    return got;
  }

  /**
   * Fills `into` with bytes of a tensor.
   *
   * @throws {TypeError} after the file is closed
   * @throws {RangeError} where the file is shorter than when it was opened
   */
  async readTensor(name: string, into: Uint8Array, position: number): Promise<void> {
    let got: number;
    try {
      got = await this.read(into, position);
    } catch (cause) {
      if (!this.#closed) throw cause;
      throw new TypeError(
        `Cannot read tensor ${quoteName(name)}: ${quoteName(this.path)} is closed. ` +
          "Read before it is disposed",
        { cause },
      );
    }
    if (got === into.byteLength) return;
    throw new RangeError(
      `Cannot read tensor ${quoteName(name)}: ${quoteName(this.path)} ended ${
        into.byteLength - got
      } bytes early, so it was cut since it was opened. Restore it and open it again`,
    );
  }

  /** Closes the file once a read in progress is done; reads that wait fail. */
  [Symbol.dispose](): void {
    void this.#close();
  }

  /** Closes the file after the reads already asked for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
    await this.#close();
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }
}
