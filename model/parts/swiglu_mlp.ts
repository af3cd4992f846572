/**
 * The MLP with SwiGLU: down(silu(gate(x)) · up(x)). Shazeer 2020, https://arxiv.org/abs/2002.05202.
 *
 * @module
 */

import type { Value } from "../../ort/graph/ir.ts";
import { swiglu } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { BlockConfig } from "./block_config.ts";
import type { BlockPart } from "./block_part.ts";
import { parameter } from "./parameter_spec.ts";

/** The projections to gate and up, [2·intermediate, hidden]. */
export const GATE_UP = "mlp.gate_up_proj.weight";

/** The MLP of a block, `mlp`. */
export function swigluMlp({ hiddenSize, intermediateSize }: BlockConfig): BlockPart {
  const [gateWeight, upWeight] = ["gate", "up"].map((name) =>
    parameter(`mlp.${name}_proj.weight`, [intermediateSize, hiddenSize])
  );
  return {
    parameters: [
      gateWeight,
      upWeight,
      parameter("mlp.down_proj.weight", [hiddenSize, intermediateSize]),
    ],
    stacks: [{ kernel: "swiglu", name: GATE_UP, of: [gateWeight.name, upWeight.name] }],
    kernels: ["swiglu"],
    build: ({ b, weights, linear, kernels, onSaveable }, x, addend) => {
      const project = (name: string): Value => {
        const y = linear(`mlp.${name}_proj`, x);
        onSaveable(y);
        return y;
      };
      const gated = (): Value => {
        if (weights.has(GATE_UP)) return swiglu(b, project("gate_up"));
        const [gate, up] = [project("gate"), project("up")];
        return kernels.has("swiglu") ? swiglu(b, gate, up) : ops.mul(b, ops.silu(b, gate), up);
      };
      // The result is the block's own: backward does not read it.
      return linear("mlp.down_proj", gated(), addend);
    },
  };
}
