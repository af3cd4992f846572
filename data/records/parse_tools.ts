/**
 * The tools that a row's assistant may call.
 *
 * In: the column `tools`: a list, or its JSON as a text, as LLaMA-Factory has it. Out: Tool[] as
 * chat templates take them.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { parsePythonJson, type PythonJson, toPlainJson } from "../../internal/json/python_json.ts";
import { toPythonJson } from "../../internal/json/to_python_json.ts";
import type { Tool } from "../text/message.ts";
import { parseText, saysNothing } from "./field_values.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";

/** Most tools of one row: their text stands in every prompt. */
const MAX_TOOLS = 1024;

/**
 * Parses them; a bare function becomes `{type: "function", function}`.
 *
 * @param place the column's name, for errors
 */
export function parseTools(
  value: unknown,
  where: RowLocation,
  place: string,
): readonly Tool[] | undefined {
  const fail = (field: string, problem: string): never => {
    throw new JsonlError({ ...where, field }, problem);
  };
  const assertName = (named: ReadonlyMap<string, PythonJson>, at: string): void => {
    const name = named.get("name");
    parseText(name && toPlainJson(name), where, `${at}.name`);
  };
  if (saysNothing(value)) return undefined;
  const tools = readJson(value);
  if (!Array.isArray(tools)) {
    return fail(
      place,
      `expected an array of tools, or its JSON, got ${describeValue(value)}`,
    );
  }
  if (tools.length > MAX_TOOLS) {
    fail(place, `expected up to ${MAX_TOOLS} tools, got ${tools.length}`);
  }
  const made = tools.map((tool, index): Tool => {
    const at = `${place}[${index}]`;
    if (!(tool instanceof Map)) {
      return fail(at, `expected a tool, got ${describeValue(toPlainJson(tool))}`);
    }
    const nested = tool.get("function") ?? undefined;
    const type = tool.get("type") ?? "function";
    if (type !== "function" && (nested !== undefined || !tool.has("name"))) {
      fail(
        `${at}.type`,
        `expected function, got ${describeValue(toPlainJson(type))}; only functions are called`,
      );
    }
    if (nested === undefined) {
      assertName(tool, at);
      return new Map<string, PythonJson>([["type", "function"], ["function", tool]]);
    }
    if (!(nested instanceof Map)) {
      return fail(
        `${at}.function`,
        `expected an object, got ${describeValue(toPlainJson(nested))}`,
      );
    }
    assertName(nested, `${at}.function`);
    return tool;
  });
  return made.length === 0 ? undefined : made;
}

/** A value of JSON, or of its text; `undefined` where it is neither. */
function readJson(value: unknown): PythonJson | undefined {
  try {
    return typeof value === "string" ? parsePythonJson(value) : toPythonJson(value);
  } catch {
    // No JSON, or nested too deeply to be written.
    return undefined;
  }
}
