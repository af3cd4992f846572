/**
 * Gated DeltaNet, which stands where attention would: a short convolution over the tokens' projections, the gated
 * delta rule, and an RMSNorm of each head with a gate. Yang et al. 2024, https://arxiv.org/abs/2412.06464.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import { product } from "../../ort/graph/dim.ts";
import type { Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { crop, lastOf, pad } from "../../ort/graph/pad.ts";
import type { BlockConfig } from "./block_config.ts";
import type { BlockPart } from "./block_part.ts";
import { type Sequences, TOKENS } from "./block_scope.ts";
import { gatedDeltaRule } from "./gated_delta_rule.ts";
import { deltaChannels, type DeltaSizes } from "./layer_kind.ts";
import { parameter, type ParameterSpec } from "./parameter_spec.ts";
import { rmsNormNodes } from "./rms_norm.ts";

const DECAY_RATE = "linear_attn.A_log";
const DECAY_BIAS = "linear_attn.dt_bias";
const CONVOLUTION = "linear_attn.conv1d.weight";
const NORM = "linear_attn.norm.weight";

/** The layer's mixing of tokens, `linear_attn`. */
export function gatedDeltaNet(config: BlockConfig, sizes: DeltaSizes): BlockPart {
  const { hiddenSize, rmsNormEps } = config;
  const { keyHeads, keyDim, valueHeads, valueDim, taps } = sizes;
  const channels = deltaChannels(sizes);
  const [keyWidth, valueWidth] = [keyHeads * keyDim, valueHeads * valueDim];
  const linears: Readonly<Record<string, readonly [outputs: number, inputs: number]>> = {
    out_proj: [hiddenSize, valueWidth],
    in_proj_qkv: [channels, hiddenSize],
    in_proj_z: [valueWidth, hiddenSize],
    in_proj_b: [valueHeads, hiddenSize],
    in_proj_a: [valueHeads, hiddenSize],
  };
  return {
    parameters: [
      parameter(DECAY_BIAS, [valueHeads]),
      // Weight decay goes by names: of vectors it leaves norms and biases alone.
      { ...parameter(DECAY_RATE, [valueHeads]), decays: true } satisfies ParameterSpec,
      parameter(CONVOLUTION, [channels, 1, taps]),
      parameter(NORM, [valueDim]),
      ...Object.entries(linears).map(([name, shape]) =>
        parameter(`linear_attn.${name}.weight`, shape)
      ),
    ],
    stacks: [],
    kernels: [],
    build: ({ b, weights, linear, sequences, onSaveable }, x, addend) => {
      if (!sequences) throw new Error("Cannot build a gated delta net: no sequences were given");
      const { rows, length } = sequences;
      const weight = (name: string): Value => weights.get(name)!;
      const saveable = (value: Value): Value => {
        onSaveable(value);
        return value;
      };
      const project = (name: string): Value => saveable(linear(`linear_attn.${name}`, x));
      const float32 = (value: Value): Value => ops.cast(b, value, "float32");
      // CUDA pads no bfloat16, and a norm makes much of what rounding leaves of small states.
      const read = convolution(b, float32(project("in_proj_qkv")), {
        weight: float32(weight(CONVOLUTION)),
        sequences,
        taps,
      });
      const convolved = ops.silu(b, read.y);
      const inRows = (value: Value, width: number): Value =>
        ops.reshape(b, value, [rows, length, width]);
      const part = (start: number, width: number): Value =>
        inRows(ops.slice(b, convolved, { axis: 1, start, end: start + width }), width);
      const rate = ops.exp(b, float32(weight(DECAY_RATE)));
      const step = ops.softplus(
        b,
        ops.add(b, float32(project("in_proj_a")), float32(weight(DECAY_BIAS))),
      );
      const decay = ops.scale(b, ops.mul(b, step, rate), -1);
      const { mixed, last } = gatedDeltaRule(b, {
        q: part(0, keyWidth),
        k: part(keyWidth, keyWidth),
        v: part(2 * keyWidth, valueWidth),
        decay: inRows(decay, valueHeads),
        strength: inRows(ops.sigmoid(b, float32(project("in_proj_b"))), valueHeads),
      }, { sizes, sequences });
      sequences.onPresent?.({ inputs: read.last, matrices: last });
      const heads = ops.cast(
        b,
        ops.reshape(b, mixed, [product(TOKENS, valueHeads), valueDim]),
        x.dtype,
      );
      // Unlike the block's other norms, by its weight as it stands.
      const normed = rmsNormNodes(b, { rmsNormEps, normOffset: 0 }, {
        x: heads,
        weight: weight(NORM),
      });
      const gate = ops.silu(b, project("in_proj_z"));
      const gated = ops.mul(b, ops.reshape(b, normed, [TOKENS, valueWidth]), gate);
      return saveable(linear("linear_attn.out_proj", gated, addend));
    },
  };
}

/**
 * Each channel's sum over the last tokens by weights of its own: x [length·rows, channels] and weight
 * [channels, 1, taps], in float32 → the shape of x. Also answers what the next tokens read of these,
 * [rows, taps − 1, channels].
 */
function convolution(
  b: GraphBuilder,
  x: Value,
  { weight, sequences: { rows, length, extended, segments, past }, taps }: {
    readonly weight: Value;
    readonly sequences: Sequences;
    readonly taps: number;
  },
): { readonly y: Value; readonly last: Value } {
  const channels = Number(x.shape[1]);
  const earlier = taps - 1;
  const inRows = ops.reshape(b, x, [rows, length, channels]);
  const all = past
    ? ops.concat(b, [past.inputs, inRows], { axis: 1, joined: extended })
    : pad(b, inRows, { axis: 1, before: earlier, size: extended });
  const byTap = ops.transpose(b, ops.reshape(b, weight, [channels, taps]), [1, 0]);
  const terms = Array.from({ length: taps }, (_, tap) => {
    const back = earlier - tap;
    const factor = ops.slice(b, byTap, { axis: 0, start: tap, end: tap + 1 });
    const shifted = crop(b, all, { axis: 1, before: tap, after: back, size: length });
    const term = ops.mul(
      b,
      ops.reshape(b, shifted, [TOKENS, channels]),
      ops.reshape(b, factor, [channels]),
    );
    if (!segments || back === 0) return term;
    const own = ops.slice(b, segments.taps, { axis: 1, start: back - 1, end: back });
    return ops.mul(b, term, own);
  });
  return {
    y: terms.reduce((sum, term) => ops.add(b, sum, term)),
    last: lastOf(b, all, { axis: 1, count: earlier }),
  };
}
