/** What ortune's own kernels compute, in plain float64: operations of the reference interpreter. */

import type { Node } from "../../graph/ir.ts";
import type { Dense } from "./reference_interpreter.ts";

type Operation = (node: Node, ...inputs: Dense[]) => Dense[];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const like = ({ shape }: Dense, data: Float64Array): Dense => ({ shape, data });

const swiglu: Operation = (_, gate, up) => [
  like(gate, gate.data.map((g, i) => g * sigmoid(g) * up.data[i])),
];

const swigluGradient: Operation = (_, gate, up, dy) => [
  like(
    gate,
    gate.data.map((g, i) => {
      const s = sigmoid(g);
      return dy.data[i] * up.data[i] * s * (1 + g * (1 - s));
    }),
  ),
  like(up, gate.data.map((g, i) => dy.data[i] * g * sigmoid(g))),
];

/** From dy of x · invStd · weight to dx, plus what reaches x past the norm, and the weight's. */
const rmsNormGradient: Operation = (node, x, dy, weight, invStd, past, before) => {
  const width = weight.data.length;
  const dx = new Float64Array(x.data.length);
  const dWeight = before ? before.data.slice() : new Float64Array(width);
  for (let row = 0; row < x.data.length / width; row++) {
    const inverse = invStd.data[row];
    const at = (i: number): number => row * width + i;
    let mean = 0;
    for (let i = 0; i < width; i++) {
      const normed = x.data[at(i)] * inverse;
      mean += dy.data[at(i)] * weight.data[i] * normed / width;
      dWeight[i] += dy.data[at(i)] * normed;
    }
    for (let i = 0; i < width; i++) {
      const normed = x.data[at(i)] * inverse;
      dx[at(i)] = (past?.data[at(i)] ?? 0) +
        inverse * (dy.data[at(i)] * weight.data[i] - normed * mean);
    }
  }
  const results = [like(x, dx)];
  if (node.outputs.length === 1) return results;
  const [, , partials] = node.outputs;
  const shape = partials.shape as number[];
  return [...results, like(weight, dWeight), { shape, data: new Float64Array(shape[0] * width) }];
};

/** The rotation back: each head's halves (a, b) at a position become (a·cos + b·sin, b·cos − a·sin). */
const ropeGradient: Operation = (node, dy, positions, cos, sin) => {
  const half = Number(node.attributes.head_dim) / 2;
  const width = dy.shape.at(-1)!;
  const dx = dy.data.map((value, index) => {
    const token = Math.floor(index / width);
    const within = index % (2 * half);
    const at = positions.data[token] * half + within % half;
    const partner = within < half ? dy.data[index + half] : -dy.data[index - half];
    return value * cos.data[at] + partner * sin.data[at];
  });
  return [like(dy, dx)];
};

const hashedDropout: Operation = ({ attributes }, x, rows, columns) => [
  like(
    x,
    x.data.map((value, i) => {
      const width = columns.data.length;
      const product = Math.imul(rows.data[Math.floor(i / width)], columns.data[i % width]);
      return product > Number(attributes.above) ? value : 0;
    }),
  ),
];

/** Sizes, and where a head's vector of a token begins. */
function layout({ attributes }: Node, q: Dense, k: Dense) {
  const heads = Number(attributes.heads);
  const kvHeads = Number(attributes.kv_heads);
  const headDim = q.shape[2] / heads;
  return {
    heads,
    tokens: q.data.length / q.shape[2],
    headDim,
    // As kernels and operators take it.
    scale: Math.fround(headDim ** -0.5),
    atQ: (token: number, head: number) => token * q.shape[2] + head * headDim,
    atK: (token: number, head: number) =>
      token * k.shape[2] + Math.floor(head * kvHeads / heads) * headDim,
  };
}

function dot(a: Float64Array, i: number, b: Float64Array, j: number, length: number): number {
  let sum = 0;
  for (let d = 0; d < length; d++) sum += a[i + d] * b[j + d];
  return sum;
}

const segmentAttention: Operation = (node, q, k, v, starts) => {
  const { heads, tokens, headDim, scale, atQ, atK } = layout(node, q, k);
  const mixed = new Float64Array(q.data.length);
  const sums = new Float64Array(heads * tokens);
  for (let head = 0; head < heads; head++) {
    for (let t = 0; t < tokens; t++) {
      const first = starts.data[t];
      const powers = Array.from(
        { length: t + 1 - first },
        (_, i) =>
          Math.exp(scale * dot(q.data, atQ(t, head), k.data, atK(first + i, head), headDim)),
      );
      const sum = powers.reduce((total, each) => total + each, 0);
      sums[head * tokens + t] = Math.log2(sum);
      powers.forEach((power, i) => {
        for (let d = 0; d < headDim; d++) {
          mixed[atQ(t, head) + d] += power / sum * v.data[atK(first + i, head) + d];
        }
      });
    }
  }
  return [{ shape: [tokens, q.shape[2]], data: mixed }, { shape: [heads, tokens], data: sums }];
};

const segmentAttentionGradient: Operation = (node, q, k, v, starts, _, mixed, sums, dMixed) => {
  const { heads, tokens, headDim, scale, atQ, atK } = layout(node, q, k);
  const [dQ, dK, dV] = [q, k, v].map(({ data }) => new Float64Array(data.length));
  const dots = new Float64Array(heads * tokens);
  for (let head = 0; head < heads; head++) {
    for (let t = 0; t < tokens; t++) {
      const own = dot(mixed.data, atQ(t, head), dMixed.data, atQ(t, head), headDim);
      dots[head * tokens + t] = own;
      for (let s = starts.data[t]; s <= t; s++) {
        const score = scale * dot(q.data, atQ(t, head), k.data, atK(s, head), headDim);
        const p = Math.exp(score - sums.data[head * tokens + t] * Math.LN2);
        const slope = p * scale *
          (dot(dMixed.data, atQ(t, head), v.data, atK(s, head), headDim) - own);
        for (let d = 0; d < headDim; d++) {
          dQ[atQ(t, head) + d] += slope * k.data[atK(s, head) + d];
          dK[atK(s, head) + d] += slope * q.data[atQ(t, head) + d];
          dV[atK(s, head) + d] += p * dMixed.data[atQ(t, head) + d];
        }
      }
    }
  }
  return [like(q, dQ), like(k, dK), like(v, dV), { shape: [heads, tokens], data: dots }];
};

/** The operations by name. */
export const kernelOperations: Readonly<Record<string, Operation>> = {
  HashedDropout: hashedDropout,
  RMSNormGradient: rmsNormGradient,
  RotaryEmbeddingGradient: ropeGradient,
  SegmentAttention: segmentAttention,
  SegmentAttentionGradient: segmentAttentionGradient,
  SwiGLU: swiglu,
  SwiGLUGradient: swigluGradient,
};
