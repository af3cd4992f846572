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
const NAMES: FusedMlpNames = { gateUp: "mlp.gate_up_proj", down: "mlp.down_proj" };

/** What the layers of a fused MLP are called inside their block. */
export interface FusedMlpNames {
  /** The projection to gate and up. */
  readonly gateUp: string;
  /** The projection back. */
  readonly down: string;
}

/** The MLP of a block: `mlp`, unless a fused one has other names. */
export function gatedMlp(
  { hiddenSize, intermediateSize }: BlockConfig,
  { fused = false, activation = "silu" }: {
    /** Whether one layer, `mlp.gate_up_proj` or of another name, gives gate and up side by side. @default false */
    readonly fused?: boolean | FusedMlpNames;
    /** What the gate goes through; `geluTanh` is GELU by tanh. @default "silu", which has a kernel */
    readonly activation?: "silu" | "geluTanh";
  } = {},
): BlockPart {
  const [gateWeight, upWeight] = ["gate", "up"].map((name) =>
    parameter(`mlp.${name}_proj.weight`, [intermediateSize, hiddenSize])
  );
  const { gateUp, down } = typeof fused === "object" ? fused : NAMES;
  return {
    parameters: [
      ...fused
        ? [parameter(`${gateUp}.weight`, [2 * intermediateSize, hiddenSize])]
        : [gateWeight, upWeight],
      parameter(`${down}.weight`, [hiddenSize, intermediateSize]),
    ],
    stacks: fused || activation !== "silu"
      ? []
      : [{ kernel: "swiglu", name: GATE_UP, of: [gateWeight.name, upWeight.name] }],
    kernels: activation === "silu" ? ["swiglu"] : [],
    build: ({ b, weights, linear, kernels, onSaveable }, x, addend) => {
      const project = (name: string): Value => {
        const y = linear(name, x);
        onSaveable(y);
        return y;
      };
      const gated = (): Value => {
        const inKernel = kernels.has("swiglu");
        const whole = fused || weights.has(GATE_UP) ? project(gateUp) : undefined;
        if (whole && inKernel) return swiglu(b, whole);
        const half = (side: number): Value => {
          if (!whole) return project(`mlp.${side === 0 ? "gate" : "up"}_proj`);
          const start = side * intermediateSize;
          return ops.slice(b, whole, { axis: 1, start, end: start + intermediateSize });
        };
        const [gate, up] = [half(0), half(1)];
        return inKernel ? swiglu(b, gate, up) : ops.mul(b, ops[activation](b, gate), up);
      };
      // The result is the block's own: backward does not read it.
      return linear(down, gated(), addend);
    },
  };
}
