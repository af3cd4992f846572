/**
 * Gradient rules, one an operation.
 *
 * In: a node and the gradient of its first output. Out: a gradient for each input that needs one.
 * The gradient already gathered from other readers of that input comes along as `partial`, so a
 * Gemm takes it as its C and no Add is needed.
 */

import type { GradientContext, GraphBuilder } from "./builder.ts";
import { sameShape } from "./dim.ts";
import type { Node, Value } from "./ir.ts";
import {
  add,
  cast,
  concat,
  div,
  expand,
  gemm,
  matmul,
  mul,
  reduceSum,
  reshape,
  rope,
  sigmoid,
  sub,
  sumRows,
  transpose,
} from "./ops.ts";
import { plus } from "./plus.ts";

/** What a rule works with. */
export interface RuleContext extends GradientContext {
  /** Where the rule adds its nodes. */
  readonly b: GraphBuilder;
  /** The node to differentiate: {@linkcode GradientContext.dy} is of its first output. */
  readonly node: Node;
}

/** Gives a node's inputs their gradients. */
export type GradientRule = (context: RuleContext) => void;

/**
 * The gradient of an input that was read as it is, or that was repeated: the sum over all that read an element.
 * Of what is not float32 only a vector that was read in every row, which has a sum in a fixed order.
 */
function overRepeats(b: GraphBuilder, node: Node, input: Value, dy: Value): Value {
  const { shape } = node.outputs[0];
  if (sameShape(input.shape, shape)) return dy;
  if (shape.length === 2 && sameShape(input.shape, [shape[1]])) {
    return sumRows(b, dy);
  }
  if (dy.dtype !== "float32") {
    throw new Error(
      `Cannot differentiate ${node.op} (${node.outputs[0].name}): no gradient rule for its ` +
        `broadcast input ${input.name} [${input.shape}]`,
    );
  }
  const added = shape.length - input.shape.length;
  const sum = shape.reduce<Value>((total, dim, axis) => {
    const repeated = axis < added || (input.shape[axis - added] === 1 && dim !== 1);
    return repeated ? reduceSum(b, total, axis) : total;
  }, dy);
  return added > 0 ? reshape(b, sum, input.shape) : sum;
}

const addRule: GradientRule = ({ b, node, dy, give }) => {
  for (const i of [0, 1]) {
    give(i, (partial) => plus(b, partial, overRepeats(b, node, node.inputs[i]!, dy)));
  }
};

/** y = x − z: dx = dy, dz = −dy. */
const subRule: GradientRule = ({ b, node, dy, give }) => {
  const [x, z] = node.inputs as [Value, Value];
  give(0, (partial) => plus(b, partial, overRepeats(b, node, x, dy)));
  give(1, (partial) => {
    const sum = overRepeats(b, node, z, dy);
    return partial ? sub(b, partial, sum) : mul(b, sum, b.float(sum.dtype, -1));
  });
};

/** y = eˣ: dx = dy·y. */
const expRule: GradientRule = ({ b, node, dy, give }) => {
  give(0, (partial) => plus(b, partial, mul(b, dy, node.outputs[0])));
};

/** y = sigmoid(x): dx = dy·(y − y²). */
const sigmoidRule: GradientRule = ({ b, node, dy, give }) => {
  const y = node.outputs[0];
  give(0, (partial) => plus(b, partial, mul(b, dy, sub(b, y, mul(b, y, y)))));
};

/** y = ln(1 + eˣ): dx = dy·sigmoid(x). */
const softplusRule: GradientRule = ({ b, node, dy, give }) => {
  give(0, (partial) => plus(b, partial, mul(b, dy, sigmoid(b, node.inputs[0]!))));
};

/** What was repeated gets the sum. */
const expandRule: GradientRule = ({ b, node, dy, give }) => {
  give(0, (partial) => plus(b, partial, overRepeats(b, node, node.inputs[0]!, dy)));
};

/** y = x·z: dx = dy·z, summed where x was repeated. */
const mulRule: GradientRule = ({ b, node, dy, give }) => {
  for (const i of [0, 1]) {
    give(i, (partial) => {
      const product = mul(b, dy, node.inputs[1 - i]!);
      return plus(b, partial, overRepeats(b, node, node.inputs[i]!, product));
    });
  }
};

/** The gradient goes back in the type that the value came in. */
const castRule: GradientRule = ({ b, node, dy, give }) => {
  give(0, (partial) => plus(b, partial, cast(b, dy, node.inputs[0]!.dtype)));
};

