/** What the commands of training add to the reading of flags: files of flags, and other trainers' names. */

import type { Command } from "commander";
import { expandConfig } from "./config_file.ts";
import { explainName } from "./unknown_name.ts";

/** Hooks of a command's definition. */
export const CONFIGURABLE = {
  expand: expandConfig,
  explain: (flag: string, command: Command): string | undefined =>
    explainName(flag, command, (name) => `--${name}`),
} as const;
