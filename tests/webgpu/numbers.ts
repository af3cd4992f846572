/** Graphs of every structure of the small models on WebGPU against the CPU, with outputs written in place. */

import assert from "node:assert/strict";
import type { Symbols } from "../../ort/graph/dim.ts";
import { cpu } from "../../ort/runtime/device.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { distinctGraphs } from "../support/distinct_graphs.ts";
import { float32Graphs } from "../support/float32_graphs.ts";
import { graphInputs } from "../support/graph_inputs.ts";
import { runGraph } from "../support/run_graph.ts";
import { runtime } from "../support/webgpu_runtime.ts";
import { MOST_TOGETHER } from "../../train/optimizers/gradient_norms.ts";

/** Times an output's largest. Measured on lavapipe: 2.1e-6, in a block's backward; ORTUNE_REPORT=1 prints it. */
const TOLERANCE = 5e-6;

const symbolsOf = (rows: number, length: number): Symbols => ({
  rows,
  length,
  keys: length - 1,
  tokens: rows * length,
  positions: length,
  capacity: 64,
  cached: rows + 1,
  n: Math.floor(rows * length / 2),
  unique: 12,
  blocks: 2,
  columns: 6,
  out: 24,
  in: 20,
  rank: 4,
  tensors: MOST_TOGETHER,
  ...Object.fromEntries(
    Array.from({ length: MOST_TOGETHER }, (_, i) => [[`rows.${i}`, 3 + i], [`columns.${i}`, 9 - i]])
      .flat(),
  ),
});

const QWEN3 = "small Qwen3";
const SMALL = [...float32Graphs()].filter(({ small }) => small);
/** Every graph of one family. */
const ONE = SMALL.filter(({ title }) => title.startsWith(QWEN3));
/** What others have besides; what is kept for backward, and adapters' kinds, differ in one family. */
const OTHERS = [...distinctGraphs(SMALL)].filter(({ title }) =>
  !title.startsWith(QWEN3) && !/keep|dora|on some blocks/.test(title)
);
/** What differs in shapes alone shows in one family. */
const SOME = ONE.filter(({ title }) => !title.includes("keep"));
const BACKWARD = SOME.filter(({ title }) =>
  /head|backward.*accumulate|attention, backward/.test(title)
);

const SIZES = [[ONE, 2, 48], [OTHERS, 2, 14], [SOME, 3, 33], [SOME, 1, 5]] as const;

for (const [graphs, rows, length] of SIZES) {
  Deno.test(`${graphs.length} graphs give the CPU's numbers on WebGPU, of ${rows} × ${length} tokens`, () => {
    const symbols = symbolsOf(rows, length);
    let [worst, where] = [0, ""];
    for (const { title, graph } of graphs) {
      const inputs = graphInputs(graph, symbols);
      const expected = runGraph(runtime, graph, inputs, symbols, cpu);
      const actual = runGraph(runtime, graph, inputs, symbols);
      for (const [name, { data }] of Object.entries(expected)) {
        const label = `${title}: ${name}`;
        const { maxAbsolute } = assertClose(actual[name].data, data, {
          label,
          relativeToMax: TOLERANCE,
        });
        const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const error = largest === 0 ? 0 : maxAbsolute / largest;
        if (error > worst) [worst, where] = [error, label];
      }
    }
    if (Deno.env.get("ORTUNE_REPORT")) {
      console.log(
        `worst ${worst.toExponential(1)} of the largest: ${where}`,
      );
    }
  });
}

Deno.test("five runs of a graph on WebGPU give the same bits", () => {
  const symbols = symbolsOf(2, 48);
  for (const { title, graph } of BACKWARD) {
    const inputs = graphInputs(graph, symbols);
    const [first, ...others] = Array.from(
      { length: 5 },
      () => runGraph(runtime, graph, inputs, symbols),
    );
    for (const other of others) {
      for (const [name, { data }] of Object.entries(first)) {
        assert.ok(data.every((value, i) => value === other[name].data[i]), `${title}: ${name}`);
      }
    }
  }
});
