import assert from "node:assert/strict";
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
  assert.throws(() => b.output("z", ops.sqrt(b, x), { inPlaceOf: y }), {
    name: "RangeError",
    message: "Cannot write z in place of y: shapes [2] and [3]",
  });
});
