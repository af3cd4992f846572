import assert from "node:assert/strict";
import { graphText } from "../../tests/support/graph_text.ts";
import { GraphBuilder } from "./builder.ts";
import type { Shape } from "./dim.ts";
import type { Value } from "./ir.ts";
import * as ops from "./ops.ts";

/** Declares float32 inputs a, b, c … of these shapes. */
function inputs(b: GraphBuilder, ...shapes: Shape[]): Value[] {
  return shapes.map((shape, i) => b.input("abcdefgh"[i], "float32", shape));
}

Deno.test("operations infer the shapes of their results", () => {
  const b = new GraphBuilder("g");
  const [x, w, bias] = inputs(b, ["length*rows", 6], [4, 6], [4]);
  const ids = b.input("ids", "int64", ["n", 1]);
  const cases: [Value, Shape][] = [
    [ops.linear(b, x, w, bias), ["length*rows", 4]],
    [ops.gemm(b, x, x, { transA: true }), [6, 6]],
    [ops.reshape(b, x, ["rows", "length", 2, 3]), ["rows", "length", 2, 3]],
    [ops.transpose(b, x, [1, 0]), [6, "length*rows"]],
    [ops.rmsNorm(b, x, b.input("g", "float32", [6]), 1e-6)[1], ["length*rows", 1]],
    [ops.reduceSum(b, x, -1), ["length*rows", 1]],
    [ops.reduceSum(b, x, 0, { keepDims: false }), [6]],
    [ops.gather(b, x, ids), ["n", 1, 6]],
    [ops.gatherElements(b, x, ids), ["n", 1]],
    [ops.scatterRows(b, x, ids, x), ["length*rows", 6]],
    [ops.unsqueeze(b, x, 1), ["length*rows", 1, 6]],
    [ops.expand(b, b.float32(1), ["rows", "length"]), ["rows", "length"]],
    [ops.concat(b, [x, x], { axis: 1, joined: 12 }), ["length*rows", 12]],
    [ops.slice(b, x, { axis: 1, start: 2, end: 5 }), ["length*rows", 3]],
    [ops.sumRows(b, x), [6]],
    [ops.sumRows(b, ops.cast(b, x, "bfloat16")), [6]],
    [ops.where(b, ops.equal(b, x, b.float32(0)), b.float32(1), x), ["length*rows", 6]],
  ];
  for (const [value, shape] of cases) assert.deepEqual(value.shape, shape, value.name);
  const q = b.input("q", "float32", ["rows", 2, "length", 8]);
  const k = b.input("k", "float32", ["rows", 2, "keys", 8]);
  assert.deepEqual(ops.matmul(b, q, k, { transB: true }).shape, ["rows", 2, "length", "keys"]);
});

Deno.test("operations on booleans and casts answer the right dtype", () => {
  const b = new GraphBuilder("g");
  const [x] = inputs(b, [3]);
  assert.equal(ops.lessOrEqual(b, x, b.float32(0)).dtype, "bool");
  assert.equal(ops.greater(b, x, b.float32(0)).dtype, "bool");
  assert.equal(ops.cast(b, x, "bfloat16").dtype, "bfloat16");
  assert.equal(ops.cast(b, x, "float32"), x);
});

Deno.test("in bfloat16 SiLU is float32 inside, and RMSNorm is one operation", () => {
  const names = (apply: (b: GraphBuilder, x: Value, w: Value) => Value): string[] => {
    const b = new GraphBuilder("g");
    b.output("y", apply(b, b.input("x", "bfloat16", ["n", 4]), b.input("w", "bfloat16", [4])));
    const { nodes, outputs } = b.build();
    assert.equal(outputs[0].dtype, "bfloat16");
    return nodes.map(({ op, outputs }) => `${op} ${outputs[0].dtype}`);
  };
  assert.deepEqual(names(ops.silu), ["Cast float32", "QuickGelu float32", "Cast bfloat16"]);
  assert.deepEqual(names((b, x, w) => ops.rmsNorm(b, x, w, 1e-6)[0]), [
    "SimplifiedLayerNormalization bfloat16",
  ]);
  // One symbol, and no −1: Expand cannot find out a size.
  const b = new GraphBuilder("g");
  b.output("y", ops.sumRows(b, b.input("x", "bfloat16", ["n", 4])));
  assert.deepEqual([...b.build().shapeInputs.values()], [[1, "n"]]);
});

