/**
 * The MLP with a gate: down(activation(gate(x)) · up(x)). With SiLU it is SwiGLU, with GELU it is GEGLU.
 * Shazeer 2020, https://arxiv.org/abs/2002.05202.
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
export function gatedMlp(
  { hiddenSize, intermediateSize }: BlockConfig,
  { fused = false, activation = "silu" }: {
    /** Whether one layer, `gate_up_proj`, gives gate and up side by side. @default false */
    readonly fused?: boolean;
    /** What the gate goes through; `geluTanh` is GELU by tanh. @default "silu", which has a kernel */
    readonly activation?: "silu" | "geluTanh";
  } = {},
): BlockPart {
  const [gateWeight, upWeight] = ["gate", "up"].map((name) =>
    parameter(`mlp.${name}_proj.weight`, [intermediateSize, hiddenSize])
  );
  return {
    parameters: [
      ...fused ? [parameter(GATE_UP, [2 * intermediateSize, hiddenSize])] : [gateWeight, upWeight],
      parameter("mlp.down_proj.weight", [hiddenSize, intermediateSize]),
    ],
    stacks: fused || activation !== "silu"
      ? []
      : [{ kernel: "swiglu", name: GATE_UP, of: [gateWeight.name, upWeight.name] }],
    kernels: activation === "silu" ? ["swiglu"] : [],
    build: ({ b, weights, linear, kernels, onSaveable }, x, addend) => {
      const project = (name: string): Value => {
        const y = linear(`mlp.${name}_proj`, x);
        onSaveable(y);
        return y;
      };
      const gated = (): Value => {
        const inKernel = kernels.has("swiglu");
        const whole = fused || weights.has(GATE_UP) ? project("gate_up") : undefined;
        if (whole && inKernel) return swiglu(b, whole);
        const half = (side: number): Value => {
          if (!whole) return project(side === 0 ? "gate" : "up");
          const start = side * intermediateSize;
          return ops.slice(b, whole, { axis: 1, start, end: start + intermediateSize });
        };
        const [gate, up] = [half(0), half(1)];
        return inKernel ? swiglu(b, gate, up) : ops.mul(b, ops[activation](b, gate), up);
      };
      // The result is the block's own: backward does not read it.
      return linear("mlp.down_proj", gated(), addend);
    },
  };
}
