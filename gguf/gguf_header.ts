/**
 * The header of a GGUF file: metadata and the list of tensors, parsed strictly.
 *
 * In: a file. Out: typed values and each tensor's type, shape and place. The file may come from anywhere, so
 * each size is held against the file's length and a limit before anything of it is allocated.
 * The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

import type { RandomAccessFile } from "../ort/tensor/random_access_file.ts";
import { quoteName } from "../ort/tensor/tensor_errors.ts";
import {
  describeGgmlType,
  GGML_TYPES,
  ggmlBytes,
  type GgmlType,
  ggmlTypeOf,
  MAX_DIMENSIONS,
} from "./ggml_type.ts";
import {
  DEFAULT_ALIGNMENT,
  GGUF_ARRAYS,
  GGUF_TYPE_BYTES,
  GGUF_TYPE_NUMBERS,
  type GgufArray,
  type GgufMetadata,
  type GgufScalar,
  type GgufValue,
} from "./gguf_value.ts";

/** What is known of a tensor before its numbers are read. */
export interface GgufTensor {
  /** How its numbers are stored. */
  readonly type: GgmlType;
  /** Its sizes, outermost first, as elsewhere in ortune; the file has them the other way round. */
  readonly shape: readonly number[];
  /** Where its bytes begin in the file. */
  readonly start: number;
  /** How many there are. */
  readonly bytes: number;
}

/** A parsed header. */
export interface GgufHeader {
  /** The version of the format: 2 or 3, which differ in nothing that is read. */
  readonly version: number;
  /** The keys in their order. */
  readonly metadata: GgufMetadata;
  /** The tensors in their order. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** 256 MiB: a vocabulary of 262,144 tokens with 514,906 merges takes 16. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
/** Far above any model: Gemma 3's vocabulary has 262,144 tokens, and 514,906 merges. */
const MAX_ARRAY = 1 << 22;
/** A chat template has some thousand characters. */
const MAX_TEXT_BYTES = 16 * 1024 * 1024;
/** Real files have some fifty keys. */
const MAX_KEYS = 65_536;
/** As of safetensors files: a mixture of 256 experts on 61 layers has 45,000. */
const MAX_TENSORS = 65_536;
/** A page of memory is 4096 bytes; nothing needs more. */
const MAX_ALIGNMENT = 65_536;

/** Bytes read at a time. */
const BUFFER = 1 << 20;

const DAMAGED = "The file is damaged or no GGUF: download or write it again";
const TYPE_NAMES = new Map(
  Object.entries(GGUF_TYPE_NUMBERS).map(([name, number]) => [number, name as GgufValue["type"]]),
);

/** Reads and checks a header. */
export async function readGgufHeader(file: RandomAccessFile): Promise<GgufHeader> {
  const cursor = new Cursor(file);
  const version = await readVersion(cursor);
  const tensorCount = await cursor.count("the number of tensors", {
    most: MAX_TENSORS,
    // A length, a name of a byte, the number of dimensions, one size, a type, an offset.
    atLeast: 8 + 1 + 4 + 8 + 4 + 8,
  });
  // A length, a key of a byte, a type, a value of a byte.
  const keyCount = await cursor.count("the number of keys", {
    most: MAX_KEYS,
    atLeast: 8 + 1 + 4 + 1,
  });
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const at = cursor.position;
    const key = await cursor.text(`key ${i}`);
    if (key === "" || metadata.has(key)) {
      throw cursor.fault(`key ${i} is ${quoteName(key)}, ${key ? "a key before it" : "empty"}`, at);
    }
    metadata.set(key, await readValue(cursor, key));
  }
  const alignment = readAlignment(cursor, metadata);
  const found: [name: string, tensor: Omit<GgufTensor, "start">, offset: number][] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const at = cursor.position;
    const name = await cursor.text(`the name of tensor ${i}`);
    if (name === "" || names.has(name)) {
      throw cursor.fault(
        `tensor ${i} is named ${quoteName(name)}, ${name ? "as one before it" : "which is empty"}`,
        at,
      );
    }
    names.add(name);
    found.push([name, ...await readTensor(cursor, name, alignment)]);
  }
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map(
    found.map(([name, tensor, offset]) => [name, { ...tensor, start: dataStart + offset }]),
  );
  refuseOverlaps(cursor, tensors);
  return { version, metadata, tensors };
}