Deno.test("operations refuse shapes that do not fit, naming both values", () => {
  const cases: [RegExp, Shape[], (b: GraphBuilder, v: Value[]) => unknown][] = [
    [
      /^Cannot apply Gemm to a \[n,5\] and b \[4,6\]: 5 against 6$/,
      [["n", 5], [4, 6]],
      (b, [x, w]) => ops.linear(b, x, w),
    ],
    [
      /^Cannot apply Gemm to a: expected 2 dimensions, got \[n,2,5\]$/,
      [["n", 2, 5], [4, 5]],
      (b, [x, w]) => ops.linear(b, x, w),
    ],
    [
      /^Cannot apply Gemm to addend c \[n,1\]: expected \[4\] or \[n,4\]$/,
      [["n", 5], [4, 5], ["n", 1]],
      (b, [x, w, c]) => ops.linear(b, x, w, c),
    ],
    [
      /^Cannot apply FusedMatMul to a \[rows,2,3\] and b \[n,3,4\]: rows against n$/,
      [["rows", 2, 3], ["n", 3, 4]],
      (b, [x, y]) => ops.matmul(b, x, y),
    ],
    [/: 3 against 4$/, [["rows", 2, 3], ["rows", 4, 5]], (b, [x, y]) => ops.matmul(b, x, y)],
    [
      /^Cannot reshape a from \[n,5\] to \[n,6\]$/,
      [["n", 5]],
      (b, [x]) => ops.reshape(b, x, ["n", 6]),
    ],
    [
      /^Cannot apply Transpose to a: expected 3 dimensions, got \[n,5\]$/,
      [["n", 5]],
      (b, [x]) => ops.transpose(b, x, [0, 2, 1]),
    ],
    [
      /^Cannot apply RotaryEmbedding to a: expected 3 dimensions, got \[n,8\]$/,
      [["n", 8], [4, 2], [4, 2]],
      (b, [x, cos, sin]) => ops.rope(b, x, { positions: x, cos, sin, heads: 2 }),
    ],
    [
      /^Cannot apply Concat to a \[2,3\] and b \[4,3\]: 2 against 4$/,
      [[2, 3], [4, 3]],
      (b, [x, y]) => ops.concat(b, [x, y], { axis: 1, joined: 6 }),
    ],
    [
      /^Cannot apply Gemm to b: expected 2 dimensions, got \[5\]$/,
      [["n", 5], [5]],
      (b, [x, w]) => ops.linear(b, x, w),
    ],
    [
      /^Cannot apply Gemm to addend c \[5\]: expected \[4\] or \[n,4\]$/,
      [["n", 5], [4, 5], [5]],
      (b, [x, w, c]) => ops.linear(b, x, w, c),
    ],
    [
      /^Cannot apply Concat to a \[n,2,3\] and c \[n,2,4\]: 3 against 4$/,
      [["n", 2, 3], ["n", 5, 3], ["n", 2, 4]],
      (b, values) => ops.concat(b, values, { axis: 1, joined: 9 }),
    ],
    [/Cannot broadcast shapes \[2\] and \[3\]/, [[2], [3]], (b, [x, y]) => ops.add(b, x, y)],
  ];
  for (const [message, shapes, apply] of cases) {
    const b = new GraphBuilder("g");
    const values = inputs(b, ...shapes);
    assert.throws(() => apply(b, values), { name: "RangeError", message });
  }
});

/** Values of all types that operations take, made as they are named. */
class Inputs {
  readonly b: GraphBuilder = new GraphBuilder("g");

  of(name: string, shape: Shape, dtype: Value["dtype"] = "float32"): Value {
    return this.b.input(name, dtype, shape);
  }
}

