/** Training flags parsed in the process of the test. In: flags. Out: arguments, or commander's error. */

import { Command } from "commander";
import { addTrainingFlags, type TrainingFlags } from "../../cli/arguments/training_flags.ts";

/** Parses as deno task train does. */
export function parse(...flags: string[]): TrainingFlags {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addTrainingFlags(command);
  return command.parse(flags, { from: "user" }).opts();
}
