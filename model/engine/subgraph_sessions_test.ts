import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import { swiglu } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import { type Graph, KERNEL_DOMAIN, type Node } from "../../ort/graph/ir.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { openObjects } from "../../tests/support/open_objects.ts";
import { Scratch } from "./scratch.ts";
import { type LaunchNode, planCrossing, SubgraphSessions } from "./subgraph_sessions.ts";

const runtime = new Runtime({ threads: 2 });

/**
 * y = gated + x, where gated is first · second + third of an operation of ortune's own, whose operands are x + 1
 * and x + 2, and nothing in between.
 */
function gatedGraph(): Graph {
  const b = new GraphBuilder("gated");
  const x = b.input("x", "float32", ["rows", 3]);
  const [first, second] = [1, 2].map((plus) => ops.add(b, x, b.float32(plus)));
  const [gated] = b.node("Gate", [first, undefined, second], [x], { domain: KERNEL_DOMAIN });
  b.output("y", ops.add(b, gated, x));
  return b.build();
}

/** first · second, and a line for each launch. */
function gate(lines: string[] = []): LaunchNode {
  return ({ op }, inputs, outputs) => {
    const shapes = inputs.map((each) => each ? `[${each.shape}]` : "none");
    lines.push(`${op}(${shapes.join(" ")}) -> ${outputs.map(({ shape }) => `[${shape}]`)}`);
    const [first, , second] = inputs.map((each) => each?.float32());
    outputs[0].float32().set(first!.map((each, i) => each * second![i]));
  };
}

const gated = (x: ArrayLike<number>): number[] =>
  Array.from(x, (each) => (each + 1) * (each + 2) + each);

function floats(shape: readonly number[], values: readonly number[]): Tensor {
  return Tensor.from(runtime, "float32", shape, Float32Array.from(values));
}

for (const views of [true, false]) {
  const where = views ? "one buffer" : "several buffers";
  Deno.test(`kernels run between sessions on what these leave for them, in ${where}`, () => {
    using scratch = new Scratch(runtime);
    const lines: string[] = [];
    const graph = gatedGraph();
    using sessions = new SubgraphSessions(runtime, graph, { launch: gate(lines), scratch, views });
    assert.equal(sessions.graph, graph);
    using binding = sessions.bind({});
    assert.equal(binding.sizes, "");
    // Larger, smaller, and the first size again, each twice.
    const sizes = [2, 5, 1, 2];
    for (const rows of sizes) {
      const values = Array.from({ length: rows * 3 }, (_, i) => i - rows);
      using x = floats([rows, 3], values);
      for (let run = 0; run < 2; run++) {
        using y = Tensor.allocate(runtime, "float32", [rows, 3]);
        sessions.bindMore(binding, { x, y }, { rows });
        binding.run();
        assert.deepEqual([...y.float32()], gated(values));
      }
    }
    const line = (rows: number): string => `Gate([${rows},3] none [${rows},3]) -> [${rows},3]`;
    assert.deepEqual(lines, sizes.flatMap((rows) => [line(rows), line(rows)]));
  });
}

Deno.test("bindings of other weights and launches share sessions and what crosses them", () => {
  using scratch = new Scratch(runtime);
  const [own, other]: string[][] = [[], []];
  using sessions = new SubgraphSessions(runtime, gatedGraph(), {
    ...{ launch: gate(own), scratch, views: true },
  });
  using x = floats([1, 3], [1, 2, 3]);
  using z = floats([1, 3], [-4, 0, 5]);
  using y = Tensor.allocate(runtime, "float32", [1, 3]);
  using first = sessions.bind({ x });
  using second = sessions.bind({ x: z, y }, gate(other));
  sessions.bindMore(first, { y }, { rows: 1 });
  sessions.bindMore(second, {}, { rows: 1 });
  assert.equal(first.sizes, second.sizes);
  first.run();
  assert.deepEqual([...y.float32()], gated([1, 2, 3]));
  second.run();
  assert.deepEqual([...y.float32()], gated([-4, 0, 5]));
  assert.deepEqual([own.length, other.length], [1, 1]);
  // A later tensor replaces an earlier one.
  sessions.bindMore(second, { x }, { rows: 1 });
  second.run();
  assert.deepEqual([...y.float32()], gated([1, 2, 3]));
});

