/** A parity report as a line for the terminal. In: the report. Out: its figures in words. */

import type { ParityReport } from "../../infer/export/parity.ts";

/** A report as a line. */
export function describeParity(
  { maxAbsolute, meanAbsolute, positions, greedy, perplexity }: ParityReport,
): string {
  const same = greedy.same.filter((tokens) => tokens === greedy.tokens).length;
  return [
    `logits differ by at most ${maxAbsolute.toExponential(1)}, ${
      meanAbsolute.toExponential(1)
    } on ` +
    "average",
    `the likeliest token is the same at ${positions.same} of ${positions.all} positions`,
    `${greedy.tokens} greedy tokens are the same after ${same} of ${greedy.prompts} prompts` +
    (same === greedy.prompts ? "" : ` (${greedy.same.join(", ")})`),
    `perplexity ${perplexity.checkpoint.toFixed(4)} → ${perplexity.export.toFixed(4)}`,
  ].join("; ");
}
