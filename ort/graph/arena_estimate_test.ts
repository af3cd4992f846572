import assert from "node:assert/strict";
import { ArenaEstimate } from "./arena_estimate.ts";
import { GraphBuilder } from "./builder.ts";
import type { Graph, Node, Value } from "./ir.ts";
import * as ops from "./ops.ts";

const WIDTH = 64;
const ROW = 4 * WIDTH;

/** x [n, 64] through one function to an output that the caller binds. */
function graph(body: (b: GraphBuilder, x: ReturnType<GraphBuilder["input"]>) => void): Graph {
  const b = new GraphBuilder("test");
  body(b, b.input("x", "float32", ["n", WIDTH]));
  return b.build();
}

/** Bytes after one run with n rows. */
function bytesOf(body: Parameters<typeof graph>[0], n = 8): number {
  const arena = new ArenaEstimate();
  arena.run(graph(body), { n });
  return arena.bytes;
}

Deno.test("ArenaEstimate counts what lives at once, not what is bound or viewed", () => {
  assert.equal(bytesOf((b, x) => b.output("y", ops.softmax(b, x))), 0);
  assert.equal(bytesOf((b, x) => b.output("y", ops.softmax(b, ops.softmax(b, x)))), 8 * ROW);
  const chain = (b: GraphBuilder, x: Parameters<Parameters<typeof graph>[0]>[1]) =>
    b.output("y", ops.softmax(b, ops.softmax(b, ops.softmax(b, x))));
  assert.equal(bytesOf(chain), 16 * ROW);
  assert.equal(
    bytesOf((b, x) => {
      const first = ops.softmax(b, x);
      b.output("y", ops.softmax(b, ops.reshape(b, first, [WIDTH, "n"])));
    }),
    8 * ROW,
  );
});

Deno.test("ArenaEstimate keeps what it has, and splits large free chunks", () => {
  const one = graph((b, x) => b.output("y", ops.softmax(b, ops.softmax(b, x))));
  const two = graph((b, x) => {
    const left = ops.softmax(b, x);
    b.output("y", ops.add(b, left, ops.softmax(b, left)));
  });
  const arena = new ArenaEstimate();
  arena.run(one, { n: 16 });
  assert.equal(arena.bytes, 16 * ROW);
  arena.run(two, { n: 8 }); // both halves of what is free
  assert.equal(arena.bytes, 16 * ROW);
  arena.run(one, { n: 16 }); // joined again
  assert.equal(arena.bytes, 16 * ROW);
  arena.run(two, { n: 12 }); // 12 rows do not split 16 in a useful way
  assert.equal(arena.bytes, 28 * ROW);
});

/** What ONNX Runtime rounds every size up to. */
const GRAIN = 256;
const MIB = 2 ** 20;

/** One node of a schedule: what it reads, and bytes of what it makes. */
interface Step {
  readonly op?: string;
  readonly read?: readonly (string | undefined)[];
  readonly make?: Readonly<Record<string, number>>;
}

/** A graph whose nodes run in their order: each also reads what the one before gives to the caller. */
function schedule(steps: readonly Step[]): Graph {
  const values = new Map<string, Value>([["x", bytesNamed("x", 1000)]]);
  const nodes: Node[] = [];
  const outputs: Value[] = [];
  for (const [i, { op = "Step", read = [], make = {} }] of steps.entries()) {
    const made = Object.entries(make).map(([name, bytes]) => bytesNamed(name, bytes));
    for (const each of made) values.set(each.name, each);
    const token = bytesNamed(`token ${i}`, 77);
    nodes.push({
      ...{ op, domain: "", attributes: {} },
      inputs: [
        ...read.map((name) => name === undefined ? undefined : values.get(name)!),
        outputs[i - 1],
      ],
      outputs: [...made, token],
    });
    outputs.push(token);
  }
  return handmade(nodes, { inputs: [values.get("x")!], outputs });
}

function bytesNamed(name: string, bytes: number): Value {
  return { name, dtype: "uint8", shape: [bytes] };
}