Deno.test("a buffer that others made larger is bound anew", () => {
  using scratch = new Scratch(runtime);
  using sessions = new SubgraphSessions(runtime, gatedGraph(), {
    ...{ launch: gate(), scratch, views: true },
  });
  using x = floats([1, 3], [1, 2, 3]);
  using y = Tensor.allocate(runtime, "float32", [1, 3]);
  using binding = sessions.bind({ x, y });
  sessions.bindMore(binding, {}, { rows: 1 });
  const before = binding.sizes;
  scratch.atLeast("subgraphs.0", 10_000).bytes().fill(255);
  sessions.bindMore(binding, {}, { rows: 1 });
  assert.notEqual(binding.sizes, before);
  binding.run();
  assert.deepEqual([...y.float32()], gated([1, 2, 3]));
});

Deno.test("run() binds, runs once and releases, of a graph in one piece too", () => {
  using scratch = new Scratch(runtime);
  const options = { launch: gate(), scratch, views: true };
  using x = floats([2, 3], [1, 2, 3, 4, 5, 6]);
  using y = Tensor.allocate(runtime, "float32", [2, 3]);
  using sessions = new SubgraphSessions(runtime, gatedGraph(), options);
  sessions.run({ x, y }, { rows: 2 });
  assert.deepEqual([...y.float32()], gated([1, 2, 3, 4, 5, 6]));
  const b = new GraphBuilder("whole");
  const [p, q] = ["p", "q"].map((name) => b.input(name, "float32", [2, 3]));
  b.output("sum", ops.add(b, p, q), { inPlaceOf: q });
  using whole = new SubgraphSessions(runtime, b.build(), options);
  whole.run({ p: x, q: y });
  assert.deepEqual([...y.float32()], gated([1, 2, 3, 4, 5, 6]).map((each, i) => each + 1 + i));
});

/** y = 2 · x, and sum = y + before in place of before, all in operations of ortune's own. */
function inPlaceGraph(): Graph {
  const b = new GraphBuilder("in_place");
  const [x, before] = ["x", "before"].map((name) => b.input(name, "float32", ["rows", 3]));
  const kernel = { domain: KERNEL_DOMAIN, attributes: {} } as const;
  const [y] = b.node("Double", [x], [x], kernel);
  const [sum] = b.node("LoraUpWeightGradient", [y, undefined, before], [before], kernel);
  b.output("y", y);
  b.output("sum", sum, { inPlaceOf: before });
  return b.build();
}

Deno.test("an output in place is where its input is, for kernels too, unless it has a tensor of its own", () => {
  using scratch = new Scratch(runtime);
  const launch: LaunchNode = (_, [x, , before], [to]) =>
    void to.float32().set(
      x!.float32().map((each, i) => before ? each + before.float32()[i] : 2 * each),
    );
  using sessions = new SubgraphSessions(runtime, inPlaceGraph(), {
    ...{ launch, scratch, views: true },
  });
  using x = floats([1, 3], [1, 2, 3]);
  using y = Tensor.allocate(runtime, "float32", [1, 3]);
  using before = floats([1, 3], [10, 20, 30]);
  sessions.run({ x, y, before }, { rows: 1 });
  assert.deepEqual([...before.float32()], [12, 24, 36]);
  using sum = floats([1, 3], [0, 0, 0]);
  sessions.run({ x, y, before, sum }, { rows: 1 });
  assert.deepEqual([...before.float32(), ...sum.float32()], [12, 24, 36, 14, 28, 42]);
  assert.throws(() => sessions.run({ x, before }, { rows: 1 }), {
    message: "Cannot launch a kernel: no tensor for y",
  });
});

