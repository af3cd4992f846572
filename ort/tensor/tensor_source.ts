/**
 * The joint between weights and everything that writes or loads them.
 *
 * In: names. Out: dtype, shape and bytes of tensors; little endian, row-major, as safetensors
 * stores them (every platform of Deno is little endian, so typed arrays match).
 *
 * @module
 */

import { byteWidth, type DType, elementCount } from "./dtype.ts";
import { checkTensorRange, missingTensorError } from "./tensor_errors.ts";
import { widenFloats } from "./widen_floats.ts";

/** What is known of a tensor before its bytes are read. */
export interface TensorInfo {
  /** The element type. */
  readonly dtype: DType;
  /** The sizes, outermost first; `[]` is a scalar. */
  readonly shape: readonly number[];
}

/** A named set of tensors: a file, a folder of shards, a live trainer or a merged adapter. */
export interface TensorSource {
  /** All names, in file or definition order. */
  names(): readonly string[];
  /** Throws a RangeError that lists near names when `name` is absent. */
  info(name: string): TensorInfo;
  /**
   * Fills `into` with the tensor's bytes (little endian, row-major) from byte `offset` on;
   * into.byteLength bytes. Calls may overlap.
   */
  read(name: string, into: Uint8Array, offset?: number): Promise<void>;
}

/** A tensor in memory. */
export interface TensorData extends TensorInfo {
  /** Exactly the tensor's bytes. */
  readonly data: Uint8Array;
}

/**
 * The bytes that a tensor takes.
 *
 * @example
 * ```ts
 * import { tensorBytes } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * assert.equal(tensorBytes({ dtype: "bfloat16", shape: [3, 4] }), 24);
 * ```
 */
export function tensorBytes(info: TensorInfo): number {
  const bytes = elementCount(info.shape) * byteWidth(info.dtype);
  if (!Number.isSafeInteger(bytes)) {
    throw new RangeError(
      `Cannot size a ${info.dtype} tensor of shape [${
        info.shape.join(", ")
      }]: it exceeds 2^53 − 1 ` +
        "bytes. Check the dimensions",
    );
  }
  return bytes;
}

/**
 * Tensors in memory as a source. The bytes are not copied.
 *
 * @example
 * ```ts
 * import { readFloat32, tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const data = new Uint8Array(Float32Array.of(1, 2).buffer);
 * const source = tensorSourceFromMap(new Map([["a", { dtype: "float32", shape: [2], data }]]));
 * assert.deepEqual(source.names(), ["a"]);
 * assert.deepEqual([...await readFloat32(source, "a")], [1, 2]);
 * ```
 */
export function tensorSourceFromMap(tensors: ReadonlyMap<string, TensorData>): TensorSource {
  for (const [name, tensor] of tensors) {
    const bytes = tensorBytes(tensor);
    if (tensor.data.byteLength !== bytes) {
      throw new RangeError(
        `Cannot make a source: tensor ${
          JSON.stringify(name)
        } holds ${tensor.data.byteLength} bytes, ` +
          `but ${tensor.dtype} [${tensor.shape.join(", ")}] takes ${bytes}. Correct shape or data`,
      );
    }
  }
  const find = (name: string): TensorData => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw missingTensorError(name, [...tensors.keys()], "the map");
    return tensor;
  };
  return {
    names: (): readonly string[] => [...tensors.keys()],
    info: (name: string): TensorInfo => {
      const { dtype, shape } = find(name);
      return { dtype, shape };
    },
    // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
    read: async (name: string, into: Uint8Array, offset = 0): Promise<void> => {
      const { data } = find(name);
      checkTensorRange(name, data.byteLength, into, offset);
      into.set(data.subarray(offset, offset + into.byteLength));
    },
  };
}

/**
 * All bytes of one tensor.
 *
 * @example
 * ```ts
 * import { readAll, tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const data = Uint8Array.of(7, 8);
 * const source = tensorSourceFromMap(new Map([["a", { dtype: "uint8", shape: [2], data }]]));
 * assert.deepEqual(await readAll(source, "a"), data);
 * ```
 */
export async function readAll(
  source: TensorSource,
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(tensorBytes(source.info(name)));
  await source.read(name, bytes);
  return bytes;
}

/** Elements converted at a time, so that a large tensor is not held twice. */
const chunkElements = 1 << 20;

/** Part of a tensor, in elements. */
export interface ElementRange {
  /** The first element. @default {0} */
  readonly start?: number;
  /** How many. @default {all from start on} */
  readonly count?: number;
}

/**
 * One tensor of floats as float32, row-major, or a run of its elements: bfloat16 and float16 are widened, float64 is rounded.
 * Throws a RangeError for integers and bools.
 *
 * @example
 * ```ts
 * import { readFloat32, tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const data = new Uint8Array(Uint16Array.of(0x3f80, 0xc000).buffer);
 * const source = tensorSourceFromMap(new Map([["a", { dtype: "bfloat16", shape: [2], data }]]));
 * assert.deepEqual([...await readFloat32(source, "a")], [1, -2]);
 * ```
 */
export async function readFloat32(
  source: TensorSource,
  name: string,
  { start: first = 0, count }: ElementRange = {},
): Promise<Float32Array<ArrayBuffer>> {
  const info = source.info(name);
  const { dtype } = info;
  if (!["float32", "float64", "bfloat16", "float16"].includes(dtype)) {
    throw new RangeError(
      `Cannot read tensor ${JSON.stringify(name)} as float32: its dtype is ${dtype}. ` +
        "Read its bytes with readAll",
    );
  }
  const floats = new Float32Array(count ?? elementCount(info.shape) - first);
  const width = byteWidth(dtype);
  if (dtype === "float32") {
    await source.read(name, new Uint8Array(floats.buffer), first * width);
    return floats;
  }
  const chunk = new Uint8Array(Math.min(floats.length, chunkElements) * width);
  for (let start = 0; start < floats.length; start += chunkElements) {
    const dst = floats.subarray(start, start + chunkElements);
    await source.read(name, chunk.subarray(0, dst.length * width), (first + start) * width);
    widenFloats(chunk, dtype, dst);
  }
  return floats;
}
