/**
 * The terminal's language. In: LC_ALL, LC_MESSAGES and LANG, as far as they may be read. Out: Chinese where
 * the first of them that is set says so, else English.
 */

import type { TerminalLanguage } from "../../train/track/console_words.ts";

/** In the order in which POSIX has them win over each other. */
const VARIABLES = ["LC_ALL", "LC_MESSAGES", "LANG"];

/** @param read a variable's value; undefined where it is not set or may not be read */
export function terminalLanguage(
  read: (variable: string) => string | undefined = readVariable,
): TerminalLanguage {
  const set = VARIABLES.map(read).find((value) => value !== undefined && value !== "");
  return /^zh(?![a-z])/i.test(set ?? "") ? "zh" : "en";
}

function readVariable(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
