/**
 * RMSNorm: x ÷ √(mean(x²) + ε) · weight, over the last axis. Zhang and Sennrich 2019,
 * https://arxiv.org/abs/1910.07467.
 *
 * @module
 */

import type { Value } from "../../ort/graph/ir.ts";
import { rmsNormWithKernel } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { BlockConfig } from "./block_config.ts";
import type { BlockKernel, BlockScope } from "./block_scope.ts";
import { parameter, type ParameterSpec } from "./parameter_spec.ts";

/** A norm inside a block. */
export interface Norm {
  /** Its weight [width], under its name inside the layer. */
  readonly parameter: ParameterSpec;
  /** The kernels that it can be built for. */
  readonly kernels: readonly BlockKernel[];
  /** Adds its nodes: x [N, width] → the same shape. */
  readonly build: (scope: BlockScope, x: Value) => Value;
}

/**
 * A norm with the config's ε.
 *
 * @param name the module's name inside the layer, such as `input_layernorm`
 * @param width the size of the last axis
 */
export function rmsNorm(
  { hiddenSize, rmsNormEps }: BlockConfig,
  name: string,
  width: number = hiddenSize,
): Norm {
  const spec = parameter(`${name}.weight`, [width]);
  return {
    parameter: spec,
    kernels: ["rmsNorm"],
    build: ({ b, weights, kernels }, x) => {
      const weight = weights.get(spec.name)!;
      return kernels.has("rmsNorm")
        ? rmsNormWithKernel(b, x, weight, rmsNormEps)
        : ops.rmsNorm(b, x, weight, rmsNormEps)[0];
    },
  };
}
