/**
 * The norms of the rows of W + scale·B·A that DoRA divides by. In: a model's weights and an adapter's.
 * Out: a store of norms, computed anew when asked to.
 *
 * They change only with an update, and DoRA's gradient takes them as constants (Liu et al. 2024,
 * section 4.3), so they are inputs of the block graph: computed once an update and not in every
 * pass, and generation reads no weight a second time.
 */

import { CompiledGraph } from "../model/engine/compiled_graph.ts";
import { YieldTimer } from "../model/engine/yield_timer.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { type BaseMatrices, boundParameter } from "../model/engine/quantized_store.ts";
import { computingOf } from "../model/engine/weights_precision.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import type { Shape } from "../ort/graph/dim.ts";
import type { Graph } from "../ort/graph/ir.ts";
import * as ops from "../ort/graph/ops.ts";
import { matrixInput } from "../model/graphs/matrix_input.ts";
import type { ModelConfig } from "../model/config.ts";
import { blockLinears, layerName } from "../model/parameters.ts";
import type { PrecisionOptions } from "../model/precision.ts";
import type { Binding } from "../ort/runtime/session.ts";
import type { Runtime } from "../ort/runtime/runtime.ts";
import { adaptedLayers, inEveryLayer, loraA, loraB, loraNorm } from "./block_adapter.ts";
import type { LoraOptions } from "./lora_options.ts";
import { loraTargets } from "./lora_targets.ts";

/**
 * w [out, in], a [rank, in], b [out, rank] → ‖w + scale·b·a‖ of each row, [out], without the sum:
 * ‖w‖² + b·(2·scale·a·wᵀ + scale²·a·aᵀ·bᵀ), row by row. In float32, whatever w is stored in.
 */
export function weightNormGraph(
  scale: number,
  { shape = ["out", "in"], ...stored }: PrecisionOptions & {
    /** Of w. @default any */
    readonly shape?: Shape;
  } = {},
): Graph {
  const g = new GraphBuilder("weight_norms");
  const [outputs, inputs] = shape;
  const w = ops.cast(g, matrixInput(g, { name: "w", shape }, stored), "float32");
  const a = g.input("a", "float32", ["rank", inputs]);
  const b = g.input("b", "float32", [outputs, "rank"]);
  const scaled = ops.mul(g, a, g.float32(scale));
  const along = ops.linear(g, w, ops.mul(g, scaled, g.float32(2)));
  const both = ops.linear(g, b, ops.linear(g, scaled, scaled), along);
  // Twice as fast as ReduceSumSquare, and the products lie in the arena that the passes have anyway.
  const squares = ops.reduceSum(g, ops.mul(g, w, w), 1, { keepDims: false });
  const change = ops.reduceSum(g, ops.mul(g, b, both), 1, { keepDims: false });
  g.output("norm", ops.sqrt(g, ops.add(g, squares, change)));
  return g.build();
}

/** The norms of all layers that a DoRA adapter changes. */
export class WeightNorms implements Disposable {
  /** [out] a layer, under {@linkcode loraNorm}'s name; whatever was in memory before an update. */
  readonly store: ParameterStore;
  /** By the factor on B·A, and the shape of W where it is one of the graph's. */
  readonly #graphs = new Map<string, CompiledGraph>();
  readonly #bindings: Binding[] = [];
  readonly #yieldTimer = new YieldTimer();

  constructor(
    runtime: Runtime,
    { config, base, lora, trained }: {
      readonly config: ModelConfig;
      readonly base: ParameterStore & BaseMatrices;
      readonly lora: LoraOptions;
      readonly trained: ParameterStore;
    },
  ) {
    const layers = adaptedLayers(config, lora);
    const norms = inEveryLayer(config, (kind) => {
      const linears = new Set(blockLinears(config, kind).map(({ name }) => name));
      return layers.filter(({ name }) => linears.has(name)).map(({ name, shape: [outputs] }) => (
        { name: loraNorm(name), shape: [outputs], decays: false }
      ));
    });
    this.store = new ParameterStore(runtime, layoutParameters(norms));
    // Those of layers without an adapter are never computed, and divide zeros.
    for (const name of this.store.names()) {
      const norm = this.store.tensor(name);
      norm.write(new Float32Array(norm.shape[0]).fill(1));
    }
    const stored = computingOf(base);
    for (const { layer, name, scale } of loraTargets(config, lora)) {
      const a = trained.tensor(layerName(layer, loraA(name)));
      const b = trained.tensor(layerName(layer, loraB(name)));
      const shape = stored.storage.quantization?.layout === "blocks"
        ? [b.shape[0], a.shape[1]]
        : undefined;
      const key = `${scale} ${shape}`;
      let graph = this.#graphs.get(key);
      if (!graph) {
        graph = new CompiledGraph(runtime, weightNormGraph(scale, { ...stored, shape }));
        this.#graphs.set(key, graph);
      }
      this.#bindings.push(graph.bind({
        ...boundParameter(base, "w", layerName(layer, `${name}.weight`)),
        ...{ a, b },
        norm: this.store.tensor(layerName(layer, loraNorm(name))),
      }));
    }
  }

  /** Computes all norms. Not to be interrupted, as an update is not. */
  async update(): Promise<void> {
    for (const binding of this.#bindings) {
      await this.#yieldTimer.turn();
      binding.run();
    }
  }

  [Symbol.dispose](): void {
    for (const binding of this.#bindings) binding[Symbol.dispose]();
    for (const graph of this.#graphs.values()) graph[Symbol.dispose]();
    this.store[Symbol.dispose]();
  }
}
