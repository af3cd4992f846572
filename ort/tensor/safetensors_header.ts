/**
 * The header of a safetensors file, parsed strictly.
 *
 * In: the first bytes of a file (8 bytes of length, then N bytes of JSON), its length and path.
 * Out: metadata, tensors in the order of their bytes, and where the data begins.
 *
 * The file may come from anywhere, so everything in it is bounded and checked before use. The
 * format: https://github.com/huggingface/safetensors#format
 */

import { type DType, dtypeFromSafetensors } from "./dtype.ts";
import { parseStrictJson, type StrictJson } from "../../internal/json/strict_json.ts";
import { quoteName } from "./tensor_errors.ts";
import { tensorBytes, type TensorInfo } from "./tensor_source.ts";

/**
 * 8 MiB: real headers stay under 2 MiB (150 bytes a tensor), and 74 MB of hostile JSON took 6 s.
 */
export const maxSafetensorsHeaderBytes: number = 8 * 1024 * 1024;

/** Far above any model (a mixture of 256 experts on 61 layers has 45,000), small enough to hold. */
export const maxSafetensorsTensors: number = 65_536;

/** Where the header comes from. */
export interface SafetensorsHeaderOptions {
  /** The length of the whole file in bytes. */
  fileLength: number;
  /** Names the file in messages. */
  path: string;
  /** The longest header accepted. @default 8 MiB */
  maxHeaderBytes?: number;
}

/** A tensor's place in a file; offsets count from the beginning of the data. */
export interface SafetensorsEntry extends TensorInfo {
  /** The first byte. */
  readonly begin: number;
  /** The byte after the last. */
  readonly end: number;
}

/** A parsed header. */
export interface SafetensorsHeader {
  /** The strings under `__metadata__`, empty when there are none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** The tensors in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** Where the data begins in the file: 8 + N. */
  readonly dataOffset: number;
}

const wayOut = "The file is damaged or not safetensors: download or write it again";

/**
 * The length N of the JSON after the first 8 bytes, checked against the cap and the file.
 *
 * @example
 * ```ts
 * import { safetensorsHeaderLength } from "./safetensors_header.ts";
 * import assert from "node:assert/strict";
 *
 * const first = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0);
 * assert.equal(safetensorsHeaderLength(first, { fileLength: 10, path: "a.safetensors" }), 2);
 * ```
 */
export function safetensorsHeaderLength(
  bytes: Uint8Array,
  options: SafetensorsHeaderOptions,
): number {
  const { fileLength, maxHeaderBytes = maxSafetensorsHeaderBytes } = options;
  const fail = failure(options.path);
  if (fileLength < 8 || bytes.byteLength < 8) {
    throw fail(
      `it has ${Math.min(fileLength, bytes.byteLength)} bytes, under the 8 of a header length`,
    );
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(fileLength - 8)) {
    throw fail(`its header says ${length} bytes, but only ${fileLength - 8} follow`);
  }
  if (length > BigInt(maxHeaderBytes)) {
    throw new RangeError(
      `Cannot read safetensors ${
        quoteName(options.path)
      }: its header of ${length} bytes exceeds the ` +
        `limit of ${maxHeaderBytes}. If you trust the file, raise maxHeaderBytes`,
    );
  }
  return Number(length);
}

