import assert from "node:assert/strict";
import { graphText } from "../../tests/support/graph_text.ts";
import { GraphBuilder } from "./builder.ts";
import * as ops from "./ops.ts";

const names = (values: readonly { name: string }[]): string[] => values.map(({ name }) => name);

Deno.test("build() drops nodes, inputs and constants that no output needs", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [2]);
  const unused = b.input("unused", "float32", [2]);
  ops.mul(b, ops.sqrt(b, unused), b.float32(3));
  b.output("y", ops.add(b, x, b.float32(2)));
  ops.sqrt(b, x);
  const graph = b.build();
  assert.deepEqual(graph.nodes.map(({ op }) => op), ["Add"]);
  assert.deepEqual(names(graph.inputs), ["x"]);
  assert.deepEqual(graph.constants.map(({ data }) => new Float32Array(data.buffer)[0]), [2]);
});

Deno.test("build() drops shape inputs that only a dead node reads", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", ["length*rows", 2]);
  ops.reshape(b, x, ["rows", "length", 2]);
  b.output("y", ops.sqrt(b, x));
  const graph = b.build();
  assert.equal(graph.shapeInputs.size, 0);
  assert.deepEqual(names(graph.inputs), ["x"]);
});

Deno.test("build() keeps a node whose second output alone is needed", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", ["n", 2]);
  const w = b.input("w", "float32", [2]);
  b.output("inv_std", ops.rmsNorm(b, x, w, 1e-6)[1]);
  const { nodes, outputs } = b.build();
  assert.deepEqual(nodes.map(({ op }) => op), ["SimplifiedLayerNormalization"]);
  assert.equal(nodes[0].outputs[1], outputs[0]);
});

Deno.test("equal constants are one, and a scalar is not a list of one", () => {
  const b = new GraphBuilder("g");
  assert.equal(b.float32(0.5), b.float32(0.5));
  assert.equal(b.int64([1, -1]), b.int64([1n, -1n]));
  assert.notEqual(b.float32(1), b.float32([1]));
  assert.notEqual(b.float32([1]), b.int64([1]));
  assert.notEqual(b.float32(1), b.float32(2));
  // Told apart by what float32 holds, not by what was written.
  assert.equal(b.float32(0.1), b.float32(Math.fround(0.1)));
});

Deno.test("a shape with at most one symbol is a constant, any other a shared shape input", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", ["rows", "length", 6]);
  b.output("a", ops.reshape(b, x, ["length*rows", 6]));
  b.output("b", ops.reshape(b, x, ["rows", "length", 2, 3]));
  b.output("c", ops.reshape(b, ops.sqrt(b, x), ["rows", "length", 2, 3]));
  const graph = b.build();
  assert.deepEqual(graph.constants.map(({ data }) => [...new BigInt64Array(data.buffer)]), [
    [-1n, 6n],
  ]);
  assert.deepEqual([...graph.shapeInputs], [["shape:rows,length,2,3", ["rows", "length", 2, 3]]]);
  assert.deepEqual(names(graph.inputs), ["x", "shape:rows,length,2,3"]);
});

Deno.test("a constant is rounded to the type of what it is computed with", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "bfloat16", [2]);
  assert.equal(b.float("bfloat16", 2), b.float("bfloat16", 2));
  assert.equal(b.float("float32", 2), b.float32(2));
  b.output("y", ops.mul(b, x, b.float("bfloat16", [1 + 2 ** -9, -2])));
  b.output("z", ops.mul(b, b.input("i", "int32", [2]), b.int32(-1)));
  const [rounded, negative] = b.build().constants;
  assert.deepEqual([...new Uint16Array(rounded.data.buffer)], [0x3f80, 0xc000]);
  assert.deepEqual([...new Int32Array(negative.data.buffer)], [-1]);
  assert.throws(() => b.float("int32", 2), {
    name: "RangeError",
    message: "Cannot make a int32 constant in graph g: use float32 or bfloat16",
  });
});

Deno.test("output() renames a computed value for its readers too, and copies only an input", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [2]);
  const root = ops.sqrt(b, x);
  const sum = ops.add(b, root, root);
  b.output("sum", sum);
  b.output("root", root);
  b.output("same", x);
  const graph = b.build();
  assert.deepEqual(graph.nodes.map(({ op }) => op), ["Sqrt", "Add", "Identity"]);
  assert.deepEqual(names(graph.outputs), ["sum", "root", "same"]);
  assert.deepEqual(graph.nodes[1].inputs, [graph.outputs[1], graph.outputs[1]]);
});

