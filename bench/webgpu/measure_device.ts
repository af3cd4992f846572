/**
 * All that is measured of a device, in the order of its worth and risk. In: a runtime of the device, seconds.
 * Out: findings, filled one after the other.
 */

import { checkWebGpu } from "../../model/engine/check_webgpu.ts";
import { deviceName } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { Method } from "../gpu/entries.ts";
import type { TimeBudget } from "../gpu/time_budget.ts";
import { SHAPES } from "../gpu/workload.ts";
import { median } from "../measure.ts";
import { CallCounter } from "./call_counter.ts";
import type { Findings } from "./findings.ts";
import { measureHostCost } from "./host_cost.ts";
import { measureModel } from "./measure_model.ts";
import { chooseSize, type Means, type ModelSize, SIZES } from "./model_sizes.ts";
import { compareNumbers } from "./numbers.ts";
import { overheadOf } from "./overhead.ts";
import { measureProducts } from "./products.ts";
import { updateFlops } from "./update_flops.ts";

/** How to measure. */
export interface MeasureDeviceOptions {
  readonly runtime: Runtime;
  readonly budget: TimeBudget;
  /** Bytes of the device's memory that may be taken. */
  readonly memory: number;
  /** An empty folder for weights. */
  readonly folder: string;
  /** Called when something was found. */
  readonly onFound: (what: keyof Findings) => void;
}

/** Parts of the time: numbers, products, calls and their cost, models. */
const PARTS = [10, 9, 2, 9, 50];
/** Shares of a method's time: the device at the CPU's size, the CPU, the device at its own largest size. */
const PASSES = { common: 0.2, host: 0.3, alone: 0.5 };
const METHODS: readonly Method[] = ["full", "lora"];
// An assumed GPU's rate of products in float32, with which the host's time is compared.
const ASSUMED_FLOPS = 4e12;
const FULL_SIZE: ModelSize = { name: "Qwen3-0.6B", shape: SHAPES["0.6B"], rows: 4, length: 512 };
/** Chunks of an update's supervised tokens that the head takes, as of 2,048 in chunks of 256 or 128. */
const HEAD_CHUNKS: Readonly<Record<Method, number>> = { full: 8, lora: 16 };
/**
 * As many layers as Qwen3-0.6B, and few tokens in as many chunks of the head: calls depend on neither other
 * sizes nor tokens, but that the optimizer takes small tensors together. These matrices are large ones.
 */
const COUNTED: ModelSize = {
  name: "as many layers, small",
  shape: {
    ...FULL_SIZE.shape,
    ...{ vocab_size: 256, hidden_size: 256, intermediate_size: 256 },
    ...{ num_attention_heads: 2, num_key_value_heads: 2 },
  },
  rows: 2,
  length: 33,
};

/** Measures until it is done, or the first thing fails: after an error a device's numbers mean nothing. */
export async function measureDevice(
  options: MeasureDeviceOptions,
  findings: Findings,
): Promise<void> {
  const { runtime, budget, onFound } = options;
  const counter = new CallCounter(runtime);
  Object.assign(findings, checkWebGpu(runtime));
  onFound("driver");
  findings.numbers = compareNumbers(runtime, budget.part(PARTS));
  onFound("numbers");
  findings.products = measureProducts(runtime, budget.part(PARTS.slice(1)));
  onFound("products");
  findings.hostCost = measureHostCost(runtime);
  onFound("hostCost");
  await countCalls(options, counter, findings);
  try {
    await measureModels(options, counter, findings);
  } finally {
    onFound("measured");
  }
}

/** Calls of a model of all layers, and what they would cost at full size. */
async function countCalls(
  { runtime, budget, folder, onFound }: MeasureDeviceOptions,
  counter: CallCounter,
  findings: Findings,
): Promise<void> {
  const counted = [];
  const supervised = COUNTED.rows * (COUNTED.length - 1);
  for (const [i, method] of METHODS.entries()) {
    const began = performance.now();
    counted.push(
      ...await measureModel({
        ...{ runtime, counter, size: COUNTED, method, folder, decode: method === "full" },
        headChunk: supervised / HEAD_CHUNKS[method],
        // Enough for a second one, which is as all later ones.
        ...{ least: 2, budget: budget.part([0, 1]) },
      }),
    );
    if (i + 1 < METHODS.length && budget.left() < 2 * (performance.now() - began) / 1000) {
      findings.skipped.push(`calls of ${METHODS.slice(i + 1).join()}: the first took too long`);
      break;
    }
  }
  findings.counted = counted;
  onFound("counted");
  const { calls: { dispatches, runs } } = counted[0];
  const { rows, length } = FULL_SIZE;
  const flops = updateFlops(FULL_SIZE, "full");
  const given = { dispatches, runs, flops, flopsPerSecond: ASSUMED_FLOPS };
  findings.calculated = {
    ...given,
    tokens: rows * length,
    ...overheadOf({ ...given, ...findings.hostCost! }),
  };
  onFound("calculated");
}

/** Updates and tokens: on both at the largest size that both can do, and on the device at its own largest. */
async function measureModels(
  { runtime, budget, folder, memory }: MeasureDeviceOptions,
  counter: CallCounter,
  { products, hostCost, measured, skipped }: Findings,
): Promise<void> {
  using host = new Runtime({ threads: runtime.threads });
  const hostCounter = new CallCounter(host);
  const means = (device: Runtime, bytes: number, seconds: number): Means => {
    const rates = products!.filter((each) => each.device === deviceName(device.device));
    const flopsPerSecond = median(rates.map((each) => each.flopsPerSecond));
    return { flopsPerSecond, bytesPerSecond: hostCost!.uploadRate, bytes, seconds };
  };
  const hostBytes = Deno.systemMemoryInfo().available * 0.7;
  for (const [i, method] of METHODS.entries()) {
    const part = budget.part(METHODS.slice(i).map(() => 1));
    const [most, mostOfHost] = [PASSES.alone, PASSES.host].map((share) => part.left() * share);
    const largest = chooseSize(SIZES, method, means(runtime, memory, most));
    const forHost = chooseSize(SIZES, method, means(host, hostBytes, mostOfHost));
    if (!largest || !forHost) {
      skipped.push(`${method}: no time for the smallest of the models`);
      continue;
    }
    const common = SIZES[Math.max(...[largest, forHost].map((size) => SIZES.indexOf(size)))];
    const runs = [
      { on: runtime, counts: counter, size: common, share: PASSES.common },
      { on: host, counts: hostCounter, size: common, share: PASSES.host },
      ...largest === common
        ? []
        : [{ on: runtime, counts: counter, size: largest, share: PASSES.alone }],
    ];
    for (const [k, { on, counts, size }] of runs.entries()) {
      measured.push(
        ...await measureModel({
          ...{ runtime: on, counter: counts, size, method, folder, decode: method === "full" },
          budget: part.part(runs.slice(k).map(({ share }) => share)),
        }),
      );
    }
  }
}
