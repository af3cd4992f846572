/** The command that goes on with a run. In: its task, its flags and its checkpoint. Out: one line. */

import { shellCommand } from "./shell_command.ts";

/** Flags that say how the run began. */
const BEGINNING = /^--(?:overwrite|resume)[-_](?:output[-_]dir|from[-_]checkpoint)(=|$)/;

/** The same flags, but for how the run began. */
export function resumeCommand(
  task: string,
  flags: readonly string[],
  checkpoint: string,
): string {
  const kept = flags.filter((flag, at) => {
    if (BEGINNING.test(flag)) return false;
    // A value of one, which has a place of its own.
    return flag.startsWith("-") || BEGINNING.exec(flags[at - 1] ?? "")?.[1] !== "";
  });
  return shellCommand(task, [...kept, "--resume-from-checkpoint", checkpoint]);
}
