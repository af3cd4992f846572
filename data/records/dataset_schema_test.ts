import assert from "node:assert/strict";
import { formatPythonJson, parsePythonJson } from "../../internal/json/python_json.ts";
import { applySchema, emptySchema, extendSchema } from "./dataset_schema.ts";

/** Values with all columns of the schema that they make. */
function together(...texts: readonly string[]): string[] {
  const schema = emptySchema();
  assert.deepEqual(schema, { columns: new Map() });
  const values = texts.map(parsePythonJson);
  for (const value of values) extendSchema(schema, value);
  return values.map((value) => formatPythonJson(applySchema(schema, value)));
}

Deno.test("each row has the columns of all, in the order in which they first came", () => {
  assert.deepEqual(together('{"b": 1}', '{"a": 2, "b": null}', "{}"), [
    '{"b": 1, "a": null}',
    '{"b": null, "a": 2}',
    '{"b": null, "a": null}',
  ]);
  assert.deepEqual(
    together('{"a": {"x": 1}}', '{"a": {"y": [{"z": 1}, {"w": 2}]}}', '{"a": "t"}'),
    [
      '{"a": {"x": 1, "y": null}}',
      '{"a": {"x": null, "y": [{"z": 1, "w": null}, {"z": null, "w": 2}]}}',
      '{"a": "t"}',
    ],
  );
  // Arrays within arrays, and one where no other row has any.
  assert.deepEqual(together('{"a": [[{"x": 1}], []]}', '{"a": [[{"y": 2}], 3]}'), [
    '{"a": [[{"x": 1, "y": null}], []]}',
    '{"a": [[{"x": null, "y": 2}], 3]}',
  ]);
  assert.deepEqual(together("[]", "1", '"a"', "null", "true"), ["[]", "1", '"a"', "null", "true"]);
});

Deno.test("tools, functions and arguments stay as each row has them", () => {
  for (const name of ["tools", "functions", "arguments"]) {
    assert.deepEqual(together(`{"${name}": [{"a": 1}]}`, `{"${name}": {"b": 1}}`, '{"c": 1}'), [
      `{"${name}": [{"a": 1}], "c": null}`,
      `{"${name}": {"b": 1}, "c": null}`,
      `{"${name}": null, "c": 1}`,
    ]);
  }
});

Deno.test("a value that no row of the schema had keeps nothing of its own", () => {
  const schema = emptySchema();
  extendSchema(schema, parsePythonJson('{"a": 1}'));
  const apply = (text: string): string =>
    formatPythonJson(applySchema(schema, parsePythonJson(text)));
  assert.equal(apply('{"a": [{"b": 1}], "c": 2}'), '{"a": [{}]}');
});