async function readVersion(cursor: Cursor): Promise<number> {
  const magic = await cursor.take(4, "the magic number");
  if (new TextDecoder("latin1").decode(magic) !== "GGUF") {
    throw cursor.fault(
      `it begins with the bytes ${magic.toHex()}, not with 47475546 (GGUF)`,
      0,
    );
  }
  const version = Number(await cursor.scalar("uint32", "the version"));
  if (version === 2 || version === 3) return version;
  const isSwapped = version % 65536 === 0;
  throw cursor.fault(
    isSwapped
      ? "its version reads backwards, as in a file for big-endian machines"
      : `its version is ${version}, and versions 2 and 3 are read`,
    4,
    isSwapped ? "Convert it with gguf_convert_endian.py" : "Convert the model with a new llama.cpp",
  );
}

async function readValue(cursor: Cursor, key: string): Promise<GgufValue> {
  const name = quoteName(key);
  const type = await readType(cursor, `the type of ${name}`);
  if (type !== "array") return await readScalar(cursor, type, name);
  const at = cursor.position;
  const of = await readType(cursor, `the type of ${name}'s values`);
  if (of === "array") throw cursor.fault(`${name} is an array of arrays, which GGUF lacks`, at);
  const count = await cursor.count(`the length of ${name}`, {
    most: MAX_ARRAY,
    atLeast: GGUF_TYPE_BYTES[of],
  });
  return await readArray(cursor, { of, count, name });
}

async function readType(cursor: Cursor, field: string): Promise<GgufValue["type"]> {
  const at = cursor.position;
  const number = Number(await cursor.scalar("uint32", field));
  const type = TYPE_NAMES.get(number);
  if (type !== undefined) return type;
  throw cursor.fault(`${field} is ${number}, and GGUF's types are 0 to 12`, at);
}

async function readScalar(
  cursor: Cursor,
  type: GgufScalar["type"],
  name: string,
): Promise<GgufScalar> {
  switch (type) {
    case "string":
      return { type, value: await cursor.text(name) };
    case "bool": {
      const at = cursor.position;
      const value = await cursor.scalar("uint8", name);
      if (value === 0 || value === 1) return { type, value: value === 1 };
      throw cursor.fault(`${name} is ${value}, and a boolean is 0 or 1`, at);
    }
    case "uint64":
    case "int64":
      return { type, value: BigInt(await cursor.scalar(type, name)) };
    default:
      return { type, value: Number(await cursor.scalar(type, name)) };
  }
}

async function readArray(
  cursor: Cursor,
  { of, count, name }: {
    readonly of: GgufScalar["type"];
    readonly count: number;
    readonly name: string;
  },
): Promise<GgufArray> {
  if (of === "string") {
    const values: string[] = [];
    for (let i = 0; i < count; i++) values.push(await cursor.text(() => `${name}[${i}]`));
    return { type: "array", of, values };
  }
  const at = cursor.position;
  const bytes = await cursor.take(count * GGUF_TYPE_BYTES[of], name);
  if (of === "bool") {
    const odd = bytes.findIndex((byte) => byte > 1);
    if (odd < 0) return { type: "array", of, values: Array.from(bytes, Boolean) };
    throw cursor.fault(`${name}[${odd}] is ${bytes[odd]}, and a boolean is 0 or 1`, at + odd);
  }
  // A copy, as the cursor's memory is used again and numbers must be aligned.
  const { buffer } = bytes.slice();
  return of === "uint64" || of === "int64"
    ? { type: "array", of, values: new GGUF_ARRAYS[of](buffer) }
    : { type: "array", of, values: new GGUF_ARRAYS[of](buffer) };
}

