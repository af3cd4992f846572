import assert from "node:assert/strict";
import { formatPythonJson, type PythonJson } from "../../internal/json/python_json.ts";
import { parseRowJson } from "./parse_row_json.ts";

interface Row {
  readonly tools: unknown;
  readonly messages: { readonly tool_calls: { readonly arguments: unknown }[] }[];
}

Deno.test("parseRowJson() keeps numbers and keys of tools and arguments as they are written", () => {
  const written = '{"b": 21.0, "2": 1e-05, "1": 12345678901234567890}';
  const text =
    `{"score": 4.0, "tools": [{"x": ${written}}], "messages": [{"tool_calls": [{"arguments": ${written}}]}]}`;
  const row = parseRowJson(text) as Row & { readonly score: number };
  assert.equal(row.score, 4);
  assert.equal(formatPythonJson(row.tools as PythonJson), `[{"x": ${written}}]`);
  const [{ tool_calls: [call] }] = row.messages;
  assert.equal(formatPythonJson(call.arguments as PythonJson), written);
});

Deno.test("parseRowJson() gives what JSON.parse gives where nothing would change", () => {
  for (
    const text of [
      '{"question": "1.0", "weight": 1.0}',
      '{"tools": [{"name": "f", "n": 1}]}',
      '{"tools": "[1.0]", "arguments": null, "x": 2.50}',
      '{"tools": [1.5], "tools": [2]}',
      '[{"arguments": 1.0}]',
    ]
  ) {
    assert.deepEqual(parseRowJson(text), JSON.parse(text), text);
  }
  assert.throws(() => parseRowJson('{"tools"'), SyntaxError);
});
