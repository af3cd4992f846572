/** What ortune's own kernels compute, in plain float64: operations of the reference interpreter. */

import type { Node } from "../../ort/graph/ir.ts";
import type { Dense } from "./dense.ts";

type Operation = (node: Node, ...inputs: Dense[]) => Dense[];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const like = ({ shape }: Dense, data: Float64Array): Dense => ({ shape, data });

/** Columns of matrices, side by side. */
function beside(...parts: readonly Dense[]): Dense {
  const rows = parts[0].data.length / parts[0].shape.at(-1)!;
  const widths = parts.map(({ shape }) => shape.at(-1)!);
  const width = widths.reduce((sum, each) => sum + each, 0);
  const data = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    let to = row * width;
    parts.forEach((part, i) => {
      data.set(part.data.subarray(row * widths[i], (row + 1) * widths[i]), to);
      to += widths[i];
    });
  }
  return { shape: [rows, width], data };
}

/** The same, taken apart. */
function apart({ shape, data }: Dense, widths: readonly number[]): Dense[] {
  const width = shape.at(-1)!;
  const rows = data.length / width;
  let from = 0;
  return widths.map((part) => {
    const taken = new Float64Array(rows * part);
    for (let row = 0; row < rows; row++) {
      taken.set(data.subarray(row * width + from, row * width + from + part), row * part);
    }
    from += part;
    return { shape: [rows, part], data: taken };
  });
}

const halvesOf = (x: Dense): Dense[] => apart(x, [x.shape.at(-1)! / 2, x.shape.at(-1)! / 2]);

const swiglu: Operation = (_, ...inputs) => {
  const [gate, up] = inputs.length === 1 ? halvesOf(inputs[0]) : inputs;
  return [like(gate, gate.data.map((g, i) => g * sigmoid(g) * up.data[i]))];
};

const swigluGradient: Operation = (_, ...inputs) => {
  const dy = inputs.at(-1)!;
  const [gate, up] = inputs.length === 2 ? halvesOf(inputs[0]) : inputs;
  const gradients = [
    like(
      gate,
      gate.data.map((g, i) => {
        const s = sigmoid(g);
        return dy.data[i] * up.data[i] * s * (1 + g * (1 - s));
      }),
    ),
    like(up, gate.data.map((g, i) => dy.data[i] * g * sigmoid(g))),
  ];
  return inputs.length === 2 ? [beside(...gradients)] : gradients;
};

/** From dy of x · invStd · weight to dx and what the weight's gradient grows by. */
function normGradient(
  { x, dy, weight, invStd }: Readonly<Record<"x" | "dy" | "weight" | "invStd", Dense>>,
): { readonly dx: Float64Array; readonly dWeight: Float64Array } {
  const width = weight.data.length;
  const dx = new Float64Array(x.data.length);
  const dWeight = new Float64Array(width);
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
      dx[at(i)] = inverse * (dy.data[at(i)] * weight.data[i] - normed * mean);
    }
  }
  return { dx, dWeight };
}

const added = (x: Float64Array, past: Dense | undefined): Float64Array =>
  x.map((each, i) => each + (past?.data[i] ?? 0));

function zeros({ shape }: Node["outputs"][number]): Dense {
  const sizes = shape as number[];
  return { shape: sizes, data: new Float64Array(sizes[0] * sizes[1]) };
}

/** With what reaches x past the norm. */
const rmsNormGradient: Operation = (node, x, dy, weight, invStd, past, before) => {
  const { dx, dWeight } = normGradient({ x, dy, weight, invStd });
  const results = [like(x, added(dx, past))];
  const [, trained, partials] = node.outputs;
  return trained ? [...results, like(weight, added(dWeight, before)), zeros(partials)] : results;
};

/** Turns each head's halves (a, b) to (a·cos − b·sin, b·cos + a·sin), or back by direction −1. */
function turn(x: Dense, [positions, cos, sin]: readonly Dense[], direction: number): Dense {
  const half = cos.shape[1];
  const width = x.shape.at(-1)!;
  return like(
    x,
    x.data.map((value, index) => {
      const token = Math.floor(index / width);
      const within = index % (2 * half);
      const at = positions.data[token] * half + within % half;
      const partner = within < half ? -x.data[index + half] : x.data[index - half];
      return value * cos.data[at] + direction * partner * sin.data[at];
    }),
  );
}

