/** Flags that say how a token is chosen. In: a command. Out: the command with the flags, the model's own settings their defaults. */

import type { Command } from "commander";
import { countOrZero, positive, probability, share } from "./flag_values.ts";

/** Adds `--temperature`, `--top-p`, `--top-k`, `--min-p` and `--repetition-penalty`. */
export function addSamplingFlags(command: Command): Command {
  return command
    .option(
      "--temperature <x>",
      "flattens or sharpens the choice (default: the model's generation_config.json)",
      positive,
    )
    .option(
      "--top-p <x>",
      "choose among the likeliest tokens up to this share (default: the model's)",
      probability,
    )
    .option(
      "--top-k <n>",
      "choose among this many likeliest tokens; 0 for no limit (default: the model's)",
      countOrZero,
    )
    .option(
      "--min-p <x>",
      "choose among tokens with this share of the likeliest one's probability; 0 for no limit " +
        "(default: the model's)",
      share,
    )
    .option(
      "--repetition-penalty <x>",
      "above 1 makes what was said less likely (default: the model's)",
      positive,
    );
}