/** y = x ÷ z: dx = dy ÷ z, dz = −dy·y ÷ z. */
const divRule: GradientRule = ({ b, node, dy, give }) => {
  const [x, z] = node.inputs as [Value, Value];
  give(0, (partial) => plus(b, partial, overRepeats(b, node, x, div(b, dy, z))));
  give(1, (partial) => {
    const slope = div(b, mul(b, node.outputs[0], b.float(z.dtype, -1)), z);
    return plus(b, partial, overRepeats(b, node, z, mul(b, dy, slope)));
  });
};

/** y = x·Wᵀ + c: dx = dy·W, dW = dyᵀ·x, dc = dy (summed over rows for a bias). */
const gemmRule: GradientRule = ({ b, node, dy, give }) => {
  const [x, weight, c] = node.inputs;
  if (node.attributes.transA !== 0n || node.attributes.transB !== 1n) {
    throw new Error("Cannot differentiate Gemm: no gradient rule but for x·Wᵀ");
  }
  give(0, (partial) => gemm(b, dy, weight!, { c: partial }));
  give(1, (partial) => gemm(b, dy, x!, { transA: true, c: partial }));
  if (!c) return;
  give(
    2,
    (partial) => plus(b, partial, c.shape.length === 1 ? sumRows(b, dy) : dy),
  );
};

/** y = alpha·op(a)·op(b), each operand as it stands or transposed. */
const matmulRule: GradientRule = ({ b, node, dy, give }) => {
  const [left, right] = node.inputs as [Value, Value];
  const [transA, transB] = [node.attributes.transA === 1n, node.attributes.transB === 1n];
  const alpha = node.attributes.alpha as number;
  give(0, (partial) =>
    plus(
      b,
      partial,
      transA
        ? matmul(b, right, dy, { transA: transB, transB: true, alpha })
        : matmul(b, dy, right, { transB: !transB, alpha }),
    ));
  give(1, (partial) =>
    plus(
      b,
      partial,
      transB
        ? matmul(b, dy, left, { transA: true, transB: transA, alpha })
        : matmul(b, left, dy, { transA: !transA, alpha }),
    ));
};

const reshapeRule: GradientRule = ({ b, node, dy, give }) => {
  give(0, (partial) => plus(b, partial, reshape(b, dy, node.inputs[0]!.shape)));
};

const transposeRule: GradientRule = ({ b, node, dy, give }) => {
  const perm = (node.attributes.perm as readonly bigint[]).map(Number);
  const inverse = perm.map((_, i) => perm.indexOf(i));
  give(0, (partial) => plus(b, partial, transpose(b, dy, inverse)));
};

/**
 * y = x̂·w with x̂ = x·r, r = 1/√(mean x² + ε): dw = Σ dy·x̂, and
 * dx = r·(dy·w − x̂·mean(dy·w·x̂)).
 */
const rmsNormRule: GradientRule = ({ b, node, dy, give }) => {
  const [x, weight] = node.inputs as [Value, Value];
  const invStd = node.outputs[1];
  const width = x.shape.at(-1)!;
  if (typeof width !== "number") {
    throw new Error(`Cannot differentiate RMSNorm of ${x.name}: its width ${width} is not fixed`);
  }
  // In float32 whatever x is, as invStd is.
  const normalized = mul(b, cast(b, x, "float32"), invStd);
  const dy32 = cast(b, dy, "float32");
  const dyNormalized = mul(b, dy32, normalized);
  give(1, (partial) => {
    const rows = reshape(b, dyNormalized, [productOfLeading(x), width]);
    const sum = sumRows(b, rows);
    return plus(b, partial, cast(b, sum, weight.dtype));
  });
  give(0, (partial) => {
    const weight32 = cast(b, weight, "float32");
    const sum = reduceSum(b, mul(b, dyNormalized, weight32), -1);
    const mean = mul(b, sum, b.float32(1 / width));
    const centred = sub(b, mul(b, dy32, weight32), mul(b, normalized, mean));
    return plus(b, partial, cast(b, mul(b, centred, invStd), x.dtype));
  });
};

function productOfLeading(x: Value): Value["shape"][number] {
  if (x.shape.length === 2) return x.shape[0];
  throw new Error(`Cannot differentiate RMSNorm of ${x.name}: expected [rows, width]`);
}

