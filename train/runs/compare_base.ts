/**
 * What a base in 8 or 4 bits costs before anything is trained: its loss beside that of the float32 weights.
 *
 * In: an opened run, and its trainer once it is there. Out: a line. The float32 weights are loaded, evaluated and
 * released before the trainer is made, so the two are never there together.
 */

import { collate } from "../../data/batches/collator.ts";
import { BASE_STORAGES } from "../../model/base_storage.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { type TokenLosses, TrainingEngine } from "../../model/engine/training_engine.ts";
import { formatBytes } from "../track/format_units.ts";
import type { Trainer } from "../trainer.ts";
import { computePrecision } from "../training_precision.ts";
import { checkMemory, type MemoryCheckOptions } from "./memory.ts";
import type { OpenedRun } from "./open_run.ts";
import type { TrainingData } from "./training_data.ts";

/** Rows whose losses are compared. */
const ROWS = 8;

/** What is compared on what. */
export interface BaseComparison {
  /** The mean loss of a supervised token on the float32 weights; undefined where there was no memory for it. */
  readonly exact: number | undefined;
  /** Seconds that it took, or why it is not there. */
  readonly remark: string;
}

/**
 * Computes the loss on the float32 weights, where they fit into what is free; undefined where there is nothing
 * to compare, as the base is not in 8 or 4 bits or an adapter is trained on.
 */
export async function floatBaseLoss(
  opened: OpenedRun,
  data: Pick<TrainingData, "train">,
  { signal, ...options }: MemoryCheckOptions & { readonly signal?: AbortSignal } = {},
): Promise<BaseComparison | undefined> {
  const { args, config, storage, padId } = opened;
  if (!storage.quantization || args.lora?.initAdapter !== undefined) return undefined;
  const plan = checkMemory({ ...opened, storage: BASE_STORAGES.fp32 }, data, options);
  if (plan.tooMuch || plan.available === undefined) {
    const free = plan.available === undefined ? "unknown" : formatBytes(plan.available);
    const remark = `not compared with float32's, whose weights take ${
      formatBytes(plan.needed.weights)
    } and what is free is ${free}`;
    return { exact: undefined, remark };
  }
  const began = performance.now();
  const runtime = opened.runtime();
  const { weights } = await loadModel(runtime, args.model, {
    precision: computePrecision(opened.precision),
    signal,
  });
  using owned = new DisposableStack();
  owned.use(weights);
  const engine = owned.use(new TrainingEngine(runtime, config, weights));
  const exact = await meanLoss(data, padId, (batch) => engine.evaluate(batch, signal));
  return { exact, remark: `${((performance.now() - began) / 1000).toFixed(1)} s` };
}

/** One line of both losses; the trainer's adapter is new, and so changes nothing yet. */
export async function describeBaseLoss(
  { exact, remark }: BaseComparison,
  trainer: Trainer,
  { storage, precision, padId }: Pick<OpenedRun, "storage" | "precision" | "padId">,
  data: Pick<TrainingData, "train">,
  signal?: AbortSignal,
): Promise<string> {
  const loss = await meanLoss(data, padId, (batch) => trainer.evaluate(batch, signal));
  const rows = Math.min(ROWS, data.train.length);
  const own = `base: loss of ${rows} rows before training ${loss.toFixed(4)} in ${storage.name}`;
  if (exact === undefined) return `${own}, ${remark}`;
  const change = 100 * (loss / exact - 1);
  return `${own}, ${exact.toFixed(4)} in ${computePrecision(precision)} (${change < 0 ? "" : "+"}${
    change.toFixed(2)
  } %), which took ${remark} to find out`;
}

async function meanLoss(
  { train }: Pick<TrainingData, "train">,
  padId: number,
  evaluate: (batch: ReturnType<typeof collate>) => Promise<TokenLosses>,
): Promise<number> {
  let [sum, count] = [0, 0];
  for (let i = 0; i < Math.min(ROWS, train.length); i++) {
    const { losses } = await evaluate(collate([train.at(i)], { padId }));
    for (const loss of losses) sum += loss;
    count += losses.length;
  }
  return sum / count;
}
