/**
 * Weights of linear layers that read the same input, taken as one: a product with many columns in place of
 * several with few, which leave much of a GPU idle (1024 columns of 2048 rows are 64 tiles of 128 by 256,
 * for 132 multiprocessors).
 *
 * In: a config and the parts of a block that kernels run. Out: names, shapes, and the parameters that they
 * are made of, which lie one after the other in a `ParameterStore`.
 *
 * @module
 */

import { elementCount } from "../ort/tensor/dtype.ts";
import type { ModelConfig } from "./config.ts";
import { familyBlock } from "./families/families.ts";
import type { WeightStack } from "./parts/block_part.ts";
import type { BlockKernel } from "./parts/block_scope.ts";
import type { LayerKind } from "./parts/layer_kind.ts";
import type { ParameterSpec } from "./parts/parameter_spec.ts";

/** Several parameters of a block as one, under a name inside the layer. */
export interface StackedParameter extends ParameterSpec {
  /** The parameters that it is made of, row after row, by their names inside the layer. */
  readonly of: readonly string[];
}

// A store begins each tensor on a cache line of this many floats: whole ones leave no gap.
const CACHE_LINE = 16;

/**
 * What is stacked: of the layers whose results a kernel reads, where it finds them side by side.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { blockKernelsFor, stackedParameters } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072,
 *   num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128,
 *   vocab_size: 151936, eos_token_id: 151645,
 * });
 * const [qkv, gateUp] = stackedParameters(config, blockKernelsFor(config, "bfloat16"));
 * assert.deepEqual([qkv.shape, gateUp.shape], [[4096, 1024], [6144, 1024]]);
 * assert.deepEqual(gateUp.of, ["mlp.gate_proj.weight", "mlp.up_proj.weight"]);
 * ```
 */
export function stackedParameters(
  config: ModelConfig,
  kernels: ReadonlySet<BlockKernel>,
  kind: LayerKind = config.layerKinds[0],
): StackedParameter[] {
  const { parameters, stacks } = familyBlock(config, kind);
  const known = new Map(parameters.map((spec) => [spec.name, spec]));
  const partsOf = ({ of }: WeightStack): ParameterSpec[] => of.map((part) => known.get(part)!);
  const isWhole = (stack: WeightStack): boolean =>
    partsOf(stack).every(({ shape }) => elementCount(shape) % CACHE_LINE === 0);
  // Weights and biases of a layer are stacked together or not at all.
  const stacked = stacks.filter(({ kernel }) =>
    kernels.has(kernel) && stacks.every((each) => each.kernel !== kernel || isWhole(each))
  );
  return stacked.map((stack) => {
    const parts = partsOf(stack);
    const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0);
    const { shape: [, ...row], decays } = parts[0];
    const { name, of } = stack;
    return { name, of, shape: [rows, ...row], decays };
  });
}
