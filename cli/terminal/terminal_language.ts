/**
 * The terminal's language. In: LC_ALL, LC_MESSAGES and LANG, as far as they may be read. Out: Chinese where
 * the first of them that is set says so, else English.
 */

import type { TerminalLanguage } from "../../train/track/console_words.ts";
import { readableVariables } from "./readable_variables.ts";

/** In the order in which POSIX has them win over each other. */
const VARIABLES = ["LC_ALL", "LC_MESSAGES", "LANG"];

/** @param environment values of these variables; @default those that may be read */
export function terminalLanguage(
  environment: Readonly<Record<string, string | undefined>> = readableVariables(VARIABLES),
): TerminalLanguage {
  const set = VARIABLES.map((name) => environment[name]).find(Boolean) ?? "";
  return /^zh(?![a-z])/i.test(set) ? "zh" : "en";
}