Deno.test("a value that became an output can be read and be output again", () => {
  const b = new GraphBuilder("g");
  const root = ops.sqrt(b, b.input("x", "float32", [2]));
  b.output("y", root);
  b.output("z", root);
  b.output("w", ops.add(b, root, root));
  const graph = b.build();
  const made = new Set(graph.nodes.flatMap(({ outputs }) => outputs).concat(graph.inputs));
  for (const node of graph.nodes) {
    for (const input of node.inputs) assert.ok(made.has(input!), `${node.op} reads ${input?.name}`);
  }
  assert.deepEqual(names(graph.outputs), ["y", "z", "w"]);
});

Deno.test("cut() makes an input of a computed value, and what computed it goes", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [2]);
  const root = ops.sqrt(b, ops.mul(b, x, x));
  const before = ops.log(b, root);
  b.cut(root, "root");
  b.output("y", ops.add(b, before, ops.sqrt(b, root)));
  const graph = b.build();
  assert.deepEqual(names(graph.inputs), ["root"]);
  assert.deepEqual(graph.nodes.map(({ op }) => op), ["Log", "Sqrt", "Add"]);
  assert.deepEqual(graph.nodes.slice(0, 2).map(({ inputs }) => inputs[0]), [
    graph.inputs[0],
    graph.inputs[0],
  ]);
});

Deno.test("input() and output() refuse a name that is taken", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [2]);
  const message = "Cannot declare x in graph g: the name is taken";
  assert.throws(() => b.input("x", "float32", [3]), { name: "RangeError", message });
  assert.throws(() => b.output("x", ops.sqrt(b, x)), { name: "RangeError", message });
});

Deno.test("output() refuses to write in place of another shape or dtype", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [2]);
  const y = b.input("y", "float32", [3]);
  const narrow = b.input("narrow", "bfloat16", [2]);
  assert.throws(() => b.output("z", ops.sqrt(b, x), { inPlaceOf: y }), {
    name: "RangeError",
    message: "Cannot write z in place of y: shapes [2] and [3]",
  });
  assert.throws(() => b.output("w", ops.sqrt(b, x), { inPlaceOf: narrow }), {
    name: "RangeError",
    message: "Cannot write w in place of narrow: shapes [2] and [2]",
  });
});

Deno.test("output() in place of an input is told by both names", () => {
  const b = new GraphBuilder("g");
  const [x, y] = ["x", "y"].map((name) => b.input(name, "bfloat16", ["rows*2", 3]));
  b.output("x_new", ops.add(b, x, y), { inPlaceOf: x });
  b.output("sum", ops.add(b, y, y));
  const graph = b.build();
  assert.deepEqual([...graph.aliases], [["x_new", "x"]]);
  assert.deepEqual(graphText(graph), [
    "x_new bfloat16 [2*rows,3] = Add(x, y)",
    "sum bfloat16 [2*rows,3] = Add(y, y)",
    "x_new in x",
  ]);
});

Deno.test("node() names what it makes after its operation and its place, each name once", () => {
  const b = new GraphBuilder("g");
  const x = b.input("Exp_1", "float32", [2]);
  const [one, two, three] = b.node("Split", [x], [x, x, x]);
  const [other] = b.node("Exp", [one], [{ dtype: "bfloat16", shape: ["n"] }]);
  const [called] = b.node("Exp", [one], [x], { name: "called" });
  assert.deepEqual(names([one, two, three, other, called]), [
    ...["Split_0", "Split_0.1", "Split_0.2", "Exp_1.1", "called_2"],
  ]);
  assert.deepEqual(other, { name: "Exp_1.1", dtype: "bfloat16", shape: ["n"] });
  assert.deepEqual(b.nodes, [
    {
      ...{ op: "Split", domain: "", inputs: [x], outputs: [one, two, three], attributes: {} },
      body: undefined,
    },
    { op: "Exp", domain: "", inputs: [one], outputs: [other], attributes: {}, body: undefined },
    { op: "Exp", domain: "", inputs: [one], outputs: [called], attributes: {}, body: undefined },
  ]);
});

Deno.test("node() reads what a value has become, and keeps its body", () => {
  const b = new GraphBuilder("g");
  const root = ops.sqrt(b, b.input("x", "float32", [2]));
  b.output("root", root);
  const inner = new GraphBuilder("inner");
  inner.output("z", ops.exp(inner, inner.input("w", "float32", [2])));
  const body = inner.build();
  const [y] = b.node("Loop", [root, undefined], [root], {
    ...{ domain: "com.microsoft", attributes: { count: 3n }, body },
  });
  b.output("y", y);
  const graph = b.build();
  assert.equal(graph.nodes[1].body, body);
  assert.deepEqual(graphText(graph), [
    "root float32 [2] = Sqrt(x)",
    "y float32 [2] = com.microsoft:Loop(root, _) count=3 {z float32 [2] = Exp(w)}",
  ]);
  assert.equal(b.current(root), graph.outputs[0]);
  assert.equal(b.current(graph.inputs[0]), graph.inputs[0]);
});

