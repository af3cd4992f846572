import assert from "node:assert/strict";
import { ArenaEstimate } from "./arena_estimate.ts";
import { GraphBuilder } from "./builder.ts";
import type { Graph } from "./ir.ts";
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
