/**
 * AdamW as rows of the table of optimizers: with what a precision keeps, in bfloat16 alone, and with
 * moments in 8 bits.
 */

import type { Gpu } from "../../ort/kernels/gpu.ts";
import type { Optimizer } from "../optimizer.ts";
import { AdamW } from "./adamw.ts";
import { ADAMW_STATE, type AdamWOptions, adamWRule } from "./adamw_graph.ts";
import { DeviceOptimizer } from "./device_optimizer.ts";
import { HostOptimizer } from "./host_optimizer.ts";
import { KernelUpdate, loadAdamWKernels } from "./kernel_update.ts";
import type {
  MakeOptimizer,
  OptimizerDescription,
  OptimizerOptions,
} from "./optimizer_description.ts";
import { ruleOptimizer } from "./rule_optimizer.ts";
import { ShardedState } from "./sharded_state.ts";
import { ShardedUpdate } from "./sharded_update.ts";
import type { StateFormat } from "./state_format.ts";

const STATE = Object.values(ADAMW_STATE);

function make(options: OptimizerOptions): Optimizer {
  const { runtime, parameters, gradients, format, maxGradNorm, constants, graphsOnly } = options;
  const { comm, shard = false, rates } = options;
  // A format that cannot be is refused before anything is allocated.
  if (format === "bfloat16-8bit") {
    throw new Error(
      "Cannot keep 8-bit moments without ortune's CUDA kernels, which need an NVIDIA GPU, its driver " +
        "and NVRTC; take another optimizer, such as adamw_bf16",
    );
  }
  if (graphsOnly) return ruleOptimizer(adamWRule(constants), options);
  if (!comm || !shard) {
    const update = new AdamW(runtime, parameters, gradients, constants, undefined, rates);
    return new HostOptimizer(update, maxGradNorm, comm);
  }
  const state = new ShardedState(runtime, parameters.layout, { names: STATE, comm });
  const update = new AdamW(runtime, parameters, gradients, constants, state, rates);
  const sharded = new ShardedUpdate({ comm, parameters, state, update });
  return new HostOptimizer(sharded, maxGradNorm, comm);
}

async function withKernels(
  gpu: Gpu,
  format: StateFormat,
  constants?: AdamWOptions,
): Promise<MakeOptimizer> {
  const kernels = await loadAdamWKernels(gpu, format, constants);
  return (options) =>
    // The kernel has one rate.
    options.graphsOnly && !options.rates
      ? new DeviceOptimizer({
        ...options,
        state: STATE,
        makeUpdate: (made) => new KernelUpdate(kernels, made),
      })
      : make(options);
}

/** torch's AdamW, with what the precision says. */
export const adamW: OptimizerDescription = {
  title: "AdamW",
  state: STATE,
  several: true,
  sharded: true,
  make,
  withKernels,
};

/** In bfloat16 alone, 8 bytes a parameter with the model's own. */
export const adamWBfloat16: OptimizerDescription = {
  ...adamW,
  help: "AdamW that keeps bfloat16 weights and moments, rounded stochastically",
  formats: { bf16: "bfloat16-stochastic", "bf16-pure": "bfloat16-stochastic" },
  refusal: "round stochastically in fp32: there is nothing to round; pass --precision bf16",
};

/** The same with moments in 8 bits, 6 bytes a parameter with the model's own. */
export const adamW8bit: OptimizerDescription = {
  ...adamW,
  help: "the same with moments in 8 bits (cuda with own kernels)",
  formats: { bf16: "bfloat16-8bit", "bf16-pure": "bfloat16-8bit" },
  refusal: "keep 8-bit moments in fp32: their weights are bfloat16; pass --device cuda and " +
    "--precision bf16",
  needsKernels: "pass --optim adamw_bf16, which takes two more bytes a parameter",
};
