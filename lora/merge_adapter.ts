/**
 * Merging an adapter into the weights it stands beside: W ← W + scale·B·A, with DoRA its
 * rows scaled to their magnitudes. In: a model's weights and
 * an adapter. Out: the weights, changed in place.
 *
 * @module
 */

import { CompiledGraph } from "../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import type { Graph, Value } from "../ort/graph/ir.ts";
import * as ops from "../ort/graph/ops.ts";
import type { ModelConfig } from "../model/config.ts";
import { layerName } from "../model/parameters.ts";
import type { Runtime } from "../ort/runtime/runtime.ts";
import type { Tensor } from "../ort/runtime/tensor.ts";
import { loraA, loraB, loraMagnitude, loraNorm } from "./block_adapter.ts";
import type { AdaptedModel } from "./load_adapter.ts";
import { type LoraOptions, loraScale } from "./lora_options.ts";
import { type LoraTarget, loraTargets } from "./lora_targets.ts";

/**
 * w [out, in], a [rank, in], b [out, rank] → w + scale·b·a, in place of w; with DoRA each row times
 * m [out] ÷ norm [out].
 */
export function mergeGraph(
  lora: Pick<LoraOptions, "rank" | "alpha" | "rslora" | "dora">,
): Graph {
  const g = new GraphBuilder("merge");
  const w = g.input("w", "float32", ["out", "in"]);
  const a = g.input("a", "float32", ["rank", "in"]);
  const b = g.input("b", "float32", ["out", "rank"]);
  const merged = ops.gemm(g, b, ops.mul(g, a, g.float32(loraScale(lora))), { c: w });
  const gain = (): Value =>
    ops.div(g, g.input("m", "float32", ["out"]), g.input("norm", "float32", ["out"]));
  const scaled = lora.dora ? ops.mul(g, merged, ops.unsqueeze(g, gain(), 1)) : merged;
  g.output("merged", scaled, { inPlaceOf: w });
  return g.build();
}

/**
 * Adds the adapter to the model's weights.
 *
 * @example
 * ```ts
 * import { DEFAULT_LORA, mergeAdapter, parseConfig, Runtime } from "@ortune/ortune";
 * import { adaptModel } from "@ortune/ortune/lora";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   vocab_size: 261, num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 });
 * using runtime = new Runtime({ threads: 1 });
 * using base = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
 * using adapted = adaptModel(runtime, { config, base, lora: { ...DEFAULT_LORA, rank: 2 } });
 * new TorchGenerator(42).normal(adapted.trained.flat.float32(), 0, 0.1);
 *
 * mergeAdapter(runtime, { config, base, adapted });
 * assert.ok(base.tensor("model.layers.0.self_attn.q_proj.weight").float32().some((w) => w !== 0));
 * ```
 */
export function mergeAdapter(
  runtime: Runtime,
  { config, base, adapted }: {
    readonly config: ModelConfig;
    readonly base: ParameterStore;
    readonly adapted: AdaptedModel;
  },
): void {
  using graphs = new MergeGraphs(runtime, adapted.lora);
  for (const target of loraTargets(config, adapted.lora)) {
    const { layer, name } = target;
    const tensor = (of: (layer: string) => string): Tensor =>
      adapted.weights.tensor(layerName(layer, of(name)));
    graphs.of(target).run({
      w: base.tensor(layerName(layer, `${name}.weight`)),
      a: tensor(loraA),
      b: tensor(loraB),
      ...adapted.lora.dora ? { m: tensor(loraMagnitude), norm: tensor(loraNorm) } : {},
    });
  }
}

/** The graphs that merge layers, one for each factor on B·A. */
export class MergeGraphs implements Disposable {
  readonly #runtime: Runtime;
  readonly #lora: LoraOptions;
  readonly #graphs = new Map<number, CompiledGraph>();

  /** Compiles nothing yet. */
  constructor(runtime: Runtime, lora: LoraOptions) {
    this.#runtime = runtime;
    this.#lora = lora;
  }

  /** The graph of a layer. */
  of({ rank, alpha, scale }: LoraTarget): CompiledGraph {
    let graph = this.#graphs.get(scale);
    if (!graph) {
      graph = new CompiledGraph(this.#runtime, mergeGraph({ ...this.#lora, rank, alpha }));
      this.#graphs.set(scale, graph);
    }
    return graph;
  }

  /** Releases the graphs. */
  [Symbol.dispose](): void {
    for (const graph of this.#graphs.values()) graph[Symbol.dispose]();
  }
}
