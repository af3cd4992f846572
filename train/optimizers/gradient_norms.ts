/**
 * Sums of squared gradients, which their norm is taken of. In: gradients. Out: runs that fill the sums: of
 * blocks where all gradients lie in one piece, of tensors where each is a buffer of its own.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { LAYOUT_BLOCK, type ParameterStore } from "../../model/engine/parameter_store.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import type { Precision } from "../../model/precision.ts";
import type { Range } from "../distributed/buckets.ts";
import { chunksOf } from "./layout_chunks.ts";
import { sumOfSquaresGraph } from "./sum_of_squares_graph.ts";

const FLOAT_BYTES = 4;

/**
 * The most tensors that one run takes. The kernel that joins them binds a buffer for each and one for
 * the result; every WebGPU device allows 8 to a kernel.
 */
export const MOST_TOGETHER = 7;

/** Sums of squares, and what fills them. */
export interface GradientNorms extends Disposable {
  /** float32 [sums, 1]. */
  readonly sums: Tensor;
  /** To be run in order. */
  readonly runs: readonly Binding[];
}

/**
 * Compiles the sums of a store's gradients.
 *
 * @param ranges whole blocks whose sums are filled, where all lie in one piece; @default all
 */
export function gradientNorms(
  runtime: Runtime,
  gradients: ParameterStore,
  ranges?: readonly Range[],
): GradientNorms {
  const { viewsAtOffset } = deviceTraits(runtime.device);
  return viewsAtOffset ? blockSums(runtime, gradients, ranges) : tensorSums(runtime, gradients);
}

function blockSums(
  runtime: Runtime,
  { layout, flat }: ParameterStore,
  ranges: readonly Range[] | undefined,
): GradientNorms {
  using owned = new DisposableStack();
  const blocks = layout.length / LAYOUT_BLOCK;
  const sums = owned.use(Tensor.allocate(runtime, "float32", [blocks, 1]));
  const graph = owned.use(
    new CompiledGraph(runtime, sumOfSquaresGraph(flat.dtype as Precision)),
  );
  const runs = chunksOf(layout, runtime.device, { ranges }).map(({ start, length }) => {
    const count = length / LAYOUT_BLOCK;
    const g = owned.use(flat.view(start * byteWidth(flat.dtype), [count, LAYOUT_BLOCK]));
    const into = owned.use(sums.view(start / LAYOUT_BLOCK * FLOAT_BYTES, [count, 1]));
    return owned.use(graph.bind({ g, sums: into }));
  });
  return { sums, runs, [Symbol.dispose]: disposer(owned) };
}

/** Of each tensor, also where it lies in memory of its own. */
export function tensorSums(runtime: Runtime, gradients: ParameterStore): GradientNorms {
  using owned = new DisposableStack();
  const { specs } = gradients.layout;
  const sums = owned.use(Tensor.allocate(runtime, "float32", [specs.length, 1]));
  const graphs = onceFor((count: number) =>
    owned.use(new CompiledGraph(runtime, placeSumsOfSquaresGraph(count)))
  );
  const runs = inSevens(specs.map((spec, id) => ({ ...spec, id }))).map((some) => {
    const numbers = BigInt64Array.from(some, ({ id }) => BigInt(id));
    const ids = owned.use(Tensor.from(runtime, "int64", [some.length, 1], numbers));
    const parts = some.map(({ name, shape }, i) => {
      const columns = shape.at(-1) ?? 1;
      const rows = elementCount(shape) / columns;
      return [`g.${i}`, owned.use(gradients.tensor(name).view(0, [rows, columns]))];
    });
    return owned.use(graphs(some.length).bind({ ...Object.fromEntries(parts), ids, sums }));
  });
  return { sums, runs, [Symbol.dispose]: disposer(owned) };
}

/**
 * Sums of squares of `g.0` [rows.0, columns.0] and so on in their places among others': sums [tensors, 1],
 * ids int64 [count, 1].
 */
export function placeSumsOfSquaresGraph(count: number): Graph {
  const b = new GraphBuilder(`place_sums_of_squares_${count}`);
  const each = Array.from({ length: count }, (_, i) => {
    const g = b.input(`g.${i}`, "float32", [`rows.${i}`, `columns.${i}`]);
    // Over the last dimension both times: of another one WebGPU's kernel transposes first.
    return ops.reduceSum(b, ops.reduceSumSquare(b, g, 1, { keepDims: false }), 0);
  });
  const sums = b.input("sums", "float32", ["tensors", 1]);
  const ids = b.input("ids", "int64", [count, 1]);
  const [joined] = b.node("Concat", each, [{ dtype: "float32", shape: [count] }], {
    attributes: { axis: 0n },
  });
  const placed = ops.scatterRows(b, sums, ids, ops.unsqueeze(b, joined, 1));
  b.output("sums_new", placed, { inPlaceOf: sums });
  return b.build();
}

/** As many together as one run takes. */
export function inSevens<T>(all: readonly T[]): T[][] {
  return Array.from(
    { length: Math.ceil(all.length / MOST_TOGETHER) },
    (_, i) => all.slice(i * MOST_TOGETHER, (i + 1) * MOST_TOGETHER),
  );
}

/** Makes one thing for each key, when it is first asked for. */
export function onceFor<Key, T>(make: (key: Key) => T): (key: Key) => T {
  const known = new Map<Key, T>();
  return (key) => {
    if (!known.has(key)) known.set(key, make(key));
    return known.get(key)!;
  };
}

function disposer(owned: DisposableStack): () => void {
  const kept = owned.move();
  return () => kept.dispose();
}
