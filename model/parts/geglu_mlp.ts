/**
 * The MLP with GEGLU: down(gelu(gate(x)) · up(x)), GELU by tanh. Shazeer 2020, https://arxiv.org/abs/2002.05202.
 *
 * @module
 */

import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { BlockConfig } from "./block_config.ts";
import type { BlockPart } from "./block_part.ts";
import { swigluMlp } from "./swiglu_mlp.ts";

/** The MLP of a block, `mlp`, with the weights of SwiGLU's. */
export function gegluMlp(config: BlockConfig): BlockPart {
  return {
    parameters: swigluMlp(config).parameters,
    stacks: [],
    kernels: [],
    build: ({ b, linear, onSaveable }, x, addend) => {
      const project = (name: string): Value => {
        const y = linear(`mlp.${name}_proj`, x);
        onSaveable(y);
        return y;
      };
      const [gate, up] = [project("gate"), project("up")];
      return linear("mlp.down_proj", ops.mul(b, ops.geluTanh(b, gate), up), addend);
    },
  };
}