/** Widths of a token's queries, keys and values. */
function widthsOf({ attributes }: Node, cos: Dense): [number, number, number] {
  const headDim = 2 * cos.shape[1];
  const kv = Number(attributes.kv_heads) * headDim;
  return [Number(attributes.heads) * headDim, kv, kv];
}

const rotaryHeads: Operation = (node, first, second, positions, cos, sin, ...weights) => {
  const projected = second ? [first, second] : apart(first, widthsOf(node, cos));
  const normed = weights[0] !== undefined;
  const inverses: Dense[] = [];
  const turned = projected.slice(0, 2).map((x, i) => {
    if (!normed) return turn(x, [positions, cos, sin], 1);
    const width = weights[i].data.length;
    const heads = x.shape.at(-1)! / width;
    const inverse = new Float64Array(x.data.length / width).map((_, row) => {
      const squares = x.data.subarray(row * width, (row + 1) * width)
        .reduce((sum, each) => sum + each * each, 0);
      return 1 / Math.sqrt(squares / width + Number(node.attributes.epsilon));
    });
    inverses.push({ shape: [inverse.length / heads, heads], data: inverse });
    const scaled = x.data.map((each, at) =>
      each * inverse[Math.floor(at / width)] * weights[i].data[at % width]
    );
    return turn(like(x, scaled), [positions, cos, sin], 1);
  });
  return [...turned, ...second ? [] : [projected[2]], ...normed ? [beside(...inverses)] : []];
};

const rotaryHeadsGradient: Operation = (node, ...inputs) => {
  const [first, second, positions, cos, sin, qWeight, kWeight, invStd, dQ, dK, dV] = inputs;
  const widths = widthsOf(node, cos);
  const projected = second ? [first, second] : apart(first, widths);
  const inverses = invStd &&
    apart(invStd, [Number(node.attributes.heads), Number(node.attributes.kv_heads)]);
  const weightGradients: Dense[] = [];
  const gradients = [dQ, dK].map((dy, i) => {
    const g = turn(dy, [positions, cos, sin], -1);
    const weight = [qWeight, kWeight][i];
    if (!weight) return g;
    const { dx, dWeight } = normGradient({ x: projected[i], dy: g, weight, invStd: inverses![i] });
    weightGradients.push(like(weight, added(dWeight, inputs[11 + i])));
    return like(projected[i], dx);
  });
  const made = second ? gradients : [beside(...gradients, dV)];
  if (node.outputs.length === made.length) return made;
  return [...made, ...weightGradients, zeros(node.outputs.at(-1)!)];
};

/** x where its hash is above the threshold, else 0; all of it without rows. */
function drop({ attributes }: Node, x: Dense, rows?: Dense, columns?: Dense): Dense {
  if (!rows || !columns) return x;
  const width = columns.data.length;
  return like(
    x,
    x.data.map((value, i) => {
      const product = Math.imul(rows.data[Math.floor(i / width)], columns.data[i % width]);
      return product > Number(attributes.above) ? value : 0;
    }),
  );
}

const hashedDropout: Operation = (node, x, rows, columns) => [drop(node, x, rows, columns)];

/** scale · a · b, [rows, inner] by [inner, columns]. */
function product(a: Dense, b: Dense, scale = 1): Dense {
  const [rows, inner] = a.shape;
  const columns = b.shape[1];
  const data = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < inner; k++) {
      const factor = scale * a.data[row * inner + k];
      for (let column = 0; column < columns; column++) {
        data[row * columns + column] += factor * b.data[k * columns + column];
      }
    }
  }
  return { shape: [rows, columns], data };
}

function transposed({ shape: [rows, columns], data }: Dense): Dense {
  const turned = data.map((_, i) => data[i % rows * columns + Math.floor(i / rows)]);
  return { shape: [columns, rows], data: turned };
}

// As kernels and operators take it.
const scaleOf = ({ attributes }: Node): number => Math.fround(Number(attributes.scale));
const every = <T>(pairs: readonly T[], second: number): T[] =>
  pairs.filter((_, i) => i % 2 === second);