function readAlignment(cursor: Cursor, metadata: GgufMetadata): number {
  const value = metadata.get("general.alignment");
  if (value === undefined) return DEFAULT_ALIGNMENT;
  const number = value.type === "uint32" ? value.value : NaN;
  if (number >= 1 && number <= MAX_ALIGNMENT && Number.isInteger(Math.log2(number))) return number;
  throw cursor.fault(
    `"general.alignment" is ${
      value.type === "array" ? "an array" : `${value.value} (${value.type})`
    }, expected a power of two up to ${MAX_ALIGNMENT} as uint32`,
  );
}

async function readTensor(
  cursor: Cursor,
  name: string,
  alignment: number,
): Promise<[tensor: Omit<GgufTensor, "start">, offset: number]> {
  const quoted = quoteName(name);
  let at = cursor.position;
  const dimensions = Number(await cursor.scalar("uint32", `the dimensions of ${quoted}`));
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw cursor.fault(`${quoted} has ${dimensions} dimensions, and ggml has 1 to 4`, at);
  }
  const shape: number[] = [];
  let elements = 1n;
  for (let i = 0; i < dimensions; i++) {
    at = cursor.position;
    const size = BigInt(await cursor.scalar("uint64", `size ${i} of ${quoted}`));
    elements *= size;
    // Of the types that are read, none has over four numbers a byte.
    if (size < 1n || elements > 4n * BigInt(cursor.file.size)) {
      throw cursor.fault(
        `size ${i} of ${quoted} is ${size}, which the ${cursor.file.size} bytes of the file cannot hold`,
        at,
      );
    }
    shape.unshift(Number(size));
  }
  at = cursor.position;
  const number = Number(await cursor.scalar("uint32", `the type of ${quoted}`));
  const type = ggmlTypeOf(number);
  if (type === undefined) {
    throw cursor.fault(
      `${quoted} is stored as ${describeGgmlType(number)}, which is not read`,
      at,
      `Take a file with ${Object.keys(GGML_TYPES).join(", ")}`,
    );
  }
  let bytes: number;
  try {
    bytes = ggmlBytes(type, shape);
  } catch (cause) {
    throw cursor.fault(`${quoted}: ${(cause as Error).message}`, at);
  }
  at = cursor.position;
  const offset = BigInt(await cursor.scalar("uint64", `the offset of ${quoted}`));
  if (offset > BigInt(cursor.file.size) || offset % BigInt(alignment) !== 0n) {
    throw cursor.fault(
      `the offset of ${quoted} is ${offset}, expected a multiple of ${alignment} inside the file`,
      at,
    );
  }
  return [{ type, shape, bytes }, Number(offset)];
}

/** Each tensor lies in the file, and apart from the others. */
function refuseOverlaps(cursor: Cursor, tensors: ReadonlyMap<string, GgufTensor>): void {
  const { size } = cursor.file;
  let end = 0;
  let before = "";
  for (const [name, { start, bytes }] of [...tensors].sort(([, a], [, b]) => a.start - b.start)) {
    if (start + bytes > size) {
      throw cursor.fault(
        `tensor ${quoteName(name)} ends at byte ${start + bytes}, but the file has ${size}`,
      );
    }
    if (start < end) {
      throw cursor.fault(
        `tensor ${quoteName(name)} begins at byte ${start}, inside ${
          quoteName(before)
        }, which ends at ${end}`,
      );
    }
    [end, before] = [start + bytes, name];
  }
}

