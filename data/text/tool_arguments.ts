/**
 * The arguments of a tool's call, as chat templates take them.
 *
 * In: an object, or its JSON as a text, as OpenAI's API sends it. Out: a JSON object with its keys in
 * their order, which every template writes as its JSON: some would write a text in quotes once more.
 */

import { parsePythonJson, type PythonJson } from "../../internal/json/python_json.ts";
import { toPythonJson } from "../../internal/json/to_python_json.ts";

/** Parses them; `undefined` where they are no JSON object. */
export function parseToolArguments(value: unknown): PythonJson | undefined {
  try {
    const made = typeof value === "string"
      ? parsePythonJson(value === "" ? "{}" : value)
      : toPythonJson(value);
    return made instanceof Map ? made : undefined;
  } catch {
    // No JSON, or nested too deeply to be written.
    return undefined;
  }
}