Deno.test("constants of each type are scalars or lists, as little-endian bytes", () => {
  const b = new GraphBuilder("g");
  const made = [
    b.float32(1),
    b.float32([1, -2]),
    b.float32(Float64Array.of(0.5)),
    b.float("float32", -1),
    b.float("bfloat16", 1),
    b.float("bfloat16", [1, -2, 3]),
    b.int32(-2),
    b.int32([1, 2]),
    b.int64([-3, 4n]),
    b.int64([]),
  ];
  assert.deepEqual(made.map(({ name, dtype, shape }) => [name, dtype, shape]), [
    ["const_0", "float32", []],
    ["const_1", "float32", [2]],
    ["const_2", "float32", [1]],
    ["const_3", "float32", []],
    ["const_4", "bfloat16", []],
    ["const_5", "bfloat16", [3]],
    ["const_6", "int32", []],
    ["const_7", "int32", [2]],
    ["const_8", "int64", [2]],
    ["const_9", "int64", [0]],
  ]);
  const all = b.node("All", made, [made[0]])[0];
  b.output("y", all);
  assert.deepEqual(b.build().constants.map(({ data }) => [...data]), [
    [0, 0, 0x80, 0x3f],
    [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0],
    [0, 0, 0, 0x3f],
    [0, 0, 0x80, 0xbf],
    [0x80, 0x3f],
    [0x80, 0x3f, 0, 0xc0, 0x40, 0x40],
    [0xfe, 0xff, 0xff, 0xff],
    [1, 0, 0, 0, 2, 0, 0, 0],
    [0xfd, ...Array(7).fill(0xff), 4, ...Array(7).fill(0)],
    [],
  ]);
  assert.notEqual(b.float("bfloat16", 1), b.float("bfloat16", [1]));
  assert.notEqual(b.int32(1), b.int32([1]));
  assert.notEqual(b.int32([1]), b.int64([1]));
  assert.equal(b.int32([1, 2]), made[7]);
});

Deno.test("int64Of() answers an int64 constant's numbers, and refuses any other value", () => {
  const b = new GraphBuilder("g");
  const [first, second] = [b.int64([1, 2]), b.int64([-3])];
  assert.deepEqual(b.int64Of(second), [-3]);
  assert.deepEqual(b.int64Of(first), [1, 2]);
  const others = [b.int32([1]), b.float32(1), b.input("x", "int64", [1])];
  for (const each of [...others, { ...first }]) {
    assert.throws(() => b.int64Of(each), {
      name: "Error",
      message: `Cannot read ${each.name}: it is no int64 constant of g`,
    });
  }
});

Deno.test("shape() is a constant with at most one size to infer, or none where nothing infers it", () => {
  const b = new GraphBuilder("g");
  const cases = [
    [[2, 3], {}, [2, 3]],
    [["n", 3], {}, [-1, 3]],
    [[2, 3], { inferred: false }, [2, 3]],
    [["n", 3], { inferred: false }, undefined],
    [["n", "m"], {}, undefined],
    [["n", "n"], { inferred: true }, undefined],
    [[], {}, []],
  ] as const;
  for (const [shape, options, constant] of cases) {
    const value = b.shape(shape, options);
    assert.equal(b.shape(shape, options), value);
    assert.equal(value.dtype, "int64");
    assert.deepEqual(value.shape, [shape.length]);
    if (constant) assert.deepEqual(b.int64Of(value), constant);
    else assert.equal(value.name, `shape:${shape.join(",")}`);
  }
});

Deno.test("an own gradient is kept with its value", () => {
  const b = new GraphBuilder("g");
  const x = b.input("x", "float32", [2]);
  const own = { inputs: [x], rule: () => {} };
  const y = ops.exp(b, x);
  b.differentiate(y, own);
  assert.equal(b.ownGradient(y), own);
  assert.equal(b.ownGradient(x), undefined);
});

Deno.test("build() keeps inputs, outputs and nodes in their order, and leaves the builder as it was", () => {
  const b = new GraphBuilder("named");
  const [z, x] = [b.input("z", "float32", [2]), b.input("x", "float32", [2])];
  const [product, unread] = [ops.mul(b, x, z), ops.exp(b, z)];
  ops.log(b, unread);
  b.output("sum", ops.add(b, product, b.float32(3)));
  b.output("root", ops.sqrt(b, product));
  const graph = b.build();
  assert.equal(graph.name, "named");
  assert.deepEqual(names(graph.inputs), ["z", "x"]);
  assert.deepEqual(names(graph.outputs), ["sum", "root"]);
  assert.deepEqual(graphText(graph), [
    "Mul_0 float32 [2] = Mul(x, z)",
    "sum float32 [2] = Add(Mul_0, (3))",
    "root float32 [2] = Sqrt(Mul_0)",
  ]);
  assert.equal(b.nodes.length, 5);
  assert.deepEqual(b.build(), graph);
});
