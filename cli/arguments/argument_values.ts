/** The arguments of a run as values of flags. In: arguments as run.json has them. Out: values by name. */

import { isRecord } from "../../internal/json/is_record.ts";
import type { LoraArguments } from "../../train/runs/training_arguments.ts";
import { loraFlags } from "./lora_flags.ts";

/** Arguments that say how a run began, not what it is. */
const BEGINNINGS: ReadonlySet<string> = new Set([
  ...["resumeFromCheckpoint", "overwriteOutputDir", "dryRun", "lora"],
]);

/** The values that make the same run again, an adapter's among them, in the order of the arguments. */
export function argumentValues(
  args: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const all = {
    ...args,
    ...isRecord(args.lora) ? loraFlags(args.lora as unknown as LoraArguments) : {},
  };
  return Object.fromEntries(
    Object.entries(all).filter(([name, value]) =>
      !BEGINNINGS.has(name) && value !== null && value !== undefined &&
      // Not to be given beside what takes its place, not even with its default.
      !(name === "gradientAccumulationSteps" && typeof args.tokensPerStep === "number")
    ),
  );
}