/** Reads a file from its beginning on, with checks. */
class Cursor {
  readonly file: RandomAccessFile;
  /** The next byte in the file. */
  position = 0;
  #memory: Uint8Array<ArrayBuffer>;
  /** Where the memory's first byte lies in the file. */
  #from = 0;
  #filled = 0;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(file: RandomAccessFile) {
    this.file = file;
    this.#memory = new Uint8Array(Math.min(BUFFER, file.size));
  }

  /** An error at a byte. */
  fault(problem: string, at?: number, remedy = DAMAGED): RangeError {
    const place = at === undefined ? "" : ` at byte ${at}`;
    return new RangeError(
      `Cannot read GGUF ${quoteName(this.file.path)}${place}: ${problem}. ${remedy}`,
    );
  }

  /** The next bytes, until the next call. */
  async take(count: number, field: string | (() => string)): Promise<Uint8Array<ArrayBuffer>> {
    const at = this.position;
    if (at + count > this.#from + this.#filled) await this.#fill(count, field);
    this.position += count;
    return this.#memory.subarray(at - this.#from, at - this.#from + count);
  }

  /** A number. */
  async scalar(
    type: Exclude<GgufScalar["type"], "bool" | "string">,
    field: string,
  ): Promise<number | bigint> {
    const bytes = await this.take(GGUF_TYPE_BYTES[type], field);
    return new GGUF_ARRAYS[type](bytes.slice().buffer)[0];
  }

  /** How many of something follow, which have at least some bytes each. */
  async count(
    field: string,
    { most, atLeast }: { readonly most: number; readonly atLeast: number },
  ): Promise<number> {
    const at = this.position;
    const count = BigInt(await this.scalar("uint64", field));
    const left = this.file.size - this.position;
    if (count > BigInt(most)) {
      throw this.fault(`${field} is ${count}, over the limit of ${most}`, at);
    }
    if (count * BigInt(atLeast) <= BigInt(left)) return Number(count);
    throw this.fault(
      `${field} is ${count}, which takes ${
        count * BigInt(atLeast)
      } bytes or more, but ${left} follow`,
      at,
    );
  }

  /** A text: its length, then UTF-8. */
  async text(field: string | (() => string)): Promise<string> {
    const at = this.position;
    const name = (): string => typeof field === "string" ? field : field();
    const bytes = await this.take(8, field);
    const { buffer, byteOffset } = bytes;
    const length = new DataView(buffer, byteOffset, 8).getBigUint64(0, true);
    const left = this.file.size - this.position;
    if (length > BigInt(Math.min(left, MAX_TEXT_BYTES))) {
      throw this.fault(
        `the text of ${name()} has ${length} bytes, ` +
          (length > BigInt(left) ? `but ${left} follow` : `over the limit of ${MAX_TEXT_BYTES}`),
        at,
      );
    }
    const text = await this.take(Number(length), field);
    try {
      return this.#utf8.decode(text);
    } catch {
      throw this.fault(`the text of ${name()} is not UTF-8`, at + 8);
    }
  }

  async #fill(count: number, field: string | (() => string)): Promise<void> {
    const at = this.position;
    if (at + count > Math.min(this.file.size, MAX_HEADER_BYTES)) {
      throw this.fault(
        `${typeof field === "string" ? field : field()} ends at byte ${at + count}, ` +
          (at + count > this.file.size
            ? `but the file has ${this.file.size}`
            : `and a header may have ${MAX_HEADER_BYTES}`),
        at,
      );
    }
    const kept = this.#memory.subarray(at - this.#from, this.#filled);
    const memory = count > this.#memory.byteLength ? new Uint8Array(count) : this.#memory;
    if (memory === this.#memory) memory.copyWithin(0, at - this.#from, this.#filled);
    else memory.set(kept);
    const { byteLength } = kept;
    this.#memory = memory;
    this.#from = at;
    this.#filled = byteLength +
      await this.file.read(memory.subarray(byteLength), at + byteLength);
    if (this.#filled >= count) return;
    throw this.fault("the file was cut while it was read", at, "Read it again when it is whole");
  }
}