/** The text of a graph whose outputs are y, y1 and so on. */
function written(make: (inputs: Inputs) => Value | readonly Value[]): string[] {
  const inputs = new Inputs();
  const made = [make(inputs)].flat() as Value[];
  made.forEach((value, i) => inputs.b.output(`y${i || ""}`, value));
  return graphText(inputs.b.build());
}

// As the operators are defined: https://onnx.ai/onnx/operators and ContribOperators.md of ONNX Runtime.
const WRITTEN: Readonly<
  Record<string, readonly [(inputs: Inputs) => Value | readonly Value[], ...string[]]>
> = {
  "gemm() without options": [
    (v) => ops.gemm(v.b, v.of("a", ["n", 3]), v.of("c", [3, 4])),
    "y float32 [n,4] = Gemm(a, c) transA=0 transB=0",
  ],
  "gemm() with all of them": [
    (v) =>
      ops.gemm(v.b, v.of("a", [3, "n"]), v.of("c", [4, 3]), {
        ...{ transA: true, transB: true, c: v.of("d", ["n", 4]) },
      }),
    "y float32 [n,4] = Gemm(a, c, d) transA=1 transB=1",
  ],
  "linear() with a bias": [
    (v) =>
      ops.linear(
        v.b,
        v.of("x", ["n", 3], "bfloat16"),
        v.of("w", [4, 3], "bfloat16"),
        v.of("bias", [4], "bfloat16"),
      ),
    "y bfloat16 [n,4] = Gemm(x, w, bias) transA=0 transB=1",
  ],
  "matmul() without options": [
    (v) => ops.matmul(v.b, v.of("a", ["rows", 2, "n", 3]), v.of("c", ["rows", 2, 3, 4])),
    "y float32 [rows,2,n,4] = com.microsoft:FusedMatMul(a, c) transA=0 transB=0 alpha=1f",
  ],
  "matmul() with all of them": [
    (v) =>
      ops.matmul(v.b, v.of("a", [2, 3, "n"]), v.of("c", [2, 4, 3]), {
        ...{ transA: true, transB: true, alpha: 0.5 },
      }),
    "y float32 [2,n,4] = com.microsoft:FusedMatMul(a, c) transA=1 transB=1 alpha=0.5f",
  ],
  "add(), sub(), mul() and div()": [
    (v) => {
      const [a, c] = [v.of("a", ["n", 1]), v.of("c", [4])];
      return [ops.add(v.b, a, c), ops.sub(v.b, a, c), ops.mul(v.b, a, c), ops.div(v.b, a, c)];
    },
    "y float32 [n,4] = Add(a, c)",
    "y1 float32 [n,4] = Sub(a, c)",
    "y2 float32 [n,4] = Mul(a, c)",
    "y3 float32 [n,4] = Div(a, c)",
  ],
  "scale()": [
    (v) => ops.scale(v.b, v.of("x", ["n", 2]), 0.5),
    "y float32 [n,2] = Mul(x, (0.5))",
  ],
  "scale() of bfloat16, in float32": [
    (v) => ops.scale(v.b, v.of("x", ["n", 2], "bfloat16"), 3),
    "Cast_0 float32 [n,2] = Cast(x) to=1",
    "Mul_1 float32 [n,2] = Mul(Cast_0, (3))",
    "y bfloat16 [n,2] = Cast(Mul_1) to=16",
  ],
  "operations on one value": [
    (v) => {
      const x = v.of("x", ["n", 2]);
      const all = [
        ...[ops.sqrt, ops.exp, ops.log, ops.sigmoid, ops.softplus, ops.sign, ops.tanh],
        ...[ops.identity, ops.silu, ops.geluTanh, ops.softmax, ops.logSoftmax],
      ];
      return all.map((apply) => apply(v.b, x));
    },
    "y float32 [n,2] = Sqrt(x)",
    "y1 float32 [n,2] = Exp(x)",
    "y2 float32 [n,2] = Log(x)",
    "y3 float32 [n,2] = Sigmoid(x)",
    "y4 float32 [n,2] = Softplus(x)",
    "y5 float32 [n,2] = Sign(x)",
    "y6 float32 [n,2] = Tanh(x)",
    "y7 float32 [n,2] = Identity(x)",
    "y8 float32 [n,2] = com.microsoft:QuickGelu(x) alpha=1f",
    "y9 float32 [n,2] = com.microsoft:FastGelu(x)",
    "y10 float32 [n,2] = Softmax(x) axis=-1",
    "y11 float32 [n,2] = LogSoftmax(x) axis=-1",
  ],
  "silu() and geluTanh() of bfloat16, in float32": [
    (v) => [ops.silu, ops.geluTanh].map((apply, i) => apply(v.b, v.of(`x${i}`, ["n"], "bfloat16"))),
    "Cast_0 float32 [n] = Cast(x0) to=1",
    "QuickGelu_1 float32 [n] = com.microsoft:QuickGelu(Cast_0) alpha=1f",
    "y bfloat16 [n] = Cast(QuickGelu_1) to=16",
    "Cast_3 float32 [n] = Cast(x1) to=1",
    "FastGelu_4 float32 [n] = com.microsoft:FastGelu(Cast_3)",
    "y1 bfloat16 [n] = Cast(FastGelu_4) to=16",
  ],
  "reshape()": [
    (v) => ops.reshape(v.b, v.of("x", ["n", 6]), ["n", 3, 2]),
    "y float32 [n,3,2] = Reshape(x, int64[-1 3 2])",
  ],
  "transpose()": [
    (v) => ops.transpose(v.b, v.of("x", ["n", 3, 4]), [2, 0, 1]),
    "y float32 [4,n,3] = Transpose(x) perm=[2 0 1]",
  ],
  "rmsNorm()": [
    (v) => ops.rmsNorm(v.b, v.of("x", ["n", 3, 4], "bfloat16"), v.of("w", [4], "bfloat16"), 0.25),
    "y bfloat16 [n,3,4], y1 float32 [n,3,1] = SimplifiedLayerNormalization(x, w) axis=-1 " +
    "epsilon=0.25f stash_type=1",
  ],
  "rope() of whole heads": [
    (v) =>
      ops.rope(v.b, v.of("x", ["rows", "length", 24]), {
        ...{ positions: v.of("positions", ["rows", "length"], "int64"), heads: 2 },
        ...{ cos: v.of("cos", ["p", 6]), sin: v.of("sin", ["p", 6]) },
      }),
    "y float32 [rows,length,24] = com.microsoft:RotaryEmbedding(x, positions, cos, sin)",
  ],
  "rope() of a part of heads": [
    (v) =>
      ops.rope(v.b, v.of("x", ["rows", "length", 24]), {
        ...{ positions: v.of("positions", ["rows", "length"], "int64"), heads: 3 },
        ...{ cos: v.of("cos", ["p", 2]), sin: v.of("sin", ["p", 2]) },
      }),
    "y float32 [rows,length,24] = com.microsoft:RotaryEmbedding(x, positions, cos, sin) " +
    "num_heads=3 rotary_embedding_dim=4",
  ],
  "reductions": [
    (v) => {
      const x = v.of("x", ["n", 3, 4]);
      return [
        ...[ops.reduceSum(v.b, x, 1), ops.reduceSumSquare(v.b, x, -1), ops.reduceMax(v.b, x, 0)],
        ...[-3, -2, 2].map((axis) => ops.reduceSum(v.b, x, axis, { keepDims: false })),
      ];
    },
    "y float32 [n,1,4] = ReduceSum(x, int64[1]) keepdims=1",
    "y1 float32 [n,3,1] = ReduceSumSquare(x, int64[-1]) keepdims=1",
    "y2 float32 [1,3,4] = ReduceMax(x, int64[0]) keepdims=1",
    "y3 float32 [3,4] = ReduceSum(x, int64[-3]) keepdims=0",
    "y4 float32 [n,4] = ReduceSum(x, int64[-2]) keepdims=0",
    "y5 float32 [n,3] = ReduceSum(x, int64[2]) keepdims=0",
  ],
  "sumRows()": [
    (v) => ops.sumRows(v.b, v.of("x", ["n", 4])),
    "y float32 [4] = ReduceSum(x, int64[0]) keepdims=0",
  ],
  "sumRows() of bfloat16, a product with ones": [
    (v) => ops.sumRows(v.b, v.of("x", [3, 4], "bfloat16")),
    "Expand_0 bfloat16 [1,3] = Expand(bfloat16(1), int64[1 3])",
    "Gemm_1 bfloat16 [1,4] = Gemm(Expand_0, x) transA=0 transB=0",
    "y bfloat16 [4] = Reshape(Gemm_1, int64[4])",
  ],
  "gather(), gatherElements() and what scatters": [
    (v) => {
      const [x, ids, updates] = [
        v.of("x", ["n", 4], "bfloat16"),
        v.of("ids", ["m", 1], "int64"),
        v.of("updates", ["m", 4], "bfloat16"),
      ];
      return [
        ...[ops.gather(v.b, x, ids), ops.gatherElements(v.b, x, ids)],
        ...[ops.scatterElements(v.b, x, ids, updates), ops.scatterRows(v.b, x, ids, updates)],
        ops.scatterRows(v.b, x, ids, updates, { add: true }),
      ];
    },
    "y bfloat16 [m,1,4] = Gather(x, ids) axis=0",
    "y1 bfloat16 [m,1] = GatherElements(x, ids) axis=1",
    "y2 bfloat16 [n,4] = ScatterElements(x, ids, updates) axis=1",
    "y3 bfloat16 [n,4] = ScatterND(x, ids, updates)",
    'y4 bfloat16 [n,4] = ScatterND(x, ids, updates) reduction="add"',
  ],
  "unsqueeze()": [
    (v) => {
      const x = v.of("x", ["n", 4]);
      return [0, 1, 2].map((axis) => ops.unsqueeze(v.b, x, axis));
    },
    "y float32 [1,n,4] = Unsqueeze(x, int64[0])",
    "y1 float32 [n,1,4] = Unsqueeze(x, int64[1])",
    "y2 float32 [n,4,1] = Unsqueeze(x, int64[2])",
  ],
  "comparisons": [
    (v) => {
      const [a, c] = [v.of("a", ["n", 1]), v.of("c", [4])];
      const all = [ops.equal, ops.greater, ops.lessOrEqual].map((compare) => compare(v.b, a, c));
      return [...all, ops.and(v.b, v.of("d", ["n", 1], "bool"), v.of("e", [4], "bool"))];
    },
    "y bool [n,4] = Equal(a, c)",
    "y1 bool [n,4] = Greater(a, c)",
    "y2 bool [n,4] = LessOrEqual(a, c)",
    "y3 bool [n,4] = And(d, e)",
  ],
  "where()": [
    (v) =>
      ops.where(
        v.b,
        v.of("c", [2, 1, 1], "bool"),
        v.of("yes", ["n", 1], "int64"),
        v.of("no", [4], "int64"),
      ),
    "y int64 [2,n,4] = Where(c, yes, no)",
  ],
  "expand()": [
    (v) => [ops.expand(v.b, v.of("x", [1, 4]), [3, 4]), ops.expand(v.b, v.b.float32(0), [2, "n"])],
    "y float32 [3,4] = Expand(x, int64[3 4])",
    "y1 float32 [2,n] = Expand((0), shape:2,n)",
  ],
  "concat()": [
    (v) => {
      const [x, z, w] = [v.of("x", ["n", 2, 4]), v.of("z", ["n", 3, 4]), v.of("w", ["n", 1, 4])];
      return ops.concat(v.b, [x, z, w], { axis: 1, joined: 6 });
    },
    "y float32 [n,6,4] = Concat(x, z, w) axis=1",
  ],
  "slice()": [
    (v) => ops.slice(v.b, v.of("x", ["n", 9, 4]), { axis: 1, start: 2, end: 7 }),
    "y float32 [n,5,4] = Slice(x, int64[2], int64[7], int64[1])",
  ],
  "cast()": [
    (v) => {
      const x = v.of("x", ["n"]);
      return ["bfloat16", "float16", "float64", "int64", "int32", "bool", "uint8"].map((dtype) =>
        ops.cast(v.b, x, dtype as Value["dtype"])
      );
    },
    "y bfloat16 [n] = Cast(x) to=16",
    "y1 float16 [n] = Cast(x) to=10",
    "y2 float64 [n] = Cast(x) to=11",
    "y3 int64 [n] = Cast(x) to=7",
    "y4 int32 [n] = Cast(x) to=6",
    "y5 bool [n] = Cast(x) to=9",
    "y6 uint8 [n] = Cast(x) to=2",
  ],
  "matMulNBits()": [
    (v) =>
      ops.matMulNBits(v.b, v.of("x", ["n", 40]), {
        ...{ data: v.of("data", [6, 3, 8], "uint8"), scales: v.of("scales", [6, 3]) },
        ...{ block: 16, bits: 4 },
      }, { accuracyLevel: 4 }),
    "y float32 [n,6] = com.microsoft:MatMulNBits(x, data, scales) K=40 N=6 bits=4 block_size=16 " +
    "accuracy_level=4",
  ],
  "gatherNBits()": [
    (v) =>
      ops.gatherNBits(v.b, {
        ...{ data: v.of("data", [6, 3, 16], "uint8"), scales: v.of("scales", [6, 3], "bfloat16") },
        ...{ block: 16, bits: 8 },
      }, v.of("ids", ["n"], "int64")),
    "Unsqueeze_0 bfloat16 [6,3,1] = Unsqueeze(scales, int64[2])",
    "y bfloat16 [n,3,16] = com.microsoft:GatherBlockQuantized(data, ids, Unsqueeze_0) gather_axis=0 " +
    "quantize_axis=2 block_size=16 bits=8",
  ],
  "dequantizeLinear()": [
    (v) => {
      const [numbers, scales] = [
        v.of("numbers", ["n", 2, 40], "int8"),
        v.of("scales", ["n", 2, 3]),
      ];
      const zero = v.of("zero", ["n", 2, 3], "int8");
      return [{ block: 16 }, { block: 32, zero }].map((options) =>
        ops.dequantizeLinear(v.b, numbers, scales, options)
      );
    },
    "y float32 [n,2,40] = DequantizeLinear(numbers, scales) axis=2 block_size=16",
    "y1 float32 [n,2,40] = DequantizeLinear(numbers, scales, zero) axis=2 block_size=32",
  ],
  "dequantizeHalves()": [
    (v) =>
      ops.dequantizeHalves(v.b, v.of("bytes", ["n", 32], "uint8"), v.of("scales", ["n", 4]), {
        ...{ block: 16, columns: 64 },
      }),
    "Cast_0 uint8 [] = Cast(int32(15)) to=2",
    "BitwiseAnd_1 uint8 [n,32] = BitwiseAnd(bytes, Cast_0)",
    "Cast_2 uint8 [] = Cast(int32(4)) to=2",
    'BitShift_3 uint8 [n,32] = BitShift(bytes, Cast_2) direction="RIGHT"',
    "Concat_4 uint8 [n,64] = Concat(BitwiseAnd_1, BitShift_3) axis=1",
    "Mul_5 float32 [n,4] = Mul(scales, (0))",
    "Cast_6 uint8 [n,4] = Cast(Mul_5) to=2",
    "Cast_7 uint8 [] = Cast(int32(8)) to=2",
    "Add_8 uint8 [n,4] = Add(Cast_6, Cast_7)",
    "y float32 [n,64] = DequantizeLinear(Concat_4, scales, Add_8) axis=1 block_size=16",
  ],
};

