/**
 * A GGUF's metadata by key, checked.
 *
 * In: typed values. Out: plain ones, or an error that names the file, the key and the value.
 *
 * @module
 */

import type { GgufMetadata, GgufValue } from "../../gguf/mod.ts";

/** Reads keys; without a fallback a key must be there. */
export interface MetadataReader {
  /** Whether there is a key. */
  readonly has: (key: string) => boolean;
  readonly text: (key: string, fallback?: string) => string;
  /** A whole number from 0 on, or a list of equal ones, as of a model whose layers may differ. */
  readonly whole: (key: string, fallback?: number) => number;
  /** A number as it was meant: 1e-5, not the 9.99999974e-06 that float32 makes of it. */
  readonly real: (key: string, fallback?: number) => number;
  readonly flag: (key: string, fallback: boolean) => boolean;
  readonly texts: (key: string) => readonly string[];
  readonly numbers: (key: string) => ArrayLike<number>;
  /** Throws the error. */
  readonly fail: (key: string, problem: string) => never;
}

/**
 * Makes a reader.
 *
 * @param path the file's, for errors
 */
export function metadataReader(metadata: GgufMetadata, path: string): MetadataReader {
  const fail = (key: string, problem: string): never => {
    throw new RangeError(`Cannot import ${path}: ${key} ${problem}`);
  };
  const wrong = (key: string, value: GgufValue | undefined, expected: string): never =>
    fail(
      key,
      value === undefined
        ? `is missing, ${expected} expected; the file is no language model of llama.cpp, or an old one: ` +
          "convert the model again"
        : `is ${show(value)}, ${expected} expected`,
    );
  const number = (key: string, expected: string): number => {
    const value = metadata.get(key);
    if (value === undefined || value.type === "string" || value.type === "bool") {
      return wrong(key, value, expected);
    }
    if (value.type === "float32") return shortest(value.value);
    if (value.type !== "array") return Number(value.value);
    const values = numbersOf(value) ?? [];
    const first = values[0];
    return first !== undefined && Array.from(values).every((each) => each === first)
      ? first
      : fail(key, `is ${show(value)}: layers that differ in it are not supported`);
  };
  return {
    has: (key) => metadata.has(key),
    fail,
    text: (key, fallback) => {
      const value = metadata.get(key);
      if (value === undefined && fallback !== undefined) return fallback;
      return value?.type === "string" ? value.value : wrong(key, value, "a text");
    },
    whole: (key, fallback) => {
      if (fallback !== undefined && !metadata.has(key)) return fallback;
      const value = number(key, "a whole number");
      return Number.isSafeInteger(value) && value >= 0
        ? value
        : wrong(key, metadata.get(key), "a whole number");
    },
    real: (key, fallback) => {
      if (fallback !== undefined && !metadata.has(key)) return fallback;
      const value = number(key, "a number");
      return Number.isFinite(value) ? value : wrong(key, metadata.get(key), "a number");
    },
    flag: (key, fallback) => {
      const value = metadata.get(key);
      if (value === undefined) return fallback;
      return value.type === "bool" ? value.value : wrong(key, value, "true or false");
    },
    texts: (key) => {
      const value = metadata.get(key);
      return value?.type === "array" && value.of === "string"
        ? value.values
        : wrong(key, value, "a list of texts");
    },
    numbers: (key) => {
      const value = metadata.get(key);
      return numbersOf(value) ?? wrong(key, value, "a list of numbers");
    },
  };
}

/** The numbers of a list of them. */
function numbersOf(value: GgufValue | undefined): ArrayLike<number> | undefined {
  if (value?.type !== "array") return undefined;
  switch (value.of) {
    case "string":
    case "bool":
    case "uint64":
    case "int64":
      return undefined;
    default:
      return value.values;
  }
}

function show(value: GgufValue): string {
  if (value.type === "array") return `a list of ${value.values.length} of ${value.of}`;
  const text = typeof value.value === "string"
    ? JSON.stringify(value.value.slice(0, 120))
    : String(value.value);
  return `${text} (${value.type})`;
}

/** The shortest decimal that float32 rounds to the same number. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
