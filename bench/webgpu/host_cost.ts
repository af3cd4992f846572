/**
 * What the host pays to queue work on a device. In: a runtime of the device. Out: microseconds of a run and of a
 * dispatch, bytes a second of copies.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { median, milliseconds } from "../measure.ts";

/** What calls take that wait for nothing. */
export interface HostCost {
  /** Microseconds of host time of a run, besides its dispatches. */
  readonly microsecondsARun: number;
  /** Microseconds of host time of each dispatch of a run. */
  readonly microsecondsADispatch: number;
  /** Bytes a second of a large copy to the device, until it is there. */
  readonly uploadRate: number;
  /** Bytes a second of one to the host. */
  readonly downloadRate: number;
}

/** Nodes of a short and of a long graph: what the long one takes more is its nodes'. */
const [FEW, MANY] = [1, 129];
const RUNS = 20;
const ROUNDS = 5;
const COPIED = 1 << 26;

/** Queues runs of graphs whose kernels take next to no time. */
export function measureHostCost(runtime: Runtime): HostCost {
  using x = Tensor.from(runtime, "float32", [64], new Float32Array(64).fill(1));
  using y = Tensor.allocate(runtime, "float32", [64]);
  const some = new Float32Array(1);
  const [few, many] = [FEW, MANY].map((nodes) => {
    const b = new GraphBuilder("sums");
    const input = b.input("x", "float32", [64]);
    let sum = input;
    for (let i = 0; i < nodes; i++) sum = ops.add(b, sum, input);
    b.output("y", sum);
    using graph = new CompiledGraph(runtime, b.build());
    using binding = graph.bind({ x, y });
    binding.run(); // compiles its kernel
    return median(Array.from({ length: ROUNDS }, () => {
      y.read(some);
      return 1000 * milliseconds(() => {
        for (let i = 0; i < RUNS; i++) binding.run();
      }) / RUNS;
    }));
  });
  y.read(some);
  const bytes = new Uint8Array(COPIED);
  using large = Tensor.allocate(runtime, "uint8", [COPIED]);
  const rate = (copy: () => void): number => {
    copy();
    return 1000 * COPIED / milliseconds(copy);
  };
  const microsecondsADispatch = (many - few) / (MANY - FEW);
  return {
    microsecondsADispatch,
    microsecondsARun: few - FEW * microsecondsADispatch,
    uploadRate: rate(() => {
      large.write(bytes);
      large.read(some); // waits
    }),
    downloadRate: rate(() => large.read(bytes)),
  };
}