for (const [name, [make, ...lines]] of Object.entries(WRITTEN)) {
  Deno.test(`${name} writes the nodes of its definition`, () => {
    assert.deepEqual(written(make), lines);
  });
}

Deno.test("scale() by 1 writes no node", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "bfloat16", [2]);
  assert.equal(ops.scale(b, x, 1), x);
  assert.deepEqual(b.nodes, []);
});

Deno.test("groupQueryAttention() scales queries of float32 before, and leaves others' scale to the kernel", () => {
  const inputs = (v: Inputs, dtype: Value["dtype"]) => ({
    ...{ q: v.of("q", ["rows", "length", 32], dtype), k: v.of("k", ["rows", "length", 16], dtype) },
    ...{ v: v.of("v", ["rows", "length", 16], dtype), heads: 4, kvHeads: 2, scale: 0.25 },
    cacheK: v.of("past_k", ["rows", 2, "capacity", 8], dtype),
    cacheV: v.of("past_v", ["rows", 2, "capacity", 8], dtype),
    lastIndex: v.of("last", ["rows"], "int32"),
    totalLength: v.of("total", [], "int32"),
  });
  assert.deepEqual(written((v) => ops.groupQueryAttention(v.b, inputs(v, "float32"))), [
    "Mul_0 float32 [rows,length,32] = Mul(q, (0.25))",
    "y float32 [rows,length,32], y1 float32 [rows,2,capacity,8], y2 float32 [rows,2,capacity,8] = " +
    "com.microsoft:GroupQueryAttention(Mul_0, k, v, past_k, past_v, last, total) num_heads=4 " +
    "kv_num_heads=2 scale=1f",
  ]);
  assert.deepEqual(
    written((v) =>
      ops.groupQueryAttention(v.b, {
        ...inputs(v, "bfloat16"),
        window: 7,
        rotary: { cos: v.of("cos", ["p", 4], "bfloat16"), sin: v.of("sin", ["p", 4], "bfloat16") },
        present: ["rows", 2, "more", 8],
      })
    ),
    [
      "y bfloat16 [rows,length,32], y1 bfloat16 [rows,2,more,8], y2 bfloat16 [rows,2,more,8] = " +
      "com.microsoft:GroupQueryAttention(q, k, v, past_k, past_v, last, total, cos, sin) num_heads=4 " +
      "kv_num_heads=2 scale=0.25f do_rotary=1 local_window_size=7",
    ],
  );
});

