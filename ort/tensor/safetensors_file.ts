/**
 * One safetensors file, read lazily.
 *
 * In: a path. Out: a TensorSource over the open file; only the header is in memory.
 *
 * @module
 */

import { type FileHandle, open } from "node:fs/promises";
import { findRegularFile, isAbsent } from "../../internal/regular_file.ts";
import { notFoundError } from "../../internal/not_found_error.ts";
import {
  parseSafetensorsHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
  safetensorsHeaderLength,
} from "./safetensors_header.ts";
import { checkTensorRange, missingTensorError, quoteName } from "./tensor_errors.ts";
import type { TensorInfo, TensorSource } from "./tensor_source.ts";

/** Limits of {@linkcode openSafetensors}. */
export interface OpenSafetensorsOptions {
  /** The longest header accepted, in bytes. @default 8 MiB */
  maxHeaderBytes?: number;
}

/** An open safetensors file. Concurrent reads are safe: they run one after another. */
export class SafetensorsFile implements TensorSource, AsyncDisposable, Disposable {
  /** The path that was opened. */
  readonly path: string;
  readonly #file: FileHandle;
  readonly #header: SafetensorsHeader;
  /** Settles when the last read asked for is done; it never rejects. */
  #queue: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(path: string, file: FileHandle, header: SafetensorsHeader) {
    this.path = path;
    this.#file = file;
    this.#header = header;
  }

  /** The same as {@linkcode openSafetensors}. */
  static async open(path: string, options: OpenSafetensorsOptions = {}): Promise<SafetensorsFile> {
    const file = await openFile(path);
    try {
      const { size } = await file.stat();
      const place = { ...options, path, fileLength: size };
      const first = new Uint8Array(8);
      const length = safetensorsHeaderLength(first.subarray(0, await fill(file, first, 0)), place);
      const bytes = new Uint8Array(8 + length);
      bytes.set(first);
      const got = await fill(file, bytes.subarray(8), 8);
      const header = parseSafetensorsHeader(bytes.subarray(0, 8 + got), place);
      return new SafetensorsFile(path, file, header);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The strings under `__metadata__`. */
  get metadata(): ReadonlyMap<string, string> {
    return this.#header.metadata;
  }

  /** All names, in the order of their bytes. */
  names(): readonly string[] {
    return [...this.#header.tensors.keys()];
  }

  /** Whether the file holds a tensor. */
  has(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  /** Throws a RangeError that lists near names when `name` is absent. */
  info(name: string): TensorInfo {
    const { dtype, shape } = this.#find(name);
    return { dtype, shape };
  }

  /** Fills `into` with the tensor's bytes from byte `offset` on. */
  async read(name: string, into: Uint8Array, offset = 0): Promise<void> {
    const { begin, end } = this.#find(name);
    checkTensorRange(name, end - begin, into, offset);
    // One after another: Deno seeks for a read at a position, which must not mix with another's.
    const turn = this.#queue.then(async () => {
      if (this.#closed) {
        throw new TypeError(
          `Cannot read tensor ${quoteName(name)}: ${quoteName(this.path)} is closed. ` +
            "Read before it is disposed",
        );
      }
      const got = await fill(this.#file, into, this.#header.dataOffset + begin + offset);
      if (got < into.byteLength) {
        throw new RangeError(
          `Cannot read tensor ${quoteName(name)}: ${quoteName(this.path)} ended ${
            into.byteLength - got
          } bytes early, so it was cut since it was opened. Restore it and open it again`,
        );
      }
    });
    this.#queue = turn.catch(() => {});
    await turn;
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

  #find(name: string): SafetensorsEntry {
    const entry = this.#header.tensors.get(name);
    if (entry === undefined) {
      throw missingTensorError(name, this.names(), quoteName(this.path));
    }
    return entry;
  }
}

/**
 * Opens a safetensors file: reads and checks its header, and leaves the tensors on disk until they
 * are asked for. Throws Deno.errors.NotFound (elsewhere an error with code ENOENT), or what
 * parseSafetensorsHeader throws.
 *
 * @example
 * ```ts
 * import { openSafetensors, writeSafetensors } from "@ortune/ortune";
 * import { readAll, tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const dir = await Deno.makeTempDir();
 * const data = Uint8Array.of(1, 2, 3);
 * const tensors = new Map([["a", { dtype: "uint8", shape: [3], data }]] as const);
 * await writeSafetensors(`${dir}/a.safetensors`, tensorSourceFromMap(tensors));
 * {
 *   await using file = await openSafetensors(`${dir}/a.safetensors`);
 *   assert.deepEqual(await readAll(file, "a"), data);
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export function openSafetensors(
  path: string,
  options: OpenSafetensorsOptions = {},
): Promise<SafetensorsFile> {
  return SafetensorsFile.open(path, options);
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // A pipe would never open. Where links may lead is for who knows the folder to say.
    const found = await findRegularFile(path, { root: null });
    if (found.path !== undefined) return await open(found.path);
    throw new RangeError(
      `Cannot read safetensors ${quoteName(path)}: it ${found.problem}. Give a file`,
    );
  } catch (error) {
    if (!isAbsent(error)) throw error;
    throw notFoundError(
      `Cannot read safetensors ${quoteName(path)}: there is no such file. Check the path`,
      { cause: error },
    );
  }
}

/** Reads from byte `position` on until `into` is full or the file ends; returns the bytes read. */
async function fill(file: FileHandle, into: Uint8Array, position: number): Promise<number> {
  let got = 0;
  while (got < into.byteLength) {
    const { bytesRead } = await file.read(into, got, into.byteLength - got, position + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return got;
}
