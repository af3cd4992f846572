/**
 * One safetensors file, read lazily.
 *
 * In: a path. Out: a TensorSource over the open file; only the header is in memory.
 *
 * @module
 */

import { RandomAccessFile } from "./random_access_file.ts";
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
  readonly #file: RandomAccessFile;
  readonly #header: SafetensorsHeader;

  private constructor(file: RandomAccessFile, header: SafetensorsHeader) {
    this.path = file.path;
    this.#file = file;
    this.#header = header;
  }

  /** The same as {@linkcode openSafetensors}. */
  static async open(path: string, options: OpenSafetensorsOptions = {}): Promise<SafetensorsFile> {
    const file = await RandomAccessFile.open(path, "safetensors");
    try {
      const place = { ...options, path, fileLength: file.size };
      const first = new Uint8Array(8);
      const length = safetensorsHeaderLength(first.subarray(0, await file.read(first, 0)), place);
      const bytes = new Uint8Array(8 + length);
      bytes.set(first);
      const got = await file.read(bytes.subarray(8), 8);
      const header = parseSafetensorsHeader(bytes.subarray(0, 8 + got), place);
      return new SafetensorsFile(file, header);
    } catch (error) {
      await file[Symbol.asyncDispose]();
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
    await this.#file.readTensor(name, into, this.#header.dataOffset + begin + offset);
  }

  /** Closes the file once a read in progress is done; reads that wait fail. */
  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  /** Closes the file after the reads already asked for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
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