Deno.test("what crosses subgraphs lies in one buffer where it may, each at a multiple of 256 bytes", () => {
  const b = new GraphBuilder("crossing");
  const value = (name: string, width: number) => b.input(name, "float32", ["rows", width]);
  const crossing = [
    { value: value("a", 1), from: 0, to: 1 },
    { value: value("b", 70), from: 1, to: 2 },
    { value: value("c", 2), from: 2, to: 3 },
  ];
  // Of 20, 1400 and 40 bytes; a and c are never there at once.
  assert.deepEqual(planCrossing(crossing, { rows: 5 }, { views: true }), {
    places: [{ buffer: 0, offset: 1536 }, { buffer: 0, offset: 0 }, { buffer: 0, offset: 1536 }],
    buffers: [1792],
  });
  assert.deepEqual(planCrossing(crossing, { rows: 5 }, { views: false }), {
    places: [{ buffer: 1, offset: 0 }, { buffer: 0, offset: 0 }, { buffer: 1, offset: 0 }],
    buffers: [1400, 40],
  });
});

Deno.test("sessions that ONNX Runtime refuses leave none open, and their graph is named", () => {
  const b = new GraphBuilder("refused");
  const x = b.input("x", "float32", ["rows", 16]);
  const first = ops.add(b, x, x);
  const [wrong] = b.node("NoSuchOperator", [swiglu(b, first, x)], [x]);
  b.output("y", wrong);
  using scratch = new Scratch(runtime);
  assert.throws(
    () => new SubgraphSessions(runtime, b.build(), { launch: gate(), scratch, views: true }),
    /^Error: Cannot compile graph refused\.2: .*NoSuchOperator/s,
  );
});

Deno.test("sessions, their bindings and what crosses them are released", () => {
  using own = new Runtime({ threads: 1 });
  using scratch = new Scratch(own);
  scratch.atLeast("subgraphs.0", 512);
  const open = openObjects(own);
  const sessions = new SubgraphSessions(own, gatedGraph(), {
    ...{ launch: gate(), scratch, views: true },
  });
  assert.deepEqual(open(), { sessions: 2, bindings: 0, tensors: 0 });
  const binding = sessions.bind({});
  sessions.bindMore(binding, {}, { rows: 2 });
  assert.deepEqual(open(), { sessions: 2, bindings: 2, tensors: 3 });
  sessions.bindMore(binding, {}, { rows: 1 });
  assert.deepEqual(open(), { sessions: 2, bindings: 2, tensors: 3 });
  binding[Symbol.dispose]();
  assert.deepEqual(open(), { sessions: 2, bindings: 0, tensors: 3 });
  sessions[Symbol.dispose]();
  assert.deepEqual(open(), { sessions: 0, bindings: 0, tensors: 0 });
});

Deno.test("released sessions take what they left in shared memory with them", () => {
  using scratch = new Scratch(runtime);
  const crossed: (Tensor | undefined)[] = [];
  const launch = (
    node: Node,
    inputs: readonly (Tensor | undefined)[],
    outputs: readonly Tensor[],
  ) => {
    crossed.push(...inputs);
    gate()(node, inputs, outputs);
  };
  using x = floats([1, 3], [1, 2, 3]);
  using y = Tensor.allocate(runtime, "float32", [1, 3]);
  const sessions = new SubgraphSessions(runtime, gatedGraph(), { launch, scratch, views: true });
  sessions.run({ x, y }, { rows: 1 });
  using wide = floats([2, 3], [1, 2, 3, 4, 5, 6]);
  using tall = Tensor.allocate(runtime, "float32", [2, 3]);
  const [first] = crossed.splice(0);
  sessions.run({ x: wide, y: tall }, { rows: 2 });
  assert.throws(() => first!.float32(), /it was disposed of/);
  const [second] = crossed;
  second!.float32();
  sessions[Symbol.dispose]();
  assert.throws(() => second!.float32(), /it was disposed of/);
});
