/** The name of a tool. In: a tool as OpenAI's `tools` describes it. Out: its function's name. */

import type { Tool } from "./message.ts";

/** `undefined` where a program's own description has none. */
export function toolName(tool: Tool): string | undefined {
  const described = tool instanceof Map ? tool.get("function") : undefined;
  const name = described instanceof Map ? described.get("name") : undefined;
  return typeof name === "string" ? name : undefined;
}