function handmade(nodes: readonly Node[], bound: Pick<Graph, "inputs" | "outputs">): Graph {
  return { name: "g", nodes, ...bound, constants: [], aliases: new Map(), shapeInputs: new Map() };
}

/** Grains of the arena after each of several runs. */
function grainsAfter(...runs: readonly (readonly Step[])[]): number[] {
  const arena = new ArenaEstimate();
  return runs.map((steps) => {
    arena.run(schedule(steps), {});
    return arena.bytes / GRAIN;
  });
}

/** The sizes of a step in grains. */
function grains(make: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(make).map(([name, each]) => [name, each * GRAIN]));
}

Deno.test("ArenaEstimate rounds sizes up to 256 bytes, and tells the largest as it is", () => {
  for (const [bytes, rounded] of [[0, 256], [1, 256], [255, 256], [256, 256], [257, 512]]) {
    const arena = new ArenaEstimate();
    assert.deepEqual([arena.bytes, arena.largest], [0, 0]);
    arena.run(schedule([{ make: { a: bytes } }]), {});
    assert.deepEqual([arena.bytes, arena.largest], [rounded, bytes]);
  }
  const arena = new ArenaEstimate();
  arena.run(schedule([{ make: { a: 300, b: 200 } }, { read: ["a", "b"], make: { c: 100 } }]), {});
  assert.equal(arena.largest, 300);
  arena.run(schedule([{ make: { a: 10 } }]), {});
  assert.equal(arena.largest, 300);
  const b = new GraphBuilder("half");
  b.output("y", ops.exp(b, ops.exp(b, b.input("x", "bfloat16", ["n", 3]))));
  const half = new ArenaEstimate();
  half.run(b.build(), { n: 200 });
  assert.deepEqual([half.bytes, half.largest], [1280, 1200]);
  assert.throws(() => half.run(b.build(), {}), { name: "ReferenceError" });
});

Deno.test("ArenaEstimate frees a value after its last reader, and one without readers at once", () => {
  const cases: readonly (readonly [steps: readonly Step[], grains: number])[] = [
    // A value lives while the node that reads it last makes its outputs.
    [[{ make: { a: 1 } }, { read: ["a"], make: { c: 1 } }], 2],
    [[{ make: { a: 1 } }, { read: ["a"] }, { make: { c: 1 } }], 1],
    [[{ make: { a: 1 } }, { read: ["a"] }, { read: ["a"] }, { make: { c: 1 } }], 1],
    [[{ make: { a: 1 } }, { read: ["a"] }, { read: ["a"], make: { c: 1 } }], 2],
    [[{ make: { a: 1 } }, { read: ["a"], make: { c: 1 } }, { read: ["a"] }], 2],
    // Read twice by one node.
    [[{ make: { a: 1 } }, { read: ["a", undefined, "a"] }, { make: { c: 1 } }], 1],
    [[{ make: { a: 1 } }, { read: ["a", "a"] }, { read: ["a"], make: { c: 1 } }], 2],
    // Not read.
    [[{ make: { a: 1 } }, { make: { c: 1 } }, { make: { d: 1 } }], 1],
    [[{ make: { a: 1, c: 1 } }, { read: ["c"], make: { d: 1 } }], 2],
    // What the caller gives takes nothing.
    [[{ read: ["x", undefined], make: { a: 1 } }], 1],
  ];
  for (const [steps, wanted] of cases) {
    const sized = steps.map(({ make = {}, ...step }) => ({ ...step, make: grains(make) }));
    assert.deepEqual(grainsAfter(sized), [wanted], JSON.stringify(steps));
  }
});

