import assert from "node:assert/strict";
import { parsePythonJson } from "../../internal/json/python_json.ts";
import type { Tool } from "./message.ts";
import { toolName } from "./tool_name.ts";

Deno.test("toolName() is the name of a tool's function, where it has one", () => {
  const tool = (json: string): Tool => parsePythonJson(json) as Tool;
  assert.equal(toolName(tool('{"function": {"name": "find"}}')), "find");
  for (
    const json of ["{}", '{"function": 1}', '{"function": {}}', '{"function": {"name": 1}}', "[]"]
  ) {
    assert.equal(toolName(tool(json)), undefined, json);
  }
});
