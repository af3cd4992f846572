/**
 * What a model says while it is trained, as a JSON Lines file.
 *
 * In: samples by step. Out: one line for each: step, question, think (if any) and answer: what the
 * dashboard shows beside the curves.
 *
 * @module
 */

import { appendFile } from "node:fs/promises";
import type { TrainEvent } from "../events.ts";
import { createInOrder } from "./in_order.ts";
import type { Sample } from "./sample.ts";
import { keepUntil, setAside } from "./step_lines.ts";
import type { Tracker } from "./tracker.ts";

/**
 * Makes a tracker that appends samples to a file. A run that starts anew moves a file of an earlier
 * run to `<path>.previous`; one that resumes keeps the samples up to the step it resumes after.
 *
 * Needs `--allow-read` and `--allow-write` for the file's folder.
 *
 * @param path the file, such as `output/run/samples.jsonl`; its folder must exist.
 *
 * @example
 * ```ts
 * import { createSamplesLog } from "@ortune/ortune/track";
 * import assert from "node:assert/strict";
 * import { mkdtemp, readFile, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * {
 *   await using log = createSamplesLog(`${folder}/samples.jsonl`);
 *   await log.samples(5, [{ question: "1+1?", think: "Add.", answer: "2" }]);
 * }
 * assert.equal(
 *   await readFile(`${folder}/samples.jsonl`, "utf8"),
 *   '{"step":5,"question":"1+1?","think":"Add.","answer":"2"}\n',
 * );
 * await rm(folder, { recursive: true });
 * ```
 */
export function createSamplesLog(path: string): Tracker & Required<Pick<Tracker, "samples">> {
  const inOrder = createInOrder();
  return {
    event: (event: TrainEvent): Promise<void> =>
      inOrder(async () => {
        if (event.type !== "start") return;
        await (event.resumedStep > 0 ? keepUntil(path, event.resumedStep) : setAside(path));
      }),
    samples: (step: number, samples: readonly Sample[]): Promise<void> =>
      inOrder(async () => {
        const lines = samples.map(({ question, think, answer }) =>
          `${JSON.stringify({ step, question, think, answer })}\n`
        );
        await appendFile(path, lines.join(""));
      }),
    [Symbol.asyncDispose]: (): Promise<void> => inOrder(() => Promise.resolve()),
  };
}
