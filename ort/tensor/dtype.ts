/**
 * Element types of tensors.
 *
 * In: a dtype, a safetensors dtype name or a shape. Out: byte widths, names and element counts.
 *
 * @module
 */

/** The element types that ortune reads, writes and computes with. */
export type DType =
  | "float32"
  | "float16"
  | "bfloat16"
  | "float64"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

const table: readonly (readonly [dtype: DType, width: number, safetensors: string])[] = [
  ["float32", 4, "F32"],
  ["float16", 2, "F16"],
  ["bfloat16", 2, "BF16"],
  ["float64", 8, "F64"],
  ["int64", 8, "I64"],
  ["int32", 4, "I32"],
  ["int16", 2, "I16"],
  ["int8", 1, "I8"],
  ["uint8", 1, "U8"],
  ["bool", 1, "BOOL"],
];
const widths = new Map(table.map(([dtype, width]) => [dtype, width]));
const toName = new Map(table.map(([dtype, , name]) => [dtype, name]));
const fromName = new Map(table.map(([dtype, , name]) => [name, dtype]));

function lookUp<T>(map: ReadonlyMap<DType, T>, dtype: DType, action: string): T {
  const found = map.get(dtype);
  if (found === undefined) {
    throw new RangeError(
      `Cannot ${action}: dtype ${JSON.stringify(dtype)} is unknown. Use one of ${
        [...widths.keys()].join(", ")
      }`,
    );
  }
  return found;
}

/**
 * Bytes of one element.
 *
 * @example
 * ```ts
 * import { byteWidth } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * assert.equal(byteWidth("bfloat16"), 2);
 * ```
 */
export function byteWidth(dtype: DType): number {
  return lookUp(widths, dtype, "tell the byte width");
}

/**
 * The name of a dtype in a safetensors header.
 *
 * @example
 * ```ts
 * import { safetensorsName } from "./dtype.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(safetensorsName("bfloat16"), "BF16");
 * ```
 */
export function safetensorsName(dtype: DType): string {
  return lookUp(toName, dtype, "name a dtype for safetensors");
}

/**
 * The dtype behind a safetensors name, or undefined when ortune does not know it.
 *
 * @example
 * ```ts
 * import { dtypeFromSafetensors } from "./dtype.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(dtypeFromSafetensors("I64"), "int64");
 * assert.equal(dtypeFromSafetensors("F8_E4M3"), undefined);
 * ```
 */
export function dtypeFromSafetensors(name: string): DType | undefined {
  return fromName.get(name);
}

/**
 * The number of elements of a shape; a scalar's shape `[]` has one. Every partial product must be
 * a safe integer, since beyond 2^53 JavaScript would round it.
 *
 * @example
 * ```ts
 * import { elementCount } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * assert.equal(elementCount([2, 3, 4]), 24);
 * assert.throws(() => elementCount([2 ** 40, 2 ** 40]), RangeError);
 * ```
 */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(
        `Cannot count elements of shape ${showShape(shape)}: dimension ${size} is not a ` +
          "non-negative safe integer. Give whole sizes from 0 on",
      );
    }
    count *= size;
    if (!Number.isSafeInteger(count)) {
      throw new RangeError(
        `Cannot count elements of shape ${showShape(shape)}: the product exceeds 2^53 − 1. ` +
          "Check the dimensions",
      );
    }
  }
  return count;
}

/** A hostile header may hold thousands of dimensions: a message shows the first eight. */
function showShape(shape: readonly number[]): string {
  return shape.length <= 8
    ? `[${shape.join(", ")}]`
    : `[${shape.slice(0, 8).join(", ")}, … ${shape.length} dimensions]`;
}
