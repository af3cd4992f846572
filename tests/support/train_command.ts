/** The train command in the process of the test. In: flags. Out: exit code and standard error. */

import { executeCommand } from "../../cli/process/run_command.ts";
import { CONFIGURABLE } from "../../cli/arguments/configurable.ts";
import { addTrainingFlags, type TrainingFlags } from "../../cli/arguments/training_flags.ts";
import { runTraining } from "../../train/runs/run_training.ts";
import { THREADS } from "./quickstart_folder.ts";

/** What a command came to. */
export interface CommandResult {
  readonly code: number;
  readonly stderr: string;
}

/** Flags of a short run over a quickstart folder. */
export function trainFlags(folder: string): string[] {
  return Object.entries({
    model: `${folder}/models/tiny`,
    "train-file": `${folder}/data/train.jsonl`,
    "output-dir": `${folder}/output`,
    "max-length": 512,
    "max-steps": 2,
    threads: THREADS,
  }).flatMap(([name, value]) => [`--${name}`, `${value}`]);
}

/** Runs all that `deno task train` runs, but for its progress bar and report. */
export async function trainCommand(args: readonly string[]): Promise<CommandResult> {
  let stderr = "";
  const code = await executeCommand<TrainingFlags>({
    name: "deno task train",
    description: "",
    flags: addTrainingFlags,
    ...CONFIGURABLE,
    run: async ({ options, signal }) => {
      await using _run = await runTraining(options, { signal });
    },
  }, { args, printError: (text) => stderr += text });
  return { code, stderr: stderr.trimEnd() };
}
