/**
 * Writes a GGUF file: metadata, the list of tensors, then their numbers, converted on the way.
 *
 * In: metadata and tensors whose rows come as float32. Out: the file, whole or not at all. What is held at a
 * time is a run of rows. The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * @module
 */

import { FileWriter, type WrittenBytes } from "../ort/tensor/file_writer.ts";
import { quoteName } from "../ort/tensor/tensor_errors.ts";
import { GGML_TYPES, ggmlBytes, MAX_DIMENSIONS } from "./ggml_type.ts";
import {
  DEFAULT_ALIGNMENT,
  GGUF_ARRAYS,
  GGUF_TYPE_NUMBERS,
  type GgufMetadata,
  type GgufScalar,
  type GgufValue,
} from "./gguf_value.ts";
import { quantizeRows, type WrittenType } from "./quantize_rows.ts";

/** A tensor to be written. */
export interface GgufTensorToWrite {
  /** Its name in the file: `blk.0.attn_q.weight`. */
  readonly name: string;
  /** Sizes, outermost first, as elsewhere in ortune; the file has them the other way round. */
  readonly shape: readonly number[];
  /** What its numbers are stored as; its rows must be whole blocks of it. */
  readonly type: WrittenType;
  /** Numbers of some rows, a row being the last size of the shape: [rows · shape.at(-1)]. */
  readonly rows: (first: number, rows: number) => Promise<Float32Array>;
}

/** What {@linkcode writeGguf} writes, and how. */
export interface WriteGgufOptions {
  /** In the order that the file shall have; `general.alignment` is the writer's own and left out. */
  readonly metadata: GgufMetadata;
  /** In the order that the file shall have. */
  readonly tensors: readonly GgufTensorToWrite[];
  /** Called with the bytes written so far and in all. */
  readonly onBytes?: (written: number, total: number) => void;
  /** Stops between two runs of rows and leaves no file. */
  readonly signal?: AbortSignal;
}

/** The version of the format that is written. */
const VERSION = 3;
/** llama.cpp's limit (`GGML_MAX_NAME` − 1). */
const MAX_NAME_BYTES = 63;
// Numbers converted at a time, in whole rows: 4 MiB of float32.
const CHUNK = 1 << 20;

/**
 * Writes a file; it appears under its name only when it is whole.
 *
 * @example
 * ```ts
 * import { openGguf, writeGguf } from "@ortune/ortune/gguf";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * await writeGguf(`${folder}/a.gguf`, {
 *   metadata: new Map([["general.architecture", { type: "string", value: "llama" }]]),
 *   tensors: [{
 *     name: "output_norm.weight",
 *     shape: [2],
 *     type: "f32",
 *     rows: () => Promise.resolve(Float32Array.of(1, 2)),
 *   }],
 * });
 * {
 *   await using file = await openGguf(`${folder}/a.gguf`);
 *   assert.deepEqual([...await file.readRows("output_norm.weight", 0, 1)], [1, 2]);
 * }
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @throws {RangeError} on a name or shape that the format cannot hold, a part of a block, or a number that its
 * type cannot hold
 */
export async function writeGguf(
  path: string,
  { metadata, tensors, onBytes, signal }: WriteGgufOptions,
): Promise<WrittenBytes> {
  const places = layOut(path, tensors);
  const header = encodeHeader(metadata, tensors, places.map(({ offset }) => offset));
  const dataStart = align(header.byteLength);
  const last = places.at(-1);
  const total = dataStart + (last ? align(last.offset + last.bytes) : 0);
  let written = 0;
  return await FileWriter.whole(path, async (file) => {
    const write = async (bytes: Uint8Array): Promise<void> => {
      signal?.throwIfAborted();
      await file.write(bytes);
      written += bytes.byteLength;
      onBytes?.(written, total);
    };
    const pad = async (): Promise<void> => {
      const missing = align(written) - written;
      if (missing > 0) await write(new Uint8Array(missing));
    };
    await write(header);
    await pad();
    for (const tensor of tensors) {
      for await (const bytes of convert(tensor)) await write(bytes);
      await pad();
    }
  });
}

