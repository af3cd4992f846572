/**
 * The arguments of a tool's call, as chat templates take them.
 *
 * In: an object, or its JSON as a text, as OpenAI's API sends it. Out: a JSON object with its keys in
 * their order, which every template writes as its JSON: some would write a text in quotes once more.
 */

import { isRecord } from "../../internal/json/is_record.ts";
import { parsePythonJson, type PythonJson } from "../../internal/json/python_json.ts";

/** Parses them; `undefined` where they are no JSON object. */
export function parseToolArguments(value: unknown): PythonJson | undefined {
  try {
    const text = isRecord(value) ? JSON.stringify(value) : value === "" ? "{}" : value;
    if (typeof text === "string" && text.trimStart().startsWith("{")) return parsePythonJson(text);
  } catch {
    // No JSON, or nested too deeply to be written.
  }
  return undefined;
}
