/**
 * Reads single fields of a config.json.
 *
 * In: the parsed file and its path. Out: functions that check a field's type and range, with errors
 * that name the file, the field and the value. A field that is null counts as missing.
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";

// A bound on sizes: above any published model of these families, and small enough that products stay
// safe integers.
const LIMIT = 2 ** 24;

/** The fields of one config.json. */
export interface ConfigReader {
  /** The whole file. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** What {@linkcode ConfigReader.note} was given so far, the path in front. */
  readonly notes: readonly string[];
  /** Throws a RangeError `Cannot read <path>: <field> <state>`. */
  readonly fail: (field: string, state: string) => never;
  /** Keeps a warning. */
  readonly note: (message: string) => void;
  /** A whole number from 1 to `limit`, by default 2²⁴. */
  readonly integer: (field: string, fallback?: number, limit?: number) => number;
  /** A finite number above 0. */
  readonly positive: (field: string, fallback: number) => number;
  /** true or false. */
  readonly flag: (field: string, fallback: boolean) => boolean;
}

/** @throws {RangeError} where the file is no JSON object */
export function configReader(json: unknown, path: string): ConfigReader {
  const fail = (field: string, state: string): never => {
    throw new RangeError(`Cannot read ${path}: ${field} ${state}`);
  };
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new RangeError(`Cannot read ${path}: expected a JSON object`);
  }
  const raw = json as Readonly<Record<string, unknown>>;
  const notes: string[] = [];
  return {
    raw,
    notes,
    fail,
    note: (message) => {
      notes.push(`${path}: ${message}`);
    },
    integer: (field, fallback, limit = LIMIT) => {
      const value = raw[field] ?? fallback;
      if (Number.isSafeInteger(value) && value as number >= 1 && value as number <= limit) {
        return value as number;
      }
      return fail(
        field,
        `must be a whole number from 1 to ${limit}, got ${showValue(raw[field])}`,
      );
    },
    positive: (field, fallback) => {
      const value = raw[field] ?? fallback;
      return typeof value === "number" && value > 0 && Number.isFinite(value)
        ? value
        : fail(field, `must be a number above 0, got ${showValue(value)}`);
    },
    flag: (field, fallback) => {
      const value = raw[field] ?? fallback;
      return typeof value === "boolean"
        ? value
        : fail(field, `must be true or false, got ${showValue(value)}`);
    },
  };
}
