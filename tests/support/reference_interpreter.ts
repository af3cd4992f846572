/**
 * A slow, readable interpreter of graphs in float64: what ONNX Runtime's answers are held against.
 * In: a graph, its inputs and the values of its symbols. Out: its outputs by name. Numbers of every
 * dtype are doubles here; booleans are 0 and 1.
 */

import assert from "node:assert/strict";
import { evaluateShape, type Symbols } from "../../ort/graph/dim.ts";
import type { Constant, Graph, Node, Value } from "../../ort/graph/ir.ts";
import type { Dense } from "./dense.ts";
import { kernelOperations } from "./reference_kernels.ts";

/** Tensors by name. */
export type DenseMap = Readonly<Record<string, Dense>>;

type Operation = (node: Node, ...inputs: Dense[]) => Dense[];

/** A tensor of a shape, filled by index. */
export function dense(shape: readonly number[], fill: (index: number) => number): Dense {
  return { shape, data: Float64Array.from({ length: size(shape) }, (_, i) => fill(i)) };
}

function size(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Elements between neighbours along each dimension. */
function strides(shape: readonly number[]): number[] {
  return shape.map((_, i) => size(shape.slice(i + 1)));
}

function coordinates(index: number, shape: readonly number[]): number[] {
  return strides(shape).map((stride, i) => Math.floor(index / stride) % shape[i]);
}

function at({ shape, data }: Dense, position: readonly number[]): number {
  return data[strides(shape).reduce((offset, stride, i) => offset + stride * position[i], 0)];
}

/** For each element of `shape`, the element of `x` that NumPy's broadcasting pairs with it. */
function broadcastTo(x: Dense, shape: readonly number[]): Float64Array {
  if (x.shape.join() === shape.join()) return x.data;
  if (x.data.length === 1) return new Float64Array(size(shape)).fill(x.data[0]);
  const offset = shape.length - x.shape.length;
  const steps = strides(x.shape).map((stride, i) => x.shape[i] === 1 ? 0 : stride);
  return Float64Array.from({ length: size(shape) }, (_, index) => {
    const position = coordinates(index, shape).slice(offset);
    return x.data[steps.reduce((sum, step, i) => sum + step * position[i], 0)];
  });
}

function elementwise(compute: (...values: number[]) => number): Operation {
  return (_, ...inputs) => {
    const rank = Math.max(...inputs.map(({ shape }) => shape.length));
    const shape = Array.from(
      { length: rank },
      (_, i) => Math.max(...inputs.map((x) => x.shape[i - rank + x.shape.length] ?? 1)),
    );
    const columns = inputs.map((input) => broadcastTo(input, shape));
    return [dense(shape, (i) => compute(...columns.map((column) => column[i])))];
  };
}

/** Splits a tensor into the runs along its last dimension. */
function rowsOf({ shape, data }: Dense): Float64Array[] {
  const width = shape.at(-1)!;
  return Array.from(
    { length: data.length / width },
    (_, i) => data.slice(i * width, (i + 1) * width),
  );
}

function fromRows(shape: readonly number[], rows: readonly ArrayLike<number>[]): Dense {
  return { shape, data: Float64Array.from(rows.flatMap((row) => Array.from(row))) };
}

function reduction(combine: (total: number, value: number) => number, start: number): Operation {
  return (node, x, axes) => {
    const rank = x.shape.length;
    const axis = (axes.data[0] + rank) % rank;
    const kept = x.shape.map((dim, i) => i === axis ? 1 : dim);
    const totals = new Float64Array(size(kept)).fill(start);
    const steps = strides(kept).map((stride, i) => i === axis ? 0 : stride);
    x.data.forEach((value, index) => {
      const to = coordinates(index, x.shape).reduce((sum, c, i) => sum + c * steps[i], 0);
      totals[to] = combine(totals[to], value);
    });
    const shape = node.attributes.keepdims ? kept : kept.filter((_, i) => i !== axis);
    return [{ shape, data: totals }];
  };
}

function transposed(x: Dense, perm: readonly number[]): Dense {
  const shape = perm.map((axis) => x.shape[axis]);
  const all = strides(x.shape);
  const steps = perm.map((axis) => all[axis]);
  return dense(
    shape,
    (index) => x.data[coordinates(index, shape).reduce((sum, c, i) => sum + c * steps[i], 0)],
  );
}

function swapLast(x: Dense): Dense {
  const rank = x.shape.length;
  return transposed(x, [...x.shape.keys()].slice(0, -2).concat(rank - 1, rank - 2));
}

/** alpha · left · right over the last two dimensions. */
function multiply(left: Dense, right: Dense, alpha = 1): Dense {
  const [rows, inner] = left.shape.slice(-2);
  const columns = right.shape.at(-1)!;
  assert.equal(inner, right.shape.at(-2));
  const shape = [...left.shape.slice(0, -1), columns];
  const data = new Float64Array(size(shape));
  for (let i = 0; i < data.length / columns; i++) {
    const batch = Math.floor(i / rows);
    for (let k = 0; k < inner; k++) {
      const factor = alpha * left.data[i * inner + k];
      const from = (batch * inner + k) * columns;
      for (let j = 0; j < columns; j++) data[i * columns + j] += factor * right.data[from + j];
    }
  }
  return { shape, data };
}

const gemm: Operation = ({ attributes }, left, right, c) => {
  const y = multiply(
    attributes.transA ? swapLast(left) : left,
    attributes.transB ? swapLast(right) : right,
  );
  if (!c) return [y];
  const addend = broadcastTo(c, y.shape);
  return [dense(y.shape, (i) => y.data[i] + addend[i])];
};

const fusedMatMul: Operation = ({ attributes }, left, right) => [
  multiply(
    attributes.transA ? swapLast(left) : left,
    attributes.transB ? swapLast(right) : right,
    Math.fround(attributes.alpha as number),
  ),
];

const softmax: Operation = (_, x) => {
  const rows = rowsOf(x).map((row) => {
    const largest = Math.max(...row);
    const powers = row.map((value) => Math.exp(value - largest));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  });
  return [fromRows(x.shape, rows)];
};

const rmsNorm: Operation = ({ attributes }, x, weight) => {
  const epsilon = Math.fround(attributes.epsilon as number);
  const rows = rowsOf(x);
  const inverse = rows.map((row) =>
    1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + epsilon)
  );
  return [
    fromRows(x.shape, rows.map((row, r) => row.map((v, i) => v * inverse[r] * weight.data[i]))),
    { shape: [...x.shape.slice(0, -1), 1], data: Float64Array.from(inverse) },
  ];
};

