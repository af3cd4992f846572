/**
 * Parquet files made by hand, so that they can say anything.
 *
 * In: columns and groups of pages. Out: the bytes of a file, and an open file of them. What Thrift's structs hold is told
 * by its field numbers (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
 */

import type { RowFile } from "../../data/records/row_file.ts";

/** A number is an i32, a bigint an i64, an object a struct. */
export type ThriftValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | readonly ThriftValue[]
  | ThriftStruct;

/** Values by the numbers of their fields; what is undefined is left out. */
export interface ThriftStruct {
  readonly [field: number]: ThriftValue | undefined;
}

/** A number in as many bytes as it needs, seven bits each. */
function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (; value > 127n; value >>= 7n) bytes.push(Number(value & 127n) | 128);
  return [...bytes, Number(value)];
}

/** The kind of a value in the compact protocol, and its bytes. */
function encodeValue(value: ThriftValue): readonly [number, readonly number[]] {
  if (typeof value === "boolean") return [value ? 1 : 2, []];
  if (typeof value === "number" || typeof value === "bigint") {
    const whole = BigInt(value);
    const folded = whole < 0n ? -2n * whole - 1n : 2n * whole;
    return [typeof value === "number" ? 5 : 6, varint(folded)];
  }
  if (typeof value === "string") return encodeValue(new TextEncoder().encode(value));
  if (value instanceof Uint8Array) return [8, [...varint(BigInt(value.length)), ...value]];
  if (!Array.isArray(value)) return [12, [...encodeThrift(value as ThriftStruct)]];
  const items = value.map(encodeValue);
  const [[kind] = [12]] = items;
  const head = items.length < 15
    ? [items.length << 4 | kind]
    : [0xf0 | kind, ...varint(BigInt(items.length))];
  return [9, [...head, ...items.flatMap(([, bytes]) => bytes)]];
}

/** A struct in Thrift's compact protocol. */
export function encodeThrift(struct: ThriftStruct): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let last = 0;
  for (const [name, value] of Object.entries(struct)) {
    if (value === undefined) continue;
    const [kind, content] = encodeValue(value);
    bytes.push((Number(name) - last) << 4 | kind, ...content);
    last = Number(name);
  }
  return Uint8Array.of(...bytes, 0);
}

/** Whole numbers of 64 bits, end to end. */
export const int64s = (...values: readonly (number | bigint)[]): Uint8Array =>
  new Uint8Array(BigInt64Array.from(values, BigInt).buffer);

/** Whole numbers of 32 bits, end to end. */
export const int32s = (...values: readonly number[]): Uint8Array =>
  new Uint8Array(Int32Array.from(values).buffer);

/** Texts or bytes, each behind its length. */
export const byteArrays = (...values: readonly (string | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(values.flatMap((value) => {
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    return [...int32s(bytes.length), ...bytes];
  }));

/** A page: its header, and bytes that it says as many of, where `more` says no other. */
function page(kind: number, data: Uint8Array, more: ThriftStruct): Uint8Array {
  const header = { 1: kind, 2: data.length, 3: data.length, ...more };
  return Uint8Array.of(...encodeThrift(header), ...data);
}

/** A page of plain values. */
export const dataPage = (values: number, data: Uint8Array, more: ThriftStruct = {}): Uint8Array =>
  page(0, data, { 5: { 1: values, 2: 0, 3: 3, 4: 3 }, ...more });

/** A page of plain values in the second format; `says` is its own header's. */
export const dataPageV2 = (
  values: number,
  data: Uint8Array,
  says: ThriftStruct = {},
  more: ThriftStruct = {},
): Uint8Array =>
  page(3, data, {
    8: { 1: values, 2: 0, 3: values, 4: 0, 5: 0, 6: 0, 7: false, ...says },
    ...more,
  });

/** A page of a dictionary. */
export const dictionaryPage = (words: number, data: Uint8Array): Uint8Array =>
  page(2, data, { 7: { 1: words, 2: 0 } });

/** A column: its name, its physical type (1 INT32, 2 INT64, 6 BYTE_ARRAY), and what else the schema says. */
export interface ParquetColumn extends ThriftStruct {
  readonly name: string;
  readonly kind: number;
}

/** A column of a group: how many values it says it has, its pages, and what else its metadata says. */
export interface ParquetChunk {
  readonly values: number;
  readonly pages: readonly Uint8Array[];
  readonly more?: ThriftStruct;
}

/** A group: how many rows it says it has, and its columns. */
export interface ParquetGroup {
  readonly rows: number;
  readonly chunks: readonly ParquetChunk[];
}

/** A file of columns that are required and not packed; `roots` of them are not within another, `more` is the footer's. */
export function parquetFile(
  columns: readonly ParquetColumn[],
  groups: readonly ParquetGroup[],
  { roots = columns.length, more = {} as ThriftStruct } = {},
): Uint8Array<ArrayBuffer> {
  const bytes = [...new TextEncoder().encode("PAR1")];
  const rowGroups = groups.map(({ rows, chunks }) => ({
    1: chunks.map(({ values, pages, more }, index) => {
      const start = bytes.length;
      for (const each of pages) bytes.push(...each);
      const size = BigInt(bytes.length - start);
      const { name, kind } = columns[index];
      const metadata = {
        ...{ 1: kind, 2: [0], 3: [name], 4: 0, 5: BigInt(values) },
        ...{ 6: size, 7: size, 9: BigInt(start), ...more },
      };
      return { 2: BigInt(start), 3: metadata };
    }),
    2: 0n,
    3: BigInt(rows),
  }));
  const footer = encodeThrift({
    1: 1,
    2: [
      { 4: "schema", 5: roots },
      ...columns.map(({ name, kind, ...more }) => ({ 1: kind, 3: 0, 4: name, ...more })),
    ],
    3: BigInt(groups.reduce((sum, { rows }) => sum + rows, 0)),
    4: rowGroups,
    ...more,
  });
  return Uint8Array.of(...bytes, ...footer, ...int32s(footer.length), 80, 65, 82, 49);
}

/** Bytes as an open file; what is asked of it is added to `asked`. */
export function rowFileOf(bytes: Uint8Array<ArrayBuffer>, asked: number[][] = []): RowFile {
  return {
    path: "a.parquet",
    format: { kind: "parquet" },
    compression: undefined,
    size: bytes.length,
    async *chunks() {
      yield await Promise.resolve(bytes);
    },
    slice(start, end) {
      asked.push([start, end]);
      return Promise.resolve(bytes.slice(start, end).buffer);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
