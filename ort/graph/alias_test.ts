import assert from "node:assert/strict";
import { assertAliases } from "./alias.ts";
import { GraphBuilder } from "./builder.ts";
import type { Graph, Node, Value } from "./ir.ts";
import * as ops from "./ops.ts";

/** Builds a graph that writes `y` in place of `x` [4, 4], with `z` [4, 4] beside it. */
function inPlace(make: (b: GraphBuilder, x: Value, z: Value) => Value | [Value, Value]): void {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [4, 4]);
  const z = b.input("z", "float32", [4, 4]);
  const [y, other] = [make(b, x, z)].flat();
  b.output("y", y, { inPlaceOf: x });
  if (other) b.output("other", other);
  b.build();
}

const safe: Readonly<Record<string, Parameters<typeof inPlace>[0]>> = {
  "Add": (b, x, z) => ops.add(b, x, z),
  "Add of the value to itself": (b, x) => ops.add(b, x, x),
  "Add after Mul, as AdamW does": (b, x, z) => ops.add(b, ops.mul(b, x, b.float32(0.9)), z),
  "Sub with the input on the right": (b, x, z) => ops.sub(b, z, x),
  "Sqrt": (b, x) => ops.sqrt(b, x),
  "Softmax": (b, x) => ops.softmax(b, x),
  "Gemm's C": (b, x, z) => ops.gemm(b, z, z, { c: x }),
  "SimplifiedLayerNormalization": (b, x) => ops.rmsNorm(b, x, b.float32([1, 1, 1, 1]), 1e-6)[0],
  "ScatterND": (b, x, z) => ops.scatterRows(b, x, b.input("ids", "int64", [4, 1]), z),
  "ScatterElements": (b, x) => {
    const ids = b.input("ids", "int64", [4, 1]);
    return ops.scatterElements(b, x, ids, b.input("updates", "float32", [4, 1]));
  },
  "a Gemm that reads the input before the writer": (b, x, z) => ops.add(b, x, ops.gemm(b, x, z)),
  "another reader of it that is an ancestor": (b, x, z) => {
    const earlier = ops.mul(b, x, z);
    return [ops.add(b, x, earlier), ops.sqrt(b, earlier)];
  },
  "a view read only by ancestors": (b, x, z) => {
    const flat = ops.reshape(b, x, [16]);
    return ops.add(b, z, ops.reduceSum(b, flat, 0, { keepDims: false }));
  },
  "a view of another value, read after the writer": (b, x, z) => {
    const flat = ops.reshape(b, z, [16]);
    return [ops.add(b, x, z), ops.sqrt(b, flat)];
  },
  "two ancestors of the writer that share one": (b, x, z) => {
    const first = ops.mul(b, x, z);
    return ops.add(b, ops.sqrt(b, first), ops.exp(b, first));
  },
  "a writer that does not read it": (b, x, z) => ops.add(b, ops.mul(b, x, x), z),
};

for (const [name, make] of Object.entries(safe)) {
  Deno.test(`the alias rule accepts ${name}`, () => inPlace(make));
}

const unsafe: Readonly<Record<string, [string, Parameters<typeof inPlace>[0]]>> = {
  "Gemm's A": ["Gemm", (b, x, z) => ops.gemm(b, x, z)],
  "Gemm's B": ["Gemm", (b, x, z) => ops.gemm(b, z, x)],
  "Gemm's A and C at once": ["Gemm", (b, x, z) => ops.gemm(b, x, z, { c: x })],
  "FusedMatMul": ["FusedMatMul", (b, x, z) => ops.matmul(b, x, z)],
  "Transpose": ["Transpose", (b, x) => ops.transpose(b, x, [1, 0])],
  "ScatterND's updates": [
    "ScatterND",
    (b, x, z) => ops.scatterRows(b, z, b.input("ids", "int64", [4, 1]), x),
  ],
  "another reader that is not an ancestor": ["Sqrt", (b, x, z) => [
    ops.add(b, x, z),
    ops.sqrt(b, x),
  ]],
  "a later reader of the input, emitted before the writer": ["Mul", (b, x, z) => {
    const other = ops.mul(b, x, z);
    return [ops.add(b, x, z), other];
  }],
  "a reader of a reshaped input that is not an ancestor": ["Mul", (b, x) => {
    const flat = ops.reshape(b, x, [16]);
    const other = ops.mul(b, flat, flat);
    return [ops.add(b, x, ops.reduceSum(b, flat, 0, { keepDims: false })), other];
  }],
};

for (const [name, [op, make]] of Object.entries(unsafe)) {
  Deno.test(`the alias rule rejects ${name}`, () => {
    assert.throws(() => inPlace(make), {
      name: "Error",
      message: new RegExp(
        `^Cannot write y in place of x in graph g: ${op} \\(\\w+\\) may read it after it was ` +
          "overwritten; use a buffer of its own$",
      ),
    });
  });
}