Deno.test("ArenaEstimate gives a view its operand's memory, until the last of them is read", () => {
  for (const op of ["Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity", "Transpose"]) {
    const views = op !== "Identity" && op !== "Transpose";
    const view: Step = { op, read: ["a"], make: grains({ v: 1 }) };
    const runs: readonly (readonly [steps: readonly Step[], viewed: number, copied: number])[] = [
      [[view, { read: ["v"] }], 1, 2],
      // The operand's last reader is the view; its memory is the view's then.
      [[view, { read: ["v"], make: grains({ c: 1 }) }], 2, 2],
      [
        [view, { read: ["v"], make: grains({ c: 1 }) }, { read: ["c"], make: grains({ d: 1 }) }],
        2,
        2,
      ],
      // The view dies before its operand.
      [[view, { read: ["v"] }, { read: ["a"], make: grains({ c: 1 }) }], 2, 2],
      [[view, { read: ["v"] }, { read: ["a"] }, { make: grains({ c: 1 }) }], 1, 2],
      // A view of a view, and one that nothing reads.
      [[view, { op, read: ["v"], make: grains({ w: 1 }) }, { read: ["w"] }], 1, 2],
      [[view, { make: grains({ c: 1 }) }], 1, 2],
    ];
    for (const [steps, viewed, copied] of runs) {
      const all = [{ make: grains({ a: 1 }) }, ...steps];
      assert.deepEqual(grainsAfter(all), [views ? viewed : copied], JSON.stringify(all));
    }
    // Of what the caller gives a view is the caller's.
    const given = { op, read: ["x"], make: grains({ v: 1 }) };
    const again = { op, read: ["v"], make: grains({ w: 2 }) };
    assert.deepEqual(grainsAfter([given, again, { read: ["w"] }]), [views ? 0 : 3], op);
    // The second input is viewed by none.
    assert.deepEqual(grainsAfter([{ ...given, read: [undefined, "x"] }]), [1], op);
  }
});

Deno.test("ArenaEstimate gives a view of a constant no memory", () => {
  const b = new GraphBuilder("constant");
  b.output("y", ops.exp(b, ops.reshape(b, b.float32([1, 2, 3]), [3, 1])));
  const arena = new ArenaEstimate();
  arena.run(b.build(), {});
  assert.deepEqual([arena.bytes, arena.largest], [0, 0]);
});

Deno.test("ArenaEstimate takes the smallest free chunk that is large enough, the first of equal ones", () => {
  const three = { make: grains({ a: 4, b: 2, c: 3 }) };
  for (const order of ["pqr", "rqp", "qrp"]) {
    const sizes: Readonly<Record<string, number>> = { p: 2, q: 3, r: 4 };
    const make = Object.fromEntries(Array.from(order, (name) => [name, sizes[name]]));
    assert.deepEqual(grainsAfter([three], [{ make: grains(make) }]), [9, 9], order);
  }
  assert.deepEqual(grainsAfter([three], [{ make: grains({ p: 5 }) }]), [9, 14]);
  // Of two free chunks the first is taken, though the second would leave a larger one.
  const equal: readonly Step[] = [
    { make: grains({ a: 1, b: 1 }) }, // of one chunk of two
    { make: grains({ c: 1 }) }, // a chunk of its own
    { read: ["a"] },
    { read: ["c"] },
    { make: grains({ d: 1 }) }, // in place of a
    { read: ["b"] },
    { make: grains({ e: 2 }) }, // b alone is too small
    { read: ["d", "e"] },
  ];
  assert.deepEqual(grainsAfter([{ make: grains({ whole: 2 }) }], equal), [2, 5]);
});

Deno.test("ArenaEstimate splits a chunk where as much again, or 128 MiB, is left over", () => {
  const cases: readonly (readonly [whole: number, first: number, second: number, sum: number])[] = [
    [4, 2, 2, 4],
    [5, 3, 2, 7],
    [5, 3, 1, 6],
    [3, 1, 2, 3],
    [3, 1, 1, 3],
    [288 * MIB / GRAIN, 160 * MIB / GRAIN, 128 * MIB / GRAIN, 288 * MIB / GRAIN],
    [288 * MIB / GRAIN - 1, 160 * MIB / GRAIN, 1, 288 * MIB / GRAIN],
  ];
  for (const [whole, first, second, sum] of cases) {
    const runs = [[{ make: grains({ whole }) }], [{ make: grains({ first, second }) }]];
    assert.deepEqual(grainsAfter(...runs), [whole, sum], `${first} and ${second} of ${whole}`);
  }
});