const weightGradients = (
  { outputs }: Node,
  gradients: readonly Dense[],
  before: readonly (Dense | undefined)[],
): Dense[] => [
  ...gradients.map((gradient, i) => like(gradient, added(gradient.data, before[i]))),
  zeros(outputs.at(-1)!),
];
/** Parts of equal width. */
const parted = (x: Dense, parts: number): Dense[] =>
  apart(x, Array(parts).fill(x.shape[1] / parts));

const loraDown: Operation = (node, x, rows, ...parts) => {
  const columns = every(parts, 1);
  return [beside(
    ...every(parts, 0).map((a, i) =>
      product(drop(node, x, rows, columns[i]), transposed(a), scaleOf(node))
    ),
  )];
};

const loraDownInputGradient: Operation = (node, dHidden, past, rows, ...parts) => {
  const [as, columns] = [every(parts, 0), every(parts, 1)];
  const shares = parted(dHidden, as.length).map((own, i) =>
    drop(node, product(own, as[i], scaleOf(node)), rows, columns[i])
  );
  const sum = shares.reduce((sum, each) => like(sum, added(sum.data, each)));
  return [like(sum, added(sum.data, past))];
};

const loraDownWeightGradient: Operation = (node, x, dHidden, rows, ...parts) => {
  const columns = every(parts, 0);
  const gradients = parted(dHidden, node.outputs.length - 1).map((own, i) =>
    product(transposed(own), drop(node, x, rows, columns[i]), scaleOf(node))
  );
  return weightGradients(node, gradients, every(parts, 1));
};

const loraUp: Operation = (_, y, hidden, ...weights) => {
  const products = parted(hidden, weights.length)
    .map((own, i) => product(own, transposed(weights[i])));
  return [like(y, added(beside(...products).data, y))];
};

const loraUpInputGradient: Operation = (_, dy, ...weights) => [
  beside(
    ...apart(dy, weights.map(({ shape }) => shape[0])).map((own, i) => product(own, weights[i])),
  ),
];

const loraUpWeightGradient: Operation = (node, hidden, dy, ...before) => {
  const weights = node.outputs.slice(0, -1);
  const hiddens = parted(hidden, weights.length);
  const gradients = apart(dy, weights.map(({ shape }) => Number(shape[0])))
    .map((own, i) => product(transposed(own), hiddens[i]));
  return weightGradients(node, gradients, before);
};

/** Sizes, and where a head's vector of a token begins. */
function layout({ attributes }: Node, q: Dense, k: Dense) {
  const heads = Number(attributes.heads);
  const kvHeads = Number(attributes.kv_heads);
  const headDim = q.shape[1] / heads;
  return {
    heads,
    tokens: q.data.length / q.shape[1],
    headDim,
    // As kernels and operators take it.
    scale: Math.fround(Number(attributes.scale)),
    atQ: (token: number, head: number) => token * q.shape[1] + head * headDim,
    atK: (token: number, head: number) =>
      token * k.shape[1] + Math.floor(head * kvHeads / heads) * headDim,
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
  return [{ shape: [tokens, q.shape[1]], data: mixed }, { shape: [heads, tokens], data: sums }];
};

const segmentAttentionGradient: Operation = (node, q, k, v, starts, _, mixed, known, dMixed) => {
  const { heads, tokens, headDim, scale, atQ, atK } = layout(node, q, k);
  const [dQ, dK, dV] = [q, k, v].map(({ data }) => new Float64Array(data.length));
  const dots = new Float64Array(heads * tokens);
  const [, sums] = known ? [mixed, known] : segmentAttention(node, q, k, v, starts);
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
  LoraDown: loraDown,
  LoraDownInputGradient: loraDownInputGradient,
  LoraDownWeightGradient: loraDownWeightGradient,
  LoraUp: loraUp,
  LoraUpInputGradient: loraUpInputGradient,
  LoraUpWeightGradient: loraUpWeightGradient,
  RMSNormGradient: rmsNormGradient,
  RotaryHeads: rotaryHeads,
  RotaryHeadsGradient: rotaryHeadsGradient,
  SegmentAttention: segmentAttention,
  SegmentAttentionGradient: segmentAttentionGradient,
  SwiGLU: swiglu,
  SwiGLUGradient: swigluGradient,
};