Deno.test("operations on weights of few bits refuse shapes that do not fit", () => {
  const of = (apply: (v: Inputs) => unknown) => () => apply(new Inputs());
  const weights = (v: Inputs, blocks: number) => ({
    ...{ data: v.of("data", [6, 3, 8], "uint8"), scales: v.of("scales", [6, blocks]) },
    ...{ block: 16, bits: 4 } as const,
  });
  // 33 to 48 numbers are three blocks.
  for (const [width, fits] of [[32, false], [33, true], [48, true], [49, false]] as const) {
    const product = of((v) =>
      ops.matMulNBits(v.b, v.of("x", ["n", width]), weights(v, 3), { accuracyLevel: 0 })
    );
    if (fits) product();
    else {
      assert.throws(product, {
        name: "RangeError",
        message: `Cannot apply MatMulNBits to x [n,${width}] and scales [6,3]: ` +
          `${width === 32 ? 32 : 64} against 48`,
      });
    }
  }
  assert.throws(
    of((v) => ops.matMulNBits(v.b, v.of("x", [2, "n", 48]), weights(v, 3), { accuracyLevel: 0 })),
    { message: "Cannot apply MatMulNBits to x: expected 2 dimensions, got [2,n,48]" },
  );
  assert.throws(of((v) => ops.gatherNBits(v.b, weights(v, 4), v.of("ids", ["n"], "int64"))), {
    message: "Cannot apply GatherBlockQuantized to data [6,3,8] and scales [6,4]: 3 against 4",
  });
  const flat = of((v) =>
    ops.gatherNBits(v.b, { ...weights(v, 3), data: v.of("flat", [6, 3], "uint8") }, v.of("i", [1]))
  );
  assert.throws(flat, {
    message: "Cannot apply GatherBlockQuantized to flat: expected 3 dimensions, got [6,3]",
  });
  assert.throws(of((v) => ops.sumRows(v.b, v.of("x", [2, 3, 4], "bfloat16"))), {
    message: "Cannot apply sumRows to x: expected 2 dimensions, got [2,3,4]",
  });
});
