/**
 * The figures of a run, read back from its metrics log.
 *
 * In: the path of a file that a metrics log wrote. Out: its log, evaluate and skip events, in file
 * order: what charts and reports of a resumed run need, whose earlier steps no process remembers.
 *
 * @module
 */

import { readFile, stat } from "node:fs/promises";
import { metricNames } from "../../infer/evaluate/metrics.ts";
import type { EvaluateEvent, LogEvent, SkipEvent } from "../events.ts";
import { PAIR_FIGURES } from "../pair_objective.ts";
import type { Figures } from "../trainer.ts";

/** What evaluations may tell besides losses. */
const EVALUATION_FIGURES = [...PAIR_FIGURES, ...metricNames];

/** The bound of the writer: a file beyond would not fit one string. */
const MAX_BYTES = 256 * 1024 * 1024;

/**
 * Reads a metrics log. A last line cut short by a crash is left out.
 *
 * Needs `--allow-read` for the path.
 *
 * @example
 * ```ts
 * import { createMetricsLog } from "@ortune/ortune";
 * import { readMetricsLog } from "@ortune/ortune/track";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const path = `${folder}/metrics.jsonl`;
 * const event = { type: "skip", step: 3, loss: NaN, gradNorm: 1, consecutive: 1 } as const;
 * {
 *   await using log = createMetricsLog(path);
 *   await log.event(event);
 * }
 * assert.deepEqual(await readMetricsLog(path), [event]);
 * await rm(folder, { recursive: true });
 * ```
 *
 * @throws {SyntaxError} if another line is not one that a metrics log writes.
 * @throws {RangeError} if the file is over 256 MiB.
 */
export async function readMetricsLog(
  path: string,
): Promise<(LogEvent | EvaluateEvent | SkipEvent)[]> {
  const { size } = await stat(path);
  if (size > MAX_BYTES) {
    throw new RangeError(`Cannot read ${path}: ${size} bytes exceed ${MAX_BYTES}; split the file`);
  }
  const lines = (await readFile(path, "utf8")).split("\n");
  // What follows the last line break is empty, or was cut short.
  lines.pop();
  return lines.flatMap((line, index) => line.trim() === "" ? [] : [parse(line, path, index + 1)]);
}

function parse(line: string, path: string, number: number): LogEvent | EvaluateEvent | SkipEvent {
  const fail = (state: string, cause?: unknown): SyntaxError =>
    new SyntaxError(
      `Cannot read ${path}:${number}: ${state}; remove the line, or give the file of a metrics log`,
      { cause },
    );
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw fail("expected a JSON object, got invalid JSON", cause);
  }
  if (typeof value !== "object" || value === null) throw fail("expected a JSON object");
  const fields = new Map<string, unknown>(Object.entries(value));
  const figure = (key: string): number => {
    const field = fields.get(key);
    if (typeof field === "number") return field;
    if (field === "NaN" || field === "Infinity" || field === "-Infinity") return Number(field);
    throw fail(`expected a number as ${key}, got ${field === undefined ? "none" : typeof field}`);
  };
  /** Figures by those names, where there are any. */
  const figures = (names: readonly string[], prefix = ""): { readonly figures?: Figures } => {
    const there = names.filter((name) => fields.has(`${prefix}${name}`));
    if (there.length === 0) return {};
    return {
      figures: Object.fromEntries(there.map((name) => [name, figure(`${prefix}${name}`)])),
    };
  };
  const step = figure("step");
  if (fields.has("eval_loss")) {
    return {
      type: "evaluate",
      step,
      epoch: figure("epoch"),
      evalLoss: figure("eval_loss"),
      evalTokenLoss: figure("eval_token_loss"),
      ...figures(EVALUATION_FIGURES, "eval_"),
      examples: figure("eval_samples"),
      // What earlier versions did not write is left out.
      ...(fields.has("eval_batches") && { batches: figure("eval_batches") }),
      supervisedTokens: figure("eval_supervised_tokens"),
      seconds: figure("eval_runtime"),
    };
  }
  const loss = figure("loss");
  const gradNorm = figure("grad_norm");
  if (fields.has("skipped_updates")) {
    return { type: "skip", step, loss, gradNorm, consecutive: figure("skipped_updates") };
  }
  return {
    type: "log",
    step,
    epoch: figure("epoch"),
    loss,
    ...figures(PAIR_FIGURES),
    gradNorm,
    learningRate: figure("learning_rate"),
    tokensPerSecond: figure("tokens_per_second"),
    ...(fields.has("memory_bytes") && { memoryBytes: figure("memory_bytes") }),
  };
}