/** A rotation: its transpose is the rotation the other way, the same op with −sin. */
const ropeRule: GradientRule = ({ b, node, dy, give }) => {
  const [x, positions, cos, sin] = node.inputs as [Value, Value, Value, Value];
  give(0, (partial) => {
    // Where only a part of each head is turned the node says how many heads there are.
    const { num_heads: count } = node.attributes;
    const heads = count === undefined
      ? Number(x.shape[2]) / (2 * Number(cos.shape[1]))
      : Number(count);
    const back = mul(b, sin, b.float(sin.dtype, -1));
    return plus(b, partial, rope(b, dy, { positions, cos, sin: back, heads }));
  });
};

/** h = x·s with s = sigmoid(x): dh/dx = s + h − h·s. */
const siluRule: GradientRule = ({ b, node, dy, give }) => {
  if (node.attributes.alpha !== 1) {
    throw new Error("Cannot differentiate QuickGelu: no gradient rule but for alpha 1");
  }
  give(0, (partial) => {
    const s = sigmoid(b, node.inputs[0]!);
    const h = node.outputs[0];
    return plus(b, partial, mul(b, dy, sub(b, add(b, s, h), mul(b, h, s))));
  });
};

/**
 * h = x·s with s = sigmoid(u) and u = x·(a + b·x²), which is GELU by tanh, as (1 + tanh(u/2))/2 = sigmoid(u):
 * dh/dx = s + (h − h·s)·(a + 3b·x²).
 */
const geluTanhRule: GradientRule = ({ b, node, dy, give }) => {
  const x = node.inputs[0]!;
  const h = node.outputs[0];
  give(0, (partial) => {
    const square = mul(b, x, x);
    const slope = (cubic: number): Value =>
      add(b, mul(b, square, b.float32(cubic)), b.float32(GELU_LINEAR));
    const s = sigmoid(b, mul(b, x, slope(GELU_CUBIC)));
    const inner = mul(b, sub(b, h, mul(b, h, s)), slope(3 * GELU_CUBIC));
    return plus(b, partial, mul(b, dy, add(b, s, inner)));
  });
};

const GELU_LINEAR = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBIC = GELU_LINEAR * 0.044715;

/** y = tanh(x): dx = dy·(1 − y²). */
const tanhRule: GradientRule = ({ b, node, dy, give }) => {
  const y = node.outputs[0];
  give(0, (partial) => plus(b, partial, sub(b, dy, mul(b, dy, mul(b, y, y)))));
};

/**
 * p = softmax(x): dx = p·(dp − Σ dp·p). In float32 whatever x is: a sum rounded to bfloat16 would
 * leave every element of a row off by the same amount, which adds up over the keys.
 */
const softmaxRule: GradientRule = ({ b, node, dy, give }) => {
  const p = node.outputs[0];
  give(0, (partial) => {
    const [p32, dy32] = [cast(b, p, "float32"), cast(b, dy, "float32")];
    const dx = mul(b, p32, sub(b, dy32, reduceSum(b, mul(b, dy32, p32), -1)));
    return plus(b, partial, cast(b, dx, p.dtype));
  });
};

/** y = x[start, end): dx is dy among zeros. */
const sliceRule: GradientRule = ({ b, node, dy, give }) => {
  const { shape } = node.inputs[0]!;
  const [start, end, axis] = node.inputs.slice(1).map((bound) => b.int64Of(bound!)[0]);
  give(0, (partial) => {
    const size = Number(shape[axis]);
    const zeros = (count: number): Value[] => {
      const parted = shape.map((dim, i) => i === axis ? count : dim);
      return count > 0 ? [expand(b, b.float(dy.dtype, 0), parted)] : [];
    };
    const parts = [...zeros(start), dy, ...zeros(size - end)];
    const dx = parts.length > 1 ? concat(b, parts, { axis, joined: size }) : dy;
    return plus(b, partial, dx);
  });
};

/** The rules by operation name. */
export const gradientRules: Readonly<Record<string, GradientRule>> = {
  Add: addRule,
  Cast: castRule,
  Div: divRule,
  Exp: expRule,
  Expand: expandRule,
  FastGelu: geluTanhRule,
  FusedMatMul: matmulRule,
  Gemm: gemmRule,
  Mul: mulRule,
  QuickGelu: siluRule,
  Reshape: reshapeRule,
  RotaryEmbedding: ropeRule,
  Sigmoid: sigmoidRule,
  SimplifiedLayerNormalization: rmsNormRule,
  Slice: sliceRule,
  Softmax: softmaxRule,
  Softplus: softplusRule,
  Sub: subRule,
  Tanh: tanhRule,
  Transpose: transposeRule,
};
