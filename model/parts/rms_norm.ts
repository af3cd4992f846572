/**
 * RMSNorm: x ÷ √(mean(x²) + ε) · weight, over the last axis. Zhang and Sennrich 2019,
 * https://arxiv.org/abs/1910.07467.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
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
 * A norm with the config's ε and offset.
 *
 * @param name the module's name inside the layer, such as `input_layernorm`
 * @param width the size of the last axis
 */
export function rmsNorm(config: BlockConfig, name: string, width = config.hiddenSize): Norm {
  const { rmsNormEps, normOffset } = config;
  const spec = parameter(`${name}.weight`, [width]);
  return {
    parameter: spec,
    // The kernel takes weights as they are stored.
    kernels: normOffset === 0 ? ["rmsNorm"] : [],
    build: ({ b, weights, kernels }, x) => {
      const weight = weights.get(spec.name)!;
      return kernels.has("rmsNorm")
        ? rmsNormWithKernel(b, x, weight, rmsNormEps)
        : rmsNormNodes(b, config, { x, weight });
    },
  };
}

/**
 * The nodes of a norm: x [N, width], weight [width] → the shape of x. With an offset all of it is in float32
 * and rounded once, as Gemma's classes have it: 1 + weight would lose most of a bfloat16 weight.
 */
export function rmsNormNodes(
  b: GraphBuilder,
  { rmsNormEps, normOffset }: Pick<BlockConfig, "rmsNormEps" | "normOffset">,
  { x, weight }: { readonly x: Value; readonly weight: Value },
): Value {
  if (normOffset === 0) return ops.rmsNorm(b, x, weight, rmsNormEps)[0];
  const factor = ops.add(b, ops.cast(b, weight, "float32"), b.float32(normOffset));
  return ops.cast(b, ops.rmsNorm(b, ops.cast(b, x, "float32"), factor, rmsNormEps)[0], x.dtype);
}