/** Halves (a, b) of the turned part of each head at a position become (a·cos − b·sin, b·cos + a·sin). */
const rotary: Operation = ({ attributes }, x, positions, cos, sin) => {
  const half = cos.shape[1];
  const { num_heads: heads } = attributes;
  const headDim = heads === undefined ? 2 * half : x.shape[2] / Number(heads);
  return [dense(x.shape, (index) => {
    const [row, column, lane] = coordinates(index, x.shape);
    const position = at(positions, [row, column]);
    const within = lane % headDim;
    if (within >= 2 * half) return x.data[index];
    const partner = within < half ? x.data[index + half] : x.data[index - half];
    const i = within % half;
    const sign = within < half ? -1 : 1;
    return x.data[index] * at(cos, [position, i]) + sign * partner * at(sin, [position, i]);
  })];
};

const reshape: Operation = (_, x, target) => {
  const known = target.data.reduce((product, dim) => dim < 0 ? product : product * dim, 1);
  const shape = Array.from(target.data, (dim) => dim < 0 ? x.data.length / known : dim);
  assert.equal(size(shape), x.data.length);
  return [{ shape, data: x.data }];
};

const expand: Operation = (_, x, target) => {
  const shape = Array.from(target.data);
  return [{ shape, data: broadcastTo(x, shape) }];
};

