/**
 * How GGUF files store numbers: plain floats, or blocks of few-bit numbers with scales.
 *
 * In: a type's name or number. Out: its number, how many numbers a block holds and how many bytes it takes.
 * The numbers and layouts are those of ggml (`ggml.h`, `ggml-common.h`).
 *
 * @module
 */

import { elementCount } from "../ort/tensor/dtype.ts";

/** Most dimensions of a tensor. */
export const MAX_DIMENSIONS = 4;

/** The types that are read; most are written too. */
export type GgmlType =
  | "f32"
  | "f16"
  | "bf16"
  | "q4_0"
  | "q4_1"
  | "q5_0"
  | "q5_1"
  | "q8_0"
  | "q2_k"
  | "q3_k"
  | "q4_k"
  | "q5_k"
  | "q6_k";

/** A type's place in ggml and its layout. */
export interface GgmlTypeInfo {
  /** ggml's number of it. */
  readonly number: number;
  /** Numbers of a block; a row is whole blocks. */
  readonly block: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** The table. */
export const GGML_TYPES: Readonly<Record<GgmlType, GgmlTypeInfo>> = {
  f32: { number: 0, block: 1, bytes: 4 },
  f16: { number: 1, block: 1, bytes: 2 },
  q4_0: { number: 2, block: 32, bytes: 18 },
  q4_1: { number: 3, block: 32, bytes: 20 },
  q5_0: { number: 6, block: 32, bytes: 22 },
  q5_1: { number: 7, block: 32, bytes: 24 },
  q8_0: { number: 8, block: 32, bytes: 34 },
  q2_k: { number: 10, block: 256, bytes: 84 },
  q3_k: { number: 11, block: 256, bytes: 110 },
  q4_k: { number: 12, block: 256, bytes: 144 },
  q5_k: { number: 13, block: 256, bytes: 176 },
  q6_k: { number: 14, block: 256, bytes: 210 },
  bf16: { number: 30, block: 1, bytes: 2 },
};

/** Bits of a number that are not scales: what was kept of it. */
export function bitsOf(type: GgmlType): number {
  return Number(/\d+/.exec(type)![0]);
}

/** ggml's other types, to name them in errors. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  9: "q8_1",
  15: "q8_k",
  16: "iq2_xxs",
  17: "iq2_xs",
  18: "iq3_xxs",
  19: "iq1_s",
  20: "iq4_nl",
  21: "iq3_s",
  22: "iq2_s",
  23: "iq4_xs",
  24: "i8",
  25: "i16",
  26: "i32",
  27: "i64",
  28: "f64",
  29: "iq1_m",
  34: "tq1_0",
  35: "tq2_0",
  39: "mxfp4",
};

const byNumber = new Map(
  Object.entries(GGML_TYPES).map(([name, { number }]) => [number, name as GgmlType]),
);

/** The type behind a number, or undefined where it is not read. */
export function ggmlTypeOf(number: number): GgmlType | undefined {
  return byNumber.get(number);
}

/** What a number that is not read stands for, for errors: `type 18 (iq3_xxs)`. */
export function describeGgmlType(number: number): string {
  const name = ggmlTypeOf(number) ?? OTHER_TYPES[number];
  return `type ${number} (${name ?? "unknown to ggml"})`;
}

/**
 * The bytes of a tensor.
 *
 * @param shape outermost first; a row, its last size, must be whole blocks
 * @throws {RangeError} on a part of a block, or past 2^53
 *
 * @example
 * ```ts
 * import { ggmlBytes } from "@ortune/ortune/gguf";
 * import assert from "node:assert/strict";
 *
 * assert.equal(ggmlBytes("q8_0", [2, 64]), 4 * 34);
 * assert.throws(() => ggmlBytes("q4_k", [2, 64]), /rows of 64 numbers are no whole blocks of 256/);
 * ```
 */
export function ggmlBytes(type: GgmlType, shape: readonly number[]): number {
  const { block, bytes } = GGML_TYPES[type];
  const row = shape.at(-1) ?? 1;
  if (row % block !== 0) {
    throw new RangeError(
      `Cannot lay out a tensor [${shape.join(", ")}] as ${type}: rows of ${row} numbers are no ` +
        `whole blocks of ${block}`,
    );
  }
  const all = elementCount(shape) / block * bytes;
  if (Number.isSafeInteger(all)) return all;
  throw new RangeError(`Cannot lay out a tensor [${shape.join(", ")}]: it exceeds 2^53 − 1 bytes`);
}
