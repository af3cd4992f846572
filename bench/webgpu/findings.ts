/** What `bench/webgpu.ts` found: its JSON line, which adds seconds in all and what ended it early. */

import type { HostCost } from "./host_cost.ts";
import type { Repeated } from "./measure_model.ts";
import type { NumbersResult } from "./numbers.ts";
import type { Overhead } from "./overhead.ts";
import type { ProductRate } from "./products.ts";

/** The time that queueing takes of an update of Qwen3-0.6B, calculated. */
export interface CalculatedOverhead extends Overhead {
  readonly tokens: number;
  readonly dispatches: number;
  readonly runs: number;
  readonly flops: number;
  readonly flopsPerSecond: number;
}

/** All of it; what is missing was not measured. */
export interface Findings {
  readonly date: string;
  readonly onnxruntime: string;
  readonly threads: number;
  driver?: string;
  /** Whether the driver computes on the processor. */
  software?: boolean;
  /** Whether graphs can tell NaN and infinities there. */
  tellsNonFinite?: boolean;
  numbers?: readonly NumbersResult[];
  products?: readonly ProductRate[];
  hostCost?: HostCost;
  /** Calls of a model of Qwen3-0.6B's layers, with other sizes. */
  counted?: readonly Repeated[];
  calculated?: CalculatedOverhead;
  /** Updates and tokens, as far as there was time. */
  readonly measured: Repeated[];
  /** What was left out, and why. */
  readonly skipped: string[];
}