/** From one element to before another of one axis, counted from its end where negative. */
const slice: Operation = (_, x, { data: [from] }, { data: [end] }, { data: [axis] }) => {
  const size = x.shape[axis];
  const start = from < 0 ? size + from : from;
  const stop = end < 0 ? size + end : Math.min(end, size);
  const shape = x.shape.map((dim, i) => i === axis ? stop - start : dim);
  return [dense(shape, (index) => {
    const place = coordinates(index, shape);
    return at(x, place.map((each, i) => i === axis ? each + start : each));
  })];
};

/** Zeros before and after. */
const padded: Operation = (_, x, { data: counts }) => {
  const rank = x.shape.length;
  const shape = x.shape.map((dim, i) => counts[i] + dim + counts[rank + i]);
  return [dense(shape, (index) => {
    const place = coordinates(index, shape).map((each, i) => each - counts[i]);
    return place.every((each, i) => each >= 0 && each < x.shape[i]) ? at(x, place) : 0;
  })];
};

/** Parts end to end along one axis. */
const concat: Operation = ({ attributes }, ...parts) => {
  const axis = Number(attributes.axis);
  const sizes = parts.map(({ shape }) => shape[axis]);
  const joined = sizes.reduce((sum, each) => sum + each, 0);
  const shape = parts[0].shape.map((dim, i) => i === axis ? joined : dim);
  return [dense(shape, (index) => {
    const place = coordinates(index, shape);
    let part = 0;
    while (place[axis] >= sizes[part]) place[axis] -= sizes[part++];
    return at(parts[part], place);
  })];
};

const gather: Operation = (_, table, ids) => {
  const width = size(table.shape.slice(1));
  const rows = Array.from(ids.data, (id) => table.data.slice(id * width, (id + 1) * width));
  return [fromRows([...ids.shape, ...table.shape.slice(1)], rows)];
};

const gatherElements: Operation = (_, x, ids) => [
  dense(ids.shape, (row) => at(x, [row, ids.data[row]])),
];

const scatterElements: Operation = (_, x, ids, updates) => {
  const data = x.data.slice();
  ids.data.forEach((id, row) => data[row * x.shape[1] + id] = updates.data[row]);
  return [{ shape: x.shape, data }];
};

const scatterRows: Operation = ({ attributes: { reduction } }, x, ids, updates) => {
  const data = x.data.slice();
  const width = x.shape[1];
  updates.data.forEach((value, i) => {
    const at = ids.data[Math.floor(i / width)] * width + i % width;
    data[at] = reduction === "add" ? data[at] + value : value;
  });
  return [{ shape: x.shape, data }];
};

const unsqueeze: Operation = (_, x, axes) => [
  { shape: x.shape.toSpliced(axes.data[0], 0, 1), data: x.data },
];