/** A tensor's bytes in the file, some rows at a time. */
async function* convert(
  { name, shape, type, rows }: GgufTensorToWrite,
): AsyncGenerator<Uint8Array, void, void> {
  const columns = shape.at(-1) ?? 1;
  const count = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const step = Math.max(1, Math.floor(CHUNK / columns));
  for (let first = 0; first < count; first += step) {
    const taken = Math.min(step, count - first);
    const numbers = await rows(first, taken);
    if (numbers.length !== taken * columns) {
      throw new RangeError(
        `Cannot write ${quoteName(name)}: its rows ${first} to ${first + taken} have ` +
          `${numbers.length} numbers, expected ${taken * columns}`,
      );
    }
    try {
      yield quantizeRows(numbers, type);
    } catch (cause) {
      throw new RangeError(`Cannot write ${quoteName(name)}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
}

interface Place {
  readonly offset: number;
  readonly bytes: number;
}

/** Where each tensor lies behind the header. */
function layOut(path: string, tensors: readonly GgufTensorToWrite[]): readonly Place[] {
  const seen = new Set<string>();
  let end = 0;
  return tensors.map(({ name, shape, type }) => {
    const length = new TextEncoder().encode(name).byteLength;
    const problem = seen.has(name)
      ? "which is listed twice"
      : length === 0 || length > MAX_NAME_BYTES
      ? `of ${length} bytes; llama.cpp takes 1 to ${MAX_NAME_BYTES}`
      : shape.length < 1 || shape.length > MAX_DIMENSIONS
      ? `with ${shape.length} dimensions; ggml has 1 to ${MAX_DIMENSIONS}`
      : !shape.every((size) => Number.isSafeInteger(size) && size > 0)
      ? `of shape [${shape.join(", ")}]; sizes are whole and from 1 on`
      : undefined;
    if (problem !== undefined) {
      throw new RangeError(
        `Cannot write ${quoteName(path)}: it has a tensor ${quoteName(name)} ${problem}`,
      );
    }
    seen.add(name);
    const place = { offset: align(end), bytes: ggmlBytes(type, shape) };
    end = place.offset + place.bytes;
    return place;
  });
}

function align(bytes: number): number {
  return Math.ceil(bytes / DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT;
}

/** Everything before the tensors' numbers. */
function encodeHeader(
  metadata: GgufMetadata,
  tensors: readonly GgufTensorToWrite[],
  offsets: readonly number[],
): Uint8Array {
  const out = new ByteSink();
  out.bytes(new TextEncoder().encode("GGUF"));
  out.number("uint32", VERSION);
  out.number("uint64", tensors.length);
  const entries = [...metadata].filter(([key]) => key !== "general.alignment");
  out.number("uint64", entries.length);
  for (const [key, value] of entries) {
    out.text(key);
    out.number("uint32", GGUF_TYPE_NUMBERS[value.type]);
    encodeValue(out, key, value);
  }
  for (const [i, { name, shape, type }] of tensors.entries()) {
    out.text(name);
    out.number("uint32", shape.length);
    for (const size of shape.toReversed()) out.number("uint64", size);
    out.number("uint32", GGML_TYPES[type].number);
    out.number("uint64", offsets[i]);
  }
  return out.take();
}

function encodeValue(out: ByteSink, key: string, value: GgufValue): void {
  const text = (value: string): void => {
    if (!value.isWellFormed()) {
      throw new RangeError(
        `Cannot write ${quoteName(key)}: a text in it holds a lone surrogate and has no UTF-8`,
      );
    }
    out.text(value);
  };
  switch (value.type) {
    case "string":
      return text(value.value);
    case "bool":
      return out.number("uint8", Number(value.value));
    case "array": {
      out.number("uint32", GGUF_TYPE_NUMBERS[value.of]);
      out.number("uint64", value.values.length);
      if (value.of === "string") { for (const each of value.values) text(each); }
      else if (value.of === "bool") out.bytes(Uint8Array.from(value.values, Number));
      else {
        const Values = GGUF_ARRAYS[value.of] as { from(from: ArrayLike<unknown>): ArrayBufferView };
        const { buffer, byteOffset, byteLength } = Values.from(value.values);
        out.bytes(new Uint8Array(buffer, byteOffset, byteLength));
      }
      return;
    }
    default:
      return out.number(value.type, value.value);
  }
}

/** Little-endian bytes that grow. */
class ByteSink {
  #all = new Uint8Array(1 << 16);
  #used = 0;

  bytes(bytes: Uint8Array): void {
    const end = this.#used + bytes.byteLength;
    if (end > this.#all.byteLength) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#all.byteLength));
      larger.set(this.#all.subarray(0, this.#used));
      this.#all = larger;
    }
    this.#all.set(bytes, this.#used);
    this.#used = end;
  }

  number(type: Exclude<GgufScalar["type"], "bool" | "string">, value: number | bigint): void {
    const Values = GGUF_ARRAYS[type];
    const one = Values === BigUint64Array || Values === BigInt64Array
      ? Values.of(BigInt(value))
      : (Values as Float64ArrayConstructor).of(Number(value));
    this.bytes(new Uint8Array(one.buffer));
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number("uint64", bytes.byteLength);
    this.bytes(bytes);
  }

  take(): Uint8Array {
    return this.#all.subarray(0, this.#used);
  }
}
