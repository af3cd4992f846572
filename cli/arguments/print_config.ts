/** `--print-config`: what a run would be. In: arguments. Out: YAML that `--config` takes back. */

import { dump } from "js-yaml";
import type { TrainingArguments } from "../../train/runs/training_arguments.ts";
import { argumentValues } from "./argument_values.ts";
import { loraFlags } from "./lora_flags.ts";

/** A line a flag, by its name in snake_case. */
export function printConfig(args: TrainingArguments): string {
  const lora = args.lora && loraFlags(args.lora);
  const values = Object.entries(argumentValues({ ...args }, lora)).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value,
  ]);
  return dump(Object.fromEntries(values), { lineWidth: -1 });
}