/** The operations by name. */
export const operations: Readonly<Record<string, Operation>> = {
  Add: elementwise((a, b) => a + b),
  And: elementwise((a, b) => a && b),
  Cast: elementwise((a) => a),
  Concat: concat,
  Div: elementwise((a, b) => a / b),
  Exp: elementwise(Math.exp),
  Equal: elementwise((a, b) => Number(a === b)),
  Expand: expand,
  FastGelu: elementwise((a) =>
    a / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a + 0.044715 * a ** 3)))
  ),
  FusedMatMul: fusedMatMul,
  Gather: gather,
  GatherElements: gatherElements,
  Gemm: gemm,
  Greater: elementwise((a, b) => Number(a > b)),
  Identity: elementwise((a) => a),
  LessOrEqual: elementwise((a, b) => Number(a <= b)),
  Log: elementwise(Math.log),
  LogSoftmax: (node, x) =>
    softmax(node, x).map(({ shape, data }) => ({ shape, data: data.map(Math.log) })),
  // Integers wrap around.
  MatMul: (_, left, right) => [multiply(left, right)],
  Mul: (node, ...inputs) =>
    elementwise(node.outputs[0].dtype === "int32" ? Math.imul : (a, b) => a * b)(node, ...inputs),
  QuickGelu: elementwise((a) => a / (1 + Math.exp(-a))),
  Reciprocal: elementwise((a) => 1 / a),
  Pad: padded,
  ReduceMax: reduction(Math.max, -Infinity),
  ReduceSum: reduction((total, value) => total + value, 0),
  ReduceSumSquare: reduction((total, value) => total + value * value, 0),
  Reshape: reshape,
  RotaryEmbedding: rotary,
  ScatterElements: scatterElements,
  ScatterND: scatterRows,
  Sigmoid: elementwise((a) => 1 / (1 + Math.exp(-a))),
  SimplifiedLayerNormalization: rmsNorm,
  Slice: slice,
  Softmax: softmax,
  Softplus: elementwise((a) => a > 0 ? a + Math.log1p(Math.exp(-a)) : Math.log1p(Math.exp(a))),
  Sqrt: elementwise(Math.sqrt),
  Sub: elementwise((a, b) => a - b),
  Tanh: elementwise(Math.tanh),
  Transpose: ({ attributes }, x) => [
    transposed(x, (attributes.perm as readonly bigint[]).map(Number)),
  ],
  Unsqueeze: unsqueeze,
  Where: elementwise((condition, yes, no) => condition ? yes : no),
  ...kernelOperations,
};

function constantValue({ value, data }: Constant): Dense {
  const numbers = value.dtype === "int64"
    ? Array.from(new BigInt64Array(data.buffer), Number)
    : new (value.dtype === "int32" ? Int32Array : Float32Array)(data.buffer);
  return { shape: value.shape as number[], data: Float64Array.from(numbers) };
}

/** Runs a graph in float64 and checks every declared shape on the way. */
export function interpret(
  graph: Graph,
  inputs: DenseMap,
  symbols: Symbols = {},
): Record<string, Dense> {
  const values = new Map<Value, Dense>();
  const set = (value: Value, result: Dense): void => {
    assert.deepEqual(result.shape, evaluateShape(value.shape, symbols), `shape of ${value.name}`);
    values.set(value, result);
  };
  for (const constant of graph.constants) values.set(constant.value, constantValue(constant));
  for (const input of graph.inputs) {
    const target = graph.shapeInputs.get(input.name);
    const given = target
      ? { shape: [target.length], data: Float64Array.from(evaluateShape(target, symbols)) }
      : inputs[input.name];
    assert.ok(given, `no input ${input.name} for graph ${graph.name}`);
    set(input, given);
  }
  for (const node of graph.nodes) {
    const read = node.inputs.map((input) => values.get(input!)!);
    const results = node.body
      ? scan(node, node.body, { read, symbols })
      : operations[node.op](node, ...read);
    node.outputs.forEach((output, i) => set(output, results[i]));
  }
  return Object.fromEntries(graph.outputs.map((output) => [output.name, values.get(output)!]));
}

/** Scan with one state and one output that is given out at each step. */
function scan(
  { attributes }: Node,
  body: Graph,
  { read: [initial, ...scanned], symbols }: {
    readonly read: readonly Dense[];
    readonly symbols: Symbols;
  },
): Dense[] {
  const [steps] = scanned[0].shape;
  const [backwards] = attributes.scan_input_directions as readonly bigint[];
  const { inputs: [stateInput, ...stepInputs], outputs: [next, given] } = body;
  const outputs = Array<Float64Array>(steps);
  let state = initial;
  for (let i = 0; i < steps; i++) {
    const step = backwards ? steps - 1 - i : i;
    const inputs = new Map([[stateInput.name, state]]);
    scanned.forEach(({ shape: [, ...shape], data }, each) => {
      const start = step * size(shape);
      inputs.set(stepInputs[each].name, { shape, data: data.slice(start, start + size(shape)) });
    });
    const made = interpret(body, Object.fromEntries(inputs), symbols);
    outputs[step] = made[given.name].data;
    state = made[next.name];
  }
  return [state, fromRows([steps, ...initial.shape], outputs)];
}
