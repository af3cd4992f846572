/**
 * A device's numbers against the CPU's. In: a runtime of the device. Out: of each graph of training the
 * largest error over the output's largest.
 */

import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { parseConfig } from "../../model/config.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  headGraph,
} from "../../model/graphs/training_graphs.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { cpu } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { graphInputs } from "../../tests/support/graph_inputs.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { adamWGraph } from "../../train/optimizers/adamw_graph.ts";
import { randomModelConfig } from "../gpu/random_model.ts";
import type { TimeBudget } from "../gpu/time_budget.ts";

/** One graph's numbers. */
export interface NumbersResult {
  readonly graph: string;
  /** Largest error over its output's largest, of the worst output; none where there was no time. */
  readonly error?: number;
}

const SHAPE = {
  vocab_size: 512,
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
};
const [ROWS, LENGTH] = [2, 48];
const SYMBOLS = {
  rows: ROWS,
  length: LENGTH,
  tokens: ROWS * LENGTH,
  positions: LENGTH,
  n: ROWS * LENGTH / 2,
};

/** Compares graph after graph while there is time. */
export function compareNumbers(runtime: Runtime, budget: TimeBudget): readonly NumbersResult[] {
  const config = parseConfig(randomModelConfig(SHAPE, "float32"));
  const adapter = createLoraAdapter(config, DEFAULT_LORA);
  const graphs: Readonly<Record<string, Graph>> = {
    "block forward": blockForwardGraph(config),
    "block backward": blockBackwardGraph(config),
    "head, loss and gradients": headGraph(config),
    "LoRA backward, dropout": blockBackwardGraph(config, {
      ...{ adapter, dropout: true, deviceDropout: true },
    }),
    "AdamW": adamWGraph({ beta1: 0.9, beta2: 0.999 }, true),
  };
  return Object.entries(graphs).map(([name, graph]) => {
    if (budget.left() === 0) return { graph: name };
    const inputs = graphInputs(graph, SYMBOLS);
    const expected = runGraph(runtime, graph, inputs, SYMBOLS, cpu);
    const actual = runGraph(runtime, graph, inputs, SYMBOLS);
    const errors = Object.entries(expected).map(([output, { data }]) => {
      let [largest, worst] = [0, 0];
      for (let i = 0; i < data.length; i++) {
        largest = Math.max(largest, Math.abs(data[i]));
        worst = Math.max(worst, Math.abs(actual[output].data[i] - data[i])); // a NaN stays one
      }
      return worst / largest;
    });
    return { graph: name, error: Math.max(...errors) };
  });
}
