/** A message as people read it. In: a message. Out: what it says, with the tools that it calls. */

import { formatPythonJson, type PythonJson } from "../../internal/json/python_json.ts";
import type { Message } from "./message.ts";

/** The content, and below it each call as `name({"argument": 1})`. */
export function messageText({ content, tool_calls = [] }: Message): string {
  const calls = tool_calls.map(({ function: { name, arguments: made } }) =>
    // As a row's reader makes them; a program's own may be plain records.
    `${name}(${made instanceof Map ? formatPythonJson(made as PythonJson) : JSON.stringify(made)})`
  );
  return [content, ...calls].filter((text) => text !== "").join("\n");
}
