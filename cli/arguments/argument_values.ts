/** The arguments of a run as values of flags. In: arguments as run.json has them. Out: values by name. */

import { isRecord } from "../../internal/json/is_record.ts";
import type { LoraFlags } from "./lora_flags.ts";
import { objectText } from "./object_flags.ts";

/** Arguments that say how a run began, not what it is. */
const BEGINNINGS: ReadonlySet<string> = new Set([
  ...["resumeFromCheckpoint", "overwriteOutputDir", "dryRun", "lora"],
]);

/** The values that make the same run again, in the order of the arguments, an adapter's after them. */
export function argumentValues(
  args: Readonly<Record<string, unknown>>,
  lora: Partial<LoraFlags> = {},
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries({ ...args, ...lora }).filter(([name, value]) =>
      !BEGINNINGS.has(name) && value !== null && value !== undefined &&
      // Not to be given beside what takes its place, not even with its default.
      !(name === "gradientAccumulationSteps" && typeof args.tokensPerStep === "number")
    ).map(([name, value]) => [name, isRecord(value) ? objectText(name, value) ?? value : value]),
  );
}
