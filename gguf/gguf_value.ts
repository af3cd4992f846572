/**
 * The values of a GGUF's metadata, with the types they have in the file.
 *
 * Each key has a number of a given width, a boolean, a text, or an array of these. A writer keeps type and
 * order of what was read, so a file's metadata survives reading and writing to the byte.
 *
 * @module
 */

/** A type of numbers in metadata. */
export type GgufNumberType =
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "uint32"
  | "int32"
  | "float32"
  | "float64";

/** A type of numbers that JavaScript holds as bigint. */
export type GgufBigType = "uint64" | "int64";

/** The tensors' numbers begin at multiples of so many bytes, where a file does not say otherwise. */
export const DEFAULT_ALIGNMENT = 32;

/** One value. */
export type GgufScalar =
  | { readonly type: GgufNumberType; readonly value: number }
  | { readonly type: GgufBigType; readonly value: bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string };

/** Many values of one type. */
export type GgufArray =
  | { readonly type: "array"; readonly of: GgufNumberType; readonly values: ArrayLike<number> }
  | { readonly type: "array"; readonly of: GgufBigType; readonly values: ArrayLike<bigint> }
  | { readonly type: "array"; readonly of: "bool"; readonly values: readonly boolean[] }
  | { readonly type: "array"; readonly of: "string"; readonly values: readonly string[] };

/** What a key of the metadata holds. */
export type GgufValue = GgufScalar | GgufArray;

/** A file's metadata, in its order. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** The types' numbers in a file; 9 is an array. */
export const GGUF_TYPE_NUMBERS: Readonly<Record<GgufValue["type"], number>> = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
};

/** Bytes of a value of each type; of a text, its length alone. */
export const GGUF_TYPE_BYTES: Readonly<Record<GgufScalar["type"], number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  uint64: 8,
  int64: 8,
  float64: 8,
};

/** Typed arrays that hold arrays of numbers as they lie in the file. */
export const GGUF_ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
  uint64: BigUint64Array,
  int64: BigInt64Array,
} as const;
