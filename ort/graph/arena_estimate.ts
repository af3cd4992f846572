/**
 * The memory that running graphs takes besides their inputs and outputs.
 *
 * In: graphs in the order in which they run, and what their symbols stand for. Out: the size of
 * ONNX Runtime's arena afterwards, fragments included: a model of its allocator (bfc_arena.cc with
 * kSameAsRequested), given the graph's values one by one, each freed after its last reader, in the
 * order in which ONNX Runtime runs the nodes. Work in an operand's memory is left out: estimates of
 * the training graphs fit what was measured without it (train/trainers/memory_estimate_test.ts).
 */

import { byteWidth, elementCount } from "../tensor/dtype.ts";
import { evaluateShape, type Symbols } from "./dim.ts";
import type { Graph, Node, Value } from "./ir.ts";

/** Sizes are rounded up to this. */
const GRAIN = 256;
/** A free chunk is split when this much, or as much again as is asked for, would be left over. */
const MOST_WASTE = 128 * 2 ** 20;
/** Operators whose output is another view of their first input. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Unsqueeze", "Squeeze", "Flatten"]);
/** A piece of a region, free or not; neighbours in a region are linked. */
interface Chunk {
  bytes: number;
  free: boolean;
  previous?: Chunk;
  next?: Chunk;
}

/**
 * A model of the arena that all graphs of a runtime share.
 *
 * @example
 * ```ts
 * import { ArenaEstimate, GraphBuilder, ops } from "@ortune/ortune/unstable-graph";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("example");
 * const x = b.input("x", "float32", ["n", 256]);
 * const w = b.input("w", "float32", [256, 256]);
 * b.output("y", ops.linear(b, ops.softmax(b, ops.linear(b, x, w)), w));
 * const arena = new ArenaEstimate();
 * arena.run(b.build(), { n: 8 });
 * // The first product and its softmax, of 8 × 256 floats each; y is the caller's.
 * assert.equal(arena.bytes, 2 * 8 * 256 * 4);
 * arena.run(b.build(), { n: 4 }); // fits what is there
 * assert.equal(arena.bytes, 2 * 8 * 256 * 4);
 * ```
 */
export class ArenaEstimate {
  #bytes = 0;
  #largest = 0;
  readonly #chunks = new Set<Chunk>();

  /** What the arena holds; it never shrinks. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of the largest value that was allocated. */
  get largest(): number {
    return this.#largest;
  }

  /**
   * Allocates and frees what one run of a graph does.
   *
   * @throws {ReferenceError} on a symbol without a value
   */
  run(graph: Graph, symbols: Symbols): void {
    const bound = new Set<Value>([
      ...graph.inputs,
      ...graph.outputs,
      ...graph.constants.map(({ value }) => value),
    ]);
    const readers = new Map<Value, number>();
    for (const { inputs } of graph.nodes) {
      for (const input of inputs) if (input) readers.set(input, (readers.get(input) ?? 0) + 1);
    }
    /** What holds a value's memory, and how many values still share it. */
    const held = new Map<Value, { chunk: Chunk; users: number }>();
    /** Called once for a value: after its last reader, or its maker where nothing reads it. */
    const release = (value: Value) => {
      const holder = held.get(value);
      if (holder && --holder.users === 0) this.#release(holder.chunk);
    };
    for (const { op, inputs, outputs } of runOrder(graph)) {
      const dying: Value[] = [];
      for (const input of inputs) {
        if (!input) continue;
        const left = readers.get(input)! - 1;
        readers.set(input, left);
        if (left === 0) dying.push(input);
      }
      const view = VIEWS.has(op) ? inputs[0] : undefined;
      for (const output of outputs) {
        if (bound.has(output)) continue;
        if (view && bound.has(view)) {
          bound.add(output);
          continue;
        }
        const bytes = byteWidth(output.dtype) * elementCount(evaluateShape(output.shape, symbols));
        this.#largest = Math.max(this.#largest, bytes);
        let holder = view && held.get(view);
        holder ??= { chunk: this.#allocate(bytes), users: 0 };
        holder.users++;
        held.set(output, holder);
      }
      for (const value of dying) release(value);
      for (const value of outputs) if (!readers.has(value)) release(value);
    }
  }

  /** The smallest free chunk that is large enough, split where much would be left over. */
  #allocate(bytes: number): Chunk {
    const size = Math.max(GRAIN, Math.ceil(bytes / GRAIN) * GRAIN);
    let best: Chunk | undefined;
    for (const chunk of this.#chunks) {
      if (chunk.free && chunk.bytes >= size && !(best && best.bytes <= chunk.bytes)) best = chunk;
    }
    if (!best) {
      best = { bytes: size, free: false };
      this.#chunks.add(best);
      this.#bytes += size;
      return best;
    }
    best.free = false;
    const rest = best.bytes - size;
    if (rest >= size || rest >= MOST_WASTE) {
      const tail: Chunk = { bytes: rest, free: true, previous: best, next: best.next };
      if (best.next) best.next.previous = tail;
      best.next = tail;
      best.bytes = size;
      this.#chunks.add(tail);
    }
    return best;
  }

  /** Frees a chunk, and joins it with free neighbours. */
  #release(chunk: Chunk): void {
    chunk.free = true;
    if (chunk.next?.free) this.#join(chunk, chunk.next);
    if (chunk.previous?.free) this.#join(chunk.previous, chunk);
  }

  #join(left: Chunk, right: Chunk): void {
    left.bytes += right.bytes;
    left.next = right.next;
    if (right.next) right.next.previous = left;
    this.#chunks.delete(right);
  }
}

/** Nodes as ONNX Runtime orders them: ReverseDFSFrom of graph.cc, from those that none reads. */
function runOrder({ nodes }: Graph): Node[] {
  const makers = new Map(
    nodes.flatMap((node, at) => node.outputs.map((value) => [value, at] as const)),
  );
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const stack = nodes.flatMap(({ outputs }, node) =>
    outputs.some((value) => read.has(value)) ? [] : [{ node, done: false }]
  );
  const visited = new Set<number>();
  const order: Node[] = [];
  for (let entry; (entry = stack.pop());) {
    const { node, done } = entry;
    if (done) order.push(nodes[node]);
    if (done || visited.has(node)) continue;
    visited.add(node);
    stack.push({ node, done: true });
    const before = nodes[node].inputs.map((value) => value && makers.get(value))
      .filter((each) => each !== undefined);
    for (const each of before.sort((a, b) => a - b)) stack.push({ node: each, done: false });
  }
  return order;
}
