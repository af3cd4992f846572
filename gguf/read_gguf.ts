/**
 * A GGUF file, read lazily.
 *
 * In: a path. Out: its metadata and tensors; numbers are read as float32, some rows at a time.
 *
 * @module
 */

import { RandomAccessFile } from "../ort/tensor/random_access_file.ts";
import { missingTensorError, quoteName } from "../ort/tensor/tensor_errors.ts";
import { dequantizeRows } from "./dequantize_rows.ts";
import { ggmlBytes } from "./ggml_type.ts";
import { type GgufTensor, readGgufHeader } from "./gguf_header.ts";
import type { GgufMetadata } from "./gguf_value.ts";

/** An open GGUF file. Concurrent reads are safe: they run one after another. */
export class GgufFile implements AsyncDisposable {
  /** The path that was opened. */
  readonly path: string;
  /** The version of the format: 2 or 3. */
  readonly version: number;
  /** The keys in the file's order. */
  readonly metadata: GgufMetadata;
  /** The tensors in the file's order, under GGUF's names. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly #file: RandomAccessFile;

  private constructor(
    file: RandomAccessFile,
    { version, metadata, tensors }: Pick<GgufFile, "version" | "metadata" | "tensors">,
  ) {
    this.path = file.path;
    this.version = version;
    this.metadata = metadata;
    this.tensors = tensors;
    this.#file = file;
  }

  /** The same as {@linkcode openGguf}. */
  static async open(path: string): Promise<GgufFile> {
    const file = await RandomAccessFile.open(path, "GGUF");
    try {
      return new GgufFile(file, await readGgufHeader(file));
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Throws a RangeError that lists near names when `name` is absent. */
  tensor(name: string): GgufTensor {
    const tensor = this.tensors.get(name);
    if (tensor !== undefined) return tensor;
    throw missingTensorError(name, [...this.tensors.keys()], quoteName(this.path));
  }

  /**
   * Some rows of a tensor as float32, a row being the last size of its shape.
   *
   * @throws {RangeError} where there is no such tensor, or no such rows
   */
  async readRows(name: string, first: number, rows: number): Promise<Float32Array<ArrayBuffer>> {
    const { type, shape, start } = this.tensor(name);
    const columns = shape.at(-1)!;
    const all = shape.slice(0, -1).reduce((product, size) => product * size, 1);
    if (!Number.isSafeInteger(first) || first < 0 || !(rows >= 0) || first + rows > all) {
      throw new RangeError(
        `Cannot read ${rows} rows of ${quoteName(name)} from row ${first} on: it has ${all}`,
      );
    }
    const row = ggmlBytes(type, [columns]);
    const bytes = new Uint8Array(rows * row);
    await this.#file.readTensor(name, bytes, start + first * row);
    return dequantizeRows(bytes, type);
  }

  /** Closes the file after the reads already asked for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }
}

/**
 * Opens a GGUF file: reads and checks all but the tensors' numbers.
 *
 * @example
 * ```ts
 * import { openGguf, writeGguf } from "@ortune/ortune/gguf";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * const rows = () => Promise.resolve(new Float32Array(64).fill(127));
 * await writeGguf(`${folder}/a.gguf`, {
 *   metadata: new Map([["llama.block_count", { type: "uint32", value: 1 }]]),
 *   tensors: [{ name: "output.weight", shape: [2, 32], type: "q8_0", rows }],
 * });
 * {
 *   await using file = await openGguf(`${folder}/a.gguf`);
 *   assert.deepEqual(file.metadata.get("llama.block_count"), { type: "uint32", value: 1 });
 *   assert.equal(file.tensor("output.weight").type, "q8_0");
 *   assert.equal((await file.readRows("output.weight", 1, 1))[0], 127);
 * }
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {RangeError} on a file that is damaged, or has a type of numbers that is not read
 * @throws {Error} with code `ENOENT` where there is no file
 */
export function openGguf(path: string): Promise<GgufFile> {
  return GgufFile.open(path);
}
