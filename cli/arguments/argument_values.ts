/** The arguments of a run as values of flags. In: arguments as run.json has them. Out: values by name. */

import type { RowColumns } from "../../data/records/row_shapes.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { formatColumns } from "./columns_flag.ts";
import type { LoraFlags } from "./lora_flags.ts";

/** Arguments that say how a run began, not what it is. */
const BEGINNINGS: ReadonlySet<string> = new Set([
  ...["resumeFromCheckpoint", "overwriteOutputDir", "dryRun", "lora"],
]);

/** The values that make the same run again, in the order of the arguments, an adapter's after them. */
export function argumentValues(
  args: Readonly<Record<string, unknown>>,
  lora: Partial<LoraFlags> = {},
): Readonly<Record<string, unknown>> {
  const { columns } = args;
  const all = {
    ...args,
    // As the flag has it.
    ...isRecord(columns) ? { columns: formatColumns(columns as RowColumns) } : {},
    ...lora,
  };
  return Object.fromEntries(
    Object.entries(all).filter(([name, value]) =>
      !BEGINNINGS.has(name) && value !== null && value !== undefined &&
      // Not to be given beside what takes its place, not even with its default.
      !(name === "gradientAccumulationSteps" && typeof args.tokensPerStep === "number")
    ),
  );
}