Deno.test("ArenaEstimate joins a free chunk with its free neighbours, in whatever order they are freed", () => {
  /** In one chunk of 8 grains a, b and c of 2, 2 and 4. */
  const parts = { make: grains({ a: 2, b: 2, c: 4 }) };
  const cases: readonly (readonly [steps: readonly Step[], sum: number])[] = [
    [[parts, { read: ["a"] }, { read: ["b"] }, { read: ["c"], make: grains({ d: 4 }) }], 8],
    [[parts, { read: ["b"] }, { read: ["a"] }, { read: ["c"], make: grains({ d: 4 }) }], 8],
    [[parts, { read: ["a"] }, { read: ["c"], make: grains({ d: 4 }) }, { read: ["b"] }], 12],
    [[parts, { read: ["a", "c"] }, { read: ["b"], make: grains({ d: 3 }) }, {
      make: grains({ e: 8 }),
    }], 8],
    // All in one again, whichever is the last.
    ...["abc", "acb", "bac", "bca", "cab", "cba"].map((order) =>
      [
        [parts, ...Array.from(order, (name) => ({ read: [name] })), { make: grains({ d: 8 }) }],
        8,
      ] as const
    ),
    // What was joined is one chunk, and no part of it can be had besides.
    [[parts, { read: ["a"] }, { read: ["b"] }, { read: ["c"], make: grains({ d: 4, e: 2 }) }], 10],
    // A chunk with a neighbour is split: c lies after the rest then, and is joined with it.
    [
      [parts, { read: ["a"] }, { read: ["b"] }, { make: grains({ d: 2 }) }, { read: ["c"] }, {
        read: ["d"],
        make: grains({ e: 6 }),
      }],
      8,
    ],
    [
      [
        parts,
        { read: ["a"] },
        { read: ["b"] },
        { make: grains({ d: 2 }) },
        { read: ["c"] },
        { make: grains({ e: 6 }) },
        { read: ["d", "e"] },
      ],
      8,
    ],
  ];
  for (const [steps, sum] of cases) {
    const found = grainsAfter([{ make: grains({ whole: 8 }) }], steps);
    assert.deepEqual(found, [8, sum], JSON.stringify(steps));
  }
});

Deno.test("ArenaEstimate runs nodes as ONNX Runtime does: from the last that nothing reads, the later input's first", () => {
  const node = (inputs: readonly Value[], outputs: readonly Value[]): Node => ({
    ...{ op: "Step", domain: "", attributes: {}, inputs, outputs },
  });
  const [x, A, a, B, b, y, z] = [1, 4, 1, 2, 1, 9, 9]
    .map((size, i) => bytesNamed("xAaBbyz"[i], size * GRAIN));
  const branches = [node([x], [A]), node([A], [a]), node([x], [B]), node([B], [b])];
  const grainsOf = (nodes: readonly Node[], outputs: readonly Value[]): number => {
    const arena = new ArenaEstimate();
    arena.run(handmade(nodes, { inputs: [x], outputs }), {});
    return arena.bytes / GRAIN;
  };
  // B and b; then A beside b, and a where B was. The other way B and b would both fit where A was.
  assert.equal(grainsOf([...branches, node([a, b], [y])], [y]), 7);
  assert.equal(grainsOf([...branches, node([b, a], [y])], [y]), 7);
  // Two that nothing reads: B is made first, and A does not fit where it was.
  assert.equal(
    grainsOf([...branches.slice(0, 1), node([A], [y]), branches[2], node([B], [z])], [y, z]),
    6,
  );
  // One value that both branches read is made once, and lives until both are made.
  assert.equal(
    grainsOf([node([x], [A]), node([A], [a]), node([A], [b]), node([a, b], [y])], [y]),
    6,
  );
});
