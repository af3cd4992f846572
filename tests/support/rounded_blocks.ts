/** What a base in 8 or 4 bits makes of a row, by the definition: for tests of what is stored and read back. */

import { roundToBfloat16 } from "../../ort/tensor/half.ts";

/** A block's step, and how many of it each number is. */
export interface RoundedBlock {
  readonly step: number;
  readonly counts: readonly number[];
}

/**
 * The blocks of a row, of which the last may be a part. The number of the largest size is the lowest multiple of the
 * step, −8 or −128 of them, and 7 or 127 of them are the highest.
 */
export function roundedBlocks(
  row: Float32Array,
  { bits, block, dtype = "float32" }: {
    readonly bits: 4 | 8;
    readonly block: number;
    /** What steps are rounded to. @default "float32" */
    readonly dtype?: "float32" | "bfloat16";
  },
): RoundedBlock[] {
  const steps = 2 ** (bits - 1);
  return Array.from({ length: Math.ceil(row.length / block) }, (_, i) => {
    const part = row.subarray(i * block, (i + 1) * block);
    const largest = part.reduce((most, each) => Math.abs(each) > Math.abs(most) ? each : most, 0);
    const step = (dtype === "float32" ? Math.fround : roundToBfloat16)(largest / -steps);
    const counts = Array.from(
      part,
      // A count is no negative 0.
      (each) => step === 0 ? 0 : Math.min(steps - 1, Math.round(each / step)) + 0,
    );
    return { step, counts };
  });
}

/** The numbers that they stand for, in float32. */
export function roundedRow(
  row: Float32Array,
  how: Parameters<typeof roundedBlocks>[1],
): number[] {
  return roundedBlocks(row, how)
    .flatMap(({ step, counts }) => counts.map((count) => Math.fround(step * count)));
}
