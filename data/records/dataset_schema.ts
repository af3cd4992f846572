/**
 * The columns that all rows of a dataset together have.
 *
 * In: rows. Out: each row with every column, in the order in which the columns first came, `null`
 * where it has none; so too for objects within, but for tools and the arguments of their calls. This is
 * what the Python package datasets makes of JSON Lines, but for these.
 */

import type { PythonJson } from "../../internal/json/python_json.ts";

/** Columns of the objects at one place, and what stands within arrays there. */
export interface DatasetSchema {
  readonly columns: Map<string, DatasetSchema>;
  items?: DatasetSchema;
}

/** A schema without columns. */
export function emptySchema(): DatasetSchema {
  return { columns: new Map() };
}

/**
 * Fields whose objects stay as they are: with every key of all rows a tool would be described by other
 * tools' parameters, and a call taught with arguments that it has not.
 */
const KEPT: ReadonlySet<string> = new Set(["tools", "functions", "arguments"]);

/** Adds the columns of a value to a schema. */
export function extendSchema(schema: DatasetSchema, value: PythonJson): void {
  if (Array.isArray(value)) {
    schema.items ??= emptySchema();
    for (const item of value) extendSchema(schema.items, item);
  } else if (value instanceof Map) {
    for (const [name, item] of value) {
      let column = schema.columns.get(name);
      if (column === undefined) schema.columns.set(name, column = emptySchema());
      if (!KEPT.has(name)) extendSchema(column, item);
    }
  }
}

/** The value with all columns of the schema. */
export function applySchema(schema: DatasetSchema, value: PythonJson): PythonJson {
  if (Array.isArray(value)) {
    const { items = emptySchema() } = schema;
    return value.map((item) => applySchema(items, item));
  }
  if (!(value instanceof Map)) return value;
  const row = new Map<string, PythonJson>();
  for (const [name, column] of schema.columns) {
    const item = value.get(name) ?? null;
    row.set(name, KEPT.has(name) ? item : applySchema(column, item));
  }
  return row;
}
