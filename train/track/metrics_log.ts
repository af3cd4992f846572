/**
 * The figures of a run as a JSON Lines file.
 *
 * In: the events of a run. Out: one line for each log, evaluate and skip event, under the names
 * that transformers' Trainer gives them in its log history.
 *
 * Numbers that JSON lacks are written as the strings "NaN", "Infinity" and "-Infinity", so that
 * every JSON parser reads the file.
 *
 * @module
 */

import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { TrainEvent } from "../events.ts";
import { createInOrder } from "./in_order.ts";
import { evaluationSpeed, withPrefix } from "./scalars.ts";
import { keepUntil, setAside } from "./step_lines.ts";
import type { Tracker } from "./tracker.ts";

/**
 * Makes a tracker that appends each figure to a file as soon as it is known.
 *
 * Nothing is touched before the first event. A run that starts anew moves a file of an earlier run
 * to `<path>.previous`; one that resumes keeps the lines up to the step it resumes after, and drops
 * later ones and a last line cut short, so that no step is there twice.
 *
 * Needs `--allow-read` and `--allow-write` for the file's folder.
 *
 * @param path the file; its folder must exist.
 * @throws {Error} from {@linkcode Tracker.event}, if the file cannot be written or is no file.
 *
 * @example
 * ```ts
 * import { createMetricsLog } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, readFile, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * {
 *   await using log = createMetricsLog(`${folder}/metrics.jsonl`);
 *   await log.event({ type: "skip", step: 3, loss: NaN, gradNorm: 1, consecutive: 1 });
 * }
 * assert.equal(
 *   await readFile(`${folder}/metrics.jsonl`, "utf8"),
 *   '{"step":3,"loss":"NaN","grad_norm":1,"skipped_updates":1}\n',
 * );
 * await rm(folder, { recursive: true });
 * ```
 */
export function createMetricsLog(path: string): Tracker {
  let handle: FileHandle | undefined;
  const inOrder = createInOrder();
  let closed = false;

  const append = async (event: TrainEvent): Promise<void> => {
    if (closed) {
      throw new Error(
        `Cannot log ${event.type} to ${path}: the log is closed; make a new tracker for a new run`,
      );
    }
    if (event.type === "start") {
      await handle?.close();
      handle = undefined;
      await (event.resumedStep > 0 ? keepUntil(path, event.resumedStep) : setAside(path));
    }
    const line = toLine(event);
    if (line === undefined) return;
    handle ??= await open(path, "a");
    // One write a line, without a buffer: what is logged can be read while the run goes on.
    await handle.appendFile(`${JSON.stringify(line)}\n`);
  };

  return {
    event: (event: TrainEvent): Promise<void> => inOrder(() => append(event)),
    [Symbol.asyncDispose]: (): Promise<void> =>
      inOrder(async () => {
        closed = true;
        await handle?.close();
        handle = undefined;
      }),
  };
}

type Line = Record<string, number | string>;

function toLine(event: TrainEvent): Line | undefined {
  switch (event.type) {
    case "log":
      return toJson({
        step: event.step,
        epoch: event.epoch,
        loss: event.loss,
        grad_norm: event.gradNorm,
        learning_rate: event.learningRate,
        tokens_per_second: event.tokensPerSecond,
        ...(event.memoryBytes !== undefined && { memory_bytes: event.memoryBytes }),
      });
    case "evaluate":
      return toJson({
        step: event.step,
        epoch: event.epoch,
        eval_loss: event.evalLoss,
        eval_token_loss: event.evalTokenLoss,
        ...withPrefix("eval_", event.metrics ?? {}),
        ...withPrefix("eval_", evaluationSpeed(event)),
        eval_samples: event.examples,
        ...(event.batches !== undefined && { eval_batches: event.batches }),
        eval_supervised_tokens: event.supervisedTokens,
      });
    case "skip":
      return toJson({
        step: event.step,
        loss: event.loss,
        grad_norm: event.gradNorm,
        skipped_updates: event.consecutive,
      });
    default:
      return undefined;
  }
}

function toJson(values: Record<string, number>): Line {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      Number.isFinite(value) ? value : String(value),
    ]),
  );
}
