/**
 * Causal self-attention with rotary positions, where several query heads may share a key head. Ainslie
 * et al. 2023, https://arxiv.org/abs/2305.13245.
 *
 * How queries, keys and values are mixed is the graph's own: training masks a grid or runs a kernel,
 * generation extends a cache.
 *
 * @module
 */

import { product } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { BlockConfig } from "./block_config.ts";
import type { BlockPart, WeightStack } from "./block_part.ts";
import { type BlockScope, TOKENS } from "./block_scope.ts";
import { parameter } from "./parameter_spec.ts";
import { type Norm, rmsNorm } from "./rms_norm.ts";

/** The projections to queries, keys and values, [(heads + 2·kvHeads)·D, hidden]. */
export const QKV = "self_attn.qkv_proj.weight";

/** What families differ in. */
export interface SelfAttentionOptions {
  /** Whether q, k and v have a bias. @default false */
  readonly qkvBias?: boolean;
  /** Whether the output projection has a bias. @default false */
  readonly outputBias?: boolean;
  /**
   * RMSNorm of queries and keys before they are turned: of each head's, or of all heads' together.
   * @default none
   */
  readonly norms?: "heads" | "projections";
  /** Whether one layer, `qkv_proj`, gives queries, keys and values side by side. @default false */
  readonly fused?: boolean;
  /** Whether `q_proj` gives beside each head's queries a gate of what the head mixes. @default false */
  readonly gated?: boolean;
}

/** The attention of a block, `self_attn`. */
export function selfAttention(
  config: BlockConfig,
  { qkvBias = false, outputBias = false, norms: normed, fused = false, gated = false }:
    SelfAttentionOptions = {},
): BlockPart {
  const { hiddenSize, heads, kvHeads, headDim, rmsNormEps: epsilon, normOffset } = config;
  const headsOf = { q: heads, k: kvHeads, v: kvHeads };
  const names = ["q", "k", "v"] as const;
  const stack = (end: "weight" | "bias"): WeightStack => ({
    kernel: "attention",
    name: `self_attn.qkv_proj.${end}`,
    of: names.map((name) => `self_attn.${name}_proj.${end}`),
  });
  const widthOf = (name: keyof typeof headsOf): number => headsOf[name] * headDim;
  const rowsOf = (name: keyof typeof headsOf): number =>
    gated && name === "q" ? 2 * widthOf(name) : widthOf(name);
  const wholeWidth = widthOf("q") + widthOf("k") + widthOf("v");
  const norm = (name: "q" | "k"): Norm =>
    rmsNorm(config, `self_attn.${name}_norm`, normed === "heads" ? headDim : widthOf(name));
  const norms = normed ? { q: norm("q"), k: norm("k") } : undefined;

  /** q, k or v as the graph's attention takes it, [rows, length, heads·D]. */
  const turnedHeads = (scope: BlockScope, name: keyof typeof headsOf, projected: Value): Value => {
    const { b, rotary } = scope;
    let y = projected;
    if (norms && name !== "v") {
      if (normed === "heads") y = ops.reshape(b, y, [product(headsOf[name], TOKENS), headDim]);
      y = norms[name].build(scope, y);
    }
    y = ops.reshape(b, y, ["rows", "length", widthOf(name)]);
    if (name === "v" || !rotary) return y;
    const { positions, cos, sin, queryScale } = rotary;
    y = ops.rope(b, y, { positions, cos, sin, heads: headsOf[name] });
    return name === "q" && queryScale ? ops.mul(b, y, ops.gather(b, queryScale, positions)) : y;
  };

  return {
    parameters: [
      ...fused
        ? [parameter(QKV, [wholeWidth, hiddenSize])]
        : names.map((name) =>
          parameter(`self_attn.${name}_proj.weight`, [rowsOf(name), hiddenSize])
        ),
      ...qkvBias
        ? names.map((name) => parameter(`self_attn.${name}_proj.bias`, [rowsOf(name)]))
        : [],
      ...norms ? [norms.q.parameter, norms.k.parameter] : [],
      parameter("self_attn.o_proj.weight", [hiddenSize, heads * headDim]),
      ...outputBias ? [parameter("self_attn.o_proj.bias", [hiddenSize])] : [],
    ],
    stacks: fused || gated ? [] : [stack("weight"), ...qkvBias ? [stack("bias")] : []],
    // The kernel norms heads, by weights as they are stored.
    kernels: [
      ...gated || normed === "projections" || (norms && normOffset !== 0)
        ? []
        : ["attention"] as const,
      ...norms ? norms.q.kernels : [],
    ],
    build: (scope, x, addend) => {
      const { b, weights, linear, attention, onSaveable } = scope;
      const saveable = (value: Value): Value => {
        onSaveable(value);
        return value;
      };
      const project = (name: string): Value => saveable(linear(`self_attn.${name}_proj`, x));
      /** All three, or parts of what one layer gives. */
      const projected = (): Value[] => {
        if (!fused) return names.map(project);
        const whole = project("qkv");
        const starts = { q: 0, k: widthOf("q"), v: widthOf("q") + widthOf("k") };
        return names.map((name) =>
          ops.slice(b, whole, { axis: 1, start: starts[name], end: starts[name] + widthOf(name) })
        );
      };
      /** Queries and gates, which stand head by head, apart: [length·rows, heads·D] each. */
      const halves = (whole: Value): Value[] => {
        const byHead = ops.reshape(b, whole, [TOKENS, heads, 2 * headDim]);
        return [0, headDim].map((start) => {
          const half = ops.slice(b, byHead, { axis: 2, start, end: start + headDim });
          return ops.reshape(b, half, [TOKENS, heads * headDim]);
        });
      };
      const mix = (): Value => {
        if (!("mixProjections" in attention)) {
          const [first, ...others] = projected();
          const [queries, gates] = gated ? halves(first) : [first];
          const [q, k, v] = [queries, ...others].map((each, i) =>
            turnedHeads(scope, names[i], each)
          );
          const mixed = attention(q, k, v);
          return gates ? ops.mul(b, mixed, ops.sigmoid(b, gates)) : mixed;
        }
        return attention.mixProjections({
          projections: fused || weights.has(QKV)
            ? [project("qkv")]
            : [project("q"), project("k"), project("v")],
          norms: norms && {
            q: weights.get(norms.q.parameter.name)!,
            k: weights.get(norms.k.parameter.name)!,
            epsilon,
          },
        });
      };
      return saveable(linear("self_attn.o_proj", saveable(mix()), addend));
    },
  };
}
