/**
 * The columns that all rows of a dataset together have.
 *
 * In: rows. Out: each row with every column, in the order in which the columns first came, `null`
 * where it has none; so too for objects within. This is what the Python package datasets makes of
 * JSON Lines.
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

/** Adds the columns of a value to a schema. */
export function extendSchema(schema: DatasetSchema, value: PythonJson): void {
  if (Array.isArray(value)) {
    schema.items ??= emptySchema();
    for (const item of value) extendSchema(schema.items, item);
  } else if (value instanceof Map) {
    for (const [name, item] of value) {
      let column = schema.columns.get(name);
      if (column === undefined) schema.columns.set(name, column = emptySchema());
      extendSchema(column, item);
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
    row.set(name, applySchema(column, value.get(name) ?? null));
  }
  return row;
}