/**
 * Parses and checks a header. Throws a SyntaxError for broken JSON and a RangeError for everything
 * else, naming the file and the tensor.
 *
 * @example
 * ```ts
 * import { parseSafetensorsHeader } from "./safetensors_header.ts";
 * import assert from "node:assert/strict";
 *
 * const json = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
 * const bytes = new Uint8Array(8 + json.length);
 * bytes[0] = json.length;
 * bytes.set(new TextEncoder().encode(json), 8);
 * const header = parseSafetensorsHeader(bytes, {
 *   fileLength: bytes.length + 8,
 *   path: "a.safetensors",
 * });
 * assert.deepEqual(header.tensors.get("a"), { dtype: "float32", shape: [2], begin: 0, end: 8 });
 * assert.equal(header.dataOffset, 62);
 * ```
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  options: SafetensorsHeaderOptions,
): SafetensorsHeader {
  const { path, fileLength } = options;
  const fail = failure(path);
  const dataOffset = 8 + safetensorsHeaderLength(bytes, options);
  if (bytes.byteLength < dataOffset) {
    throw fail(`${bytes.byteLength} bytes were given of a header that ends at ${dataOffset}`);
  }
  const root = parseHeaderJson(bytes.subarray(8, dataOffset), path);
  const metadata = parseMetadata(root, fail);
  root.delete("__metadata__");
  if (root.size > maxSafetensorsTensors) {
    throw fail(`it lists ${root.size} tensors, more than ${maxSafetensorsTensors}`);
  }
  const entries = [...root].map(([name, value]) => [name, parseEntry(name, value, fail)] as const);
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const [name, entry] of entries) {
    if (entry.begin !== end) {
      throw fail(
        `tensor ${
          quoteName(name)
        } begins at byte ${entry.begin} of the data, but the one before it ` +
          `ends at ${end}`,
      );
    }
    end = entry.end;
  }
  if (dataOffset + end !== fileLength) {
    throw fail(
      `its header describes ${dataOffset + end} bytes, but the file has ${fileLength}`,
    );
  }
  return { metadata, tensors: new Map(entries), dataOffset };
}

type Failure = (problem: string, remedy?: string) => RangeError;

function failure(path: string): Failure {
  return (problem, remedy = wayOut) =>
    new RangeError(`Cannot read safetensors ${quoteName(path)}: ${problem}. ${remedy}`);
}

function parseHeaderJson(bytes: Uint8Array, path: string): Map<string, StrictJson> {
  const syntax = (problem: string): SyntaxError =>
    new SyntaxError(`Cannot read safetensors ${quoteName(path)}: ${problem}. ${wayOut}`);
  if (bytes[0] !== 0x7b) throw syntax('its header does not begin with "{"');
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw syntax("its header is not UTF-8");
  }
  let root: StrictJson;
  try {
    // Three levels are in use: the tensors, one tensor, its shape.
    root = parseStrictJson(text, { maxDepth: 4, maxEntries: maxSafetensorsTensors + 1 });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const problem = error.message.replace(/^Cannot parse JSON /, "").replace(
      /\. Correct it there$/,
      "",
    );
    throw syntax(`its header is not the JSON of a safetensors file: ${problem}`);
  }
  // It begins with "{", so it is an object; the check is for the type.
  if (!(root instanceof Map)) throw syntax("its header is not an object");
  if (!/\} *$/.test(text.slice(text.lastIndexOf("}")))) {
    throw syntax("its header is padded with something other than spaces");
  }
  return root;
}

function parseMetadata(root: Map<string, StrictJson>, fail: Failure): Map<string, string> {
  const strings = new Map<string, string>();
  const metadata = root.get("__metadata__");
  if (metadata === undefined) return strings;
  if (!(metadata instanceof Map)) throw fail("its __metadata__ is not an object");
  for (const [key, value] of metadata) {
    if (typeof value !== "string") {
      throw fail(`its __metadata__ entry ${quoteName(key)} is not a string`);
    }
    strings.set(key, value);
  }
  return strings;
}

function parseEntry(name: string, value: StrictJson, failFile: Failure): SafetensorsEntry {
  const fail: Failure = (problem, remedy) =>
    failFile(`tensor ${quoteName(name)} ${problem}`, remedy);
  if (!(value instanceof Map)) throw fail("is not an object");
  for (const key of value.keys()) {
    if (key !== "dtype" && key !== "shape" && key !== "data_offsets") {
      throw fail(`has an unknown field ${quoteName(key)}`);
    }
  }
  const dtype = parseDType(value.get("dtype"), fail);
  const shape = parseIntegers("shape", value.get("shape"), fail);
  const offsets = parseIntegers("data_offsets", value.get("data_offsets"), fail);
  if (offsets.length !== 2) {
    throw fail(`has ${offsets.length} data_offsets instead of 2`);
  }
  const [begin, end] = offsets;
  if (begin > end) throw fail(`ends at byte ${end}, before its beginning ${begin}`);
  let size: number;
  try {
    size = tensorBytes({ dtype, shape });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw fail("has a shape whose size exceeds 2^53 − 1 bytes");
  }
  if (end - begin !== size) {
    throw fail(`has data_offsets of ${end - begin} bytes, but its dtype and shape take ${size}`);
  }
  return { dtype, shape, begin, end };
}

function parseDType(value: StrictJson | undefined, fail: Failure): DType {
  if (value === undefined) throw fail("lacks dtype");
  if (typeof value !== "string") throw fail("has a dtype that is not a string");
  const dtype = dtypeFromSafetensors(value);
  if (dtype === undefined) {
    // Types of less than a byte, of eight bits that are floats, and scales that are powers of two.
    const quantized = /^(F4|F6|F8|U4|I4)/.test(value)
      ? "It is a quantized model's: take the unquantized one"
      : undefined;
    throw fail(`has dtype ${quoteName(value)}, which ortune does not read`, quantized);
  }
  return dtype;
}

function parseIntegers(field: string, value: StrictJson | undefined, fail: Failure): number[] {
  if (value === undefined) throw fail(`lacks ${field}`);
  if (!Array.isArray(value)) throw fail(`has something other than an array as ${field}`);
  const integers = value.filter((entry) => typeof entry === "number");
  if (integers.length !== value.length) {
    throw fail(`has an entry in ${field} that is not an integer`);
  }
  return integers;
}
