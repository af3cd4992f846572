/** Curves and a report of a finished run, beside its checkpoints. */

import type { TrainingArguments } from "./training_arguments.ts";
import type { TrainingRun } from "./training_run.ts";

export async function writeRunReport(
  _run: TrainingRun,
  _options: { args: TrainingArguments; say: (line: string) => void },
): Promise<void> {}