Deno.test("the alias rule rejects two outputs in one memory", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [4]);
  const earlier = ops.mul(b, x, x);
  b.output("y", ops.sqrt(b, earlier), { inPlaceOf: x });
  b.output("z", ops.add(b, earlier, earlier), { inPlaceOf: x });
  assert.throws(() => b.build(), {
    message: "Cannot write z in place of x in graph g: y is written there",
  });
});

Deno.test("an alias whose input was pruned shares nothing and is accepted", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [4]);
  const unread = b.input("unread", "float32", [4]);
  b.output("y", ops.sqrt(b, x), { inPlaceOf: unread });
  assert.deepEqual(b.build().inputs, [x]);
});

const value = (name: string): Value => ({ name, dtype: "float32", shape: [4] });
const node = (op: string, inputs: Node["inputs"], outputs: readonly Value[]): Node => ({
  ...{ op, domain: "", inputs, outputs, attributes: {} },
});

/** A graph of nodes; `y` in `x` means that y is written in place of x. */
function graphOf(
  nodes: readonly Node[],
  { inputs, outputs, aliases }: {
    readonly inputs: readonly Value[];
    readonly outputs: readonly Value[];
    readonly aliases: Readonly<Record<string, string>>;
  },
): Graph {
  return {
    ...{ name: "g", inputs, outputs, nodes, constants: [] },
    ...{ aliases: new Map(Object.entries(aliases)), shapeInputs: new Map() },
  };
}

Deno.test("each operation may overwrite the inputs that it reads before it writes, and no other", () => {
  // The inputs of the kernels as `ort/kernels/` takes them: those after a gradient's own are what it is added to.
  const cases: Readonly<Record<string, readonly [count: number, overwritten: readonly number[]]>> =
    {
      Add: [2, [0, 1]],
      Sub: [2, [0, 1]],
      Mul: [2, [0, 1]],
      Div: [2, [0, 1]],
      Sqrt: [1, [0]],
      Softmax: [1, [0]],
      Exp: [1, []],
      Gemm: [3, [2]],
      FusedMatMul: [3, []],
      GroupQueryAttention: [9, [3, 4]],
      ScatterND: [3, [0]],
      ScatterElements: [3, [0]],
      SimplifiedLayerNormalization: [2, [0]],
      LoraDownWeightGradient: [9, [4, 6, 8]],
      LoraUpWeightGradient: [5, [2, 3, 4]],
      RMSNormGradient: [6, [5]],
      RotaryHeadsGradient: [13, [11, 12]],
      LoraDown: [8, []],
    };
  for (const [op, [count, overwritten]] of Object.entries(cases)) {
    const found = Array.from({ length: count }, (_, i) => i).filter((at) => {
      const [x, y] = [value("x"), value("y")];
      const read = Array.from({ length: count }, (_, i) => i === at ? x : undefined);
      const graph = graphOf([node(op, read, [y])], {
        ...{ inputs: [x], outputs: [y], aliases: { y: "x" } },
      });
      try {
        assertAliases(graph);
        return true;
      } catch (error) {
        assert.equal(
          (error as Error).message,
          `Cannot write y in place of x in graph g: ${op} (y) may read it after it was ` +
            "overwritten; use a buffer of its own",
        );
        return false;
      }
    });
    assert.deepEqual(found, overwritten, op);
  }
});

Deno.test("a view of the input is its memory, of each operation that makes none of its own", () => {
  for (const op of ["Identity", "Reshape", "Unsqueeze", "Transpose", "Squeeze"]) {
    const [x, other, view, y, z] = ["x", "other", "view", "y", "z"].map(value);
    const late = (viewed: readonly Value[]): Graph =>
      graphOf(
        [node(op, viewed, [view]), node("Add", [x, view], [y]), node("Exp", [view], [z])],
        { inputs: [x, other], outputs: [y, z], aliases: { y: "x" } },
      );
    const isView = op !== "Transpose" && op !== "Squeeze";
    if (isView) {
      assert.throws(() => assertAliases(late([x, other])), {
        message: "Cannot write y in place of x in graph g: Exp (z) may read it after it was " +
          "overwritten; use a buffer of its own",
      });
    } else assertAliases(late([x, other]));
    // The shape that it is given makes no view.
    assertAliases(late([other, x]));
  }
});

Deno.test("an output that is no output of a node cannot be written in place", () => {
  const [x, y] = [value("x"), value("y")];
  const graph = graphOf([], { inputs: [x, y], outputs: [y], aliases: { y: "x" } });
  assert.throws(() => assertAliases(graph), {
    name: "Error",
    message: "Cannot alias y: it is not computed in the graph",
  });
});

Deno.test("aliases of pruned inputs and of outputs that are gone are passed over", () => {
  const [x, y, z] = ["x", "y", "z"].map(value);
  const nodes = [node("Exp", [x], [y]), node("Transpose", [x], [z])];
  const given = { inputs: [x], outputs: [y, z] };
  assertAliases(graphOf(nodes, { ...given, aliases: { y: "pruned", z: "pruned" } }));
  assertAliases(graphOf(nodes, { ...given, aliases: { gone: "x" } }));
});
