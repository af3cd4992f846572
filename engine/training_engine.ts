/**
 * A training step's arithmetic, block by block.
 *
 * In: a batch, weights, and a store that gradients are added to. Out: cross-entropy a token.
 * Activations stay in device buffers; of each block only the input is kept, and the backward graph
 * recomputes the rest, unless gradient checkpointing is turned off.
 *
 * @module
 */

import {
  accumulatorName,
  blockBackwardGraph,
  blockForwardGraph,
  embedGraph,
  gradientName,
  headGraph,
  headLogitsGraph,
  headLossGraph,
  keptValues,
} from "../model/training_graphs.ts";
import { evaluateShape } from "../graph/dim.ts";
import type { ModelConfig } from "../model/config.ts";
import {
  blockParameters,
  EMBEDDING,
  FINAL_NORM,
  headName,
  layerName,
} from "../model/parameters.ts";
import { ropeTables } from "../model/rope.ts";
import type { Runtime } from "../ort/runtime.ts";
import type { Binding, TensorMap } from "../ort/session.ts";
import type { Tensor } from "../ort/tensor.ts";
import type { LabelledGrid, TokenGrid } from "./batch.ts";
import { type BlockAdapter, DROPOUT_MASK } from "../model/block.ts";
import type { Graph } from "../graph/ir.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import { fillKeepMask } from "./dropout.ts";
import { Pacer } from "./pacer.ts";
import type { NamedWeights } from "./layered_weights.ts";
import type { ParameterStore } from "./parameter_store.ts";
import { Scratch } from "./scratch.ts";

/** How a {@linkcode TrainingEngine} works. */
export interface TrainingEngineOptions {
  /** Supervised tokens whose logits are held at once. @default 256 */
  readonly headChunk?: number;
  /**
   * Whether backward recomputes each block from its input. Without it a step takes about an eighth
   * less time and keeps every block's matrix products: some 13 times the hidden states' memory.
   * @default true
   */
  readonly gradientCheckpointing?: boolean;
  /** Trains these weights in place of the model's own, which are frozen. */
  readonly adapter?: EngineAdapter;
}

/** An adapter and its weights. */
export interface EngineAdapter {
  /** What it makes of a block. */
  readonly block: BlockAdapter;
  /** Its weights and what is derived of them, under their names with the layer's in front. */
  readonly weights: NamedWeights;
}

/** Cross-entropy of the supervised tokens of a batch. */
export interface TokenLosses {
  /** Index of each supervised token in the batch's grid. */
  readonly tokens: Int32Array;
  /** Its cross-entropy in nats. */
  readonly losses: Float32Array;
}

/** Options of {@linkcode TrainingEngine.forwardBackward}. */
export interface ForwardBackwardOptions {
  /** Factor on the summed loss: one over the supervised tokens of the whole update. */
  readonly scale: number;
  /** Writes gradients afresh instead of adding to them: the update's first batch. */
  readonly first: boolean;
  /**
   * Decides which inputs dropout zeroes: the same seed, the same inputs.
   * @default 0
   */
  readonly dropoutSeed?: number | string;
  /** Stops between two graphs; the gradients are incomplete then. */
  readonly signal?: AbortSignal;
}

/** A compiled graph with one binding a layer, the layer's weights bound once. */
interface LayerBindings {
  readonly graph: CompiledGraph;
  readonly bindings: readonly Binding[];
}

/**
 * Runs forward and backward passes of one model.
 *
 * @example
 * ```ts
 * import {
 *   collate, joinExample, layoutParameters, modelParameters, ParameterStore, parseConfig,
 *   Runtime, TorchGenerator, TrainingEngine,
 * } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * using runtime = new Runtime({ threads: 1 });
 * using weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
 * new TorchGenerator(42).normal(weights.flat.float32(), 0, 0.1);
 * using gradients = new ParameterStore(runtime, weights.layout);
 * using engine = new TrainingEngine(runtime, config, weights, gradients);
 * const [prompt, reply] = [Int32Array.of(257, 72, 258), Int32Array.of(79, 75, 258)];
 * const example = joinExample(prompt, reply, { maxLength: 8, terminated: true });
 * const batch = collate([example], { padId: 256 });
 * const { losses } = await engine.forwardBackward(batch, { scale: 1 / 3, first: true });
 * assert.deepEqual([...losses], [...(await engine.evaluate(batch)).losses]);
 * assert.equal(losses.length, 3);
 * assert.ok(gradients.tensor("lm_head.weight").float32().some((each) => each !== 0));
 * ```
 */
export class TrainingEngine implements Disposable {
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  readonly #runtime: Runtime;
  readonly #weights: NamedWeights;
  readonly #gradients: ParameterStore | undefined;
  readonly #headChunk: number;
  readonly #keep: boolean;
  readonly #adapter: EngineAdapter | undefined;
  readonly #graphs = new Map<string, CompiledGraph>();
  readonly #layers = new Map<string, LayerBindings>();
  readonly #scratch: Scratch;
  readonly #pacer = new Pacer();
  #tablePositions = 0;

  /**
   * Compiles nothing yet: each graph is made when it is first run.
   *
   * @param gradients where gradients go; without it the engine only evaluates
   */
  constructor(
    runtime: Runtime,
    config: ModelConfig,
    weights: NamedWeights,
    gradients?: ParameterStore,
    { headChunk = 256, gradientCheckpointing = true, adapter }: TrainingEngineOptions = {},
  ) {
    this.#runtime = runtime;
    this.config = config;
    this.#weights = weights;
    this.#gradients = gradients;
    this.#headChunk = headChunk;
    this.#keep = !gradientCheckpointing;
    this.#adapter = adapter;
    this.#scratch = new Scratch(runtime);
  }

  #graph(name: string, make: () => ReturnType<typeof embedGraph>): CompiledGraph {
    let graph = this.#graphs.get(name);
    if (!graph) this.#graphs.set(name, graph = new CompiledGraph(this.#runtime, make()));
    return graph;
  }

  #layer(name: string, make: () => ReturnType<typeof embedGraph>): LayerBindings {
    let layer = this.#layers.get(name);
    if (!layer) {
      const graph = this.#graph(name, make);
      const bindings = Array.from(
        { length: this.config.layers },
        (_, index) => graph.bind(this.#layerTensors(index)),
      );
      this.#layers.set(name, layer = { graph, bindings });
    }
    return layer;
  }

  #layerTensors(layer: number): TensorMap {
    const tensors: Record<string, Tensor> = {};
    const own = blockParameters(this.config);
    for (const { name } of own) tensors[name] = this.#weights.tensor(layerName(layer, name));
    const adapter = this.#adapter;
    for (const { name } of adapter ? [...adapter.block.parameters, ...adapter.block.derived] : []) {
      tensors[name] = adapter!.weights.tensor(layerName(layer, name));
    }
    if (!this.#gradients) return tensors;
    for (const { name } of adapter?.block.parameters ?? own) {
      const gradient = this.#gradients.tensor(layerName(layer, name));
      tensors[gradientName(name)] = tensors[accumulatorName(name)] = gradient;
    }
    return tensors;
  }

  /** Runs the blocks; keeps each block's input, and answers what they all share. */
  async #forward(
    grid: TokenGrid,
    { keep = false, dropoutSeed, signal }: {
      keep?: boolean;
      dropoutSeed?: number | string;
      signal?: AbortSignal;
    },
  ): Promise<TensorMap> {
    const { rows, length } = grid;
    const { layers } = this.config;
    const shared = this.#embed(grid);
    const dropout = dropoutSeed !== undefined;
    const { graph, bindings } = this.#layer(
      `forward${keep ? "_keep" : ""}${dropout ? "_dropout" : ""}`,
      () => blockForwardGraph(this.config, { keep, dropout, adapter: this.#adapter?.block }),
    );
    for (let layer = 0; layer < layers; layer++) {
      await this.#pacer.turn(signal);
      graph.bindMore(bindings[layer], {
        ...shared,
        ...(keep ? this.#kept(graph.graph, layer, grid) : {}),
        ...this.#dropoutMasks(graph.graph, { layer, seed: dropoutSeed, grid }),
        x: this.#hidden(layer, grid),
        y: this.#hidden(layer + 1, grid),
      }, { rows, length });
      bindings[layer].run();
    }
    return shared;
  }

  /** Where a layer's forward keeps what its backward takes. */
  #kept(graph: Graph, layer: number, { rows, length }: TokenGrid): TensorMap {
    const kept = keptValues(graph);
    return Object.fromEntries(
      kept.map(({ name, shape }) => [
        name,
        this.#scratch.tensor(`${layer}.${name}`, "float32", evaluateShape(shape, { rows, length })),
      ]),
    );
  }

  /** The layer's dropout masks; backward asks for the same ones again. */
  #dropoutMasks(
    graph: Graph,
    { layer, seed, grid }: { layer: number; seed?: number | string; grid: TokenGrid },
  ): TensorMap {
    if (seed === undefined) return {};
    const { rows, length } = grid;
    const masks = graph.inputs.filter(({ name }) => name.endsWith(DROPOUT_MASK));
    return Object.fromEntries(masks.map(({ name, shape }) => {
      const mask = this.#scratch.tensor(name, "uint8", evaluateShape(shape, { rows, length }));
      // By the layer's name, since forward and backward may list their inputs in another order.
      fillKeepMask(mask.bytes(), this.#adapter!.block.dropout, [seed, layer, name]);
      return [name, mask];
    }));
  }

  #hidden(layer: number, { rows, length }: TokenGrid): Tensor {
    const shape = [rows * length, this.config.hiddenSize];
    return this.#scratch.tensor(`hidden.${layer}`, "float32", shape);
  }

  #embed(grid: TokenGrid): TensorMap {
    const { rows, length } = grid;
    const scratch = this.#scratch;
    const columns = Int32Array.from({ length }, (_, i) => i);
    const mask = scratch.tensor("mask", "float32", [rows, 1, 1, length, length]);
    this.#graph("embed", () => embedGraph(this.config)).run({
      [EMBEDDING]: this.#weights.tensor(EMBEDDING),
      input_ids: scratch.write("input_ids", "int64", [rows, length], grid.inputIds),
      segment_ids: scratch.write("segment_ids", "int32", [rows, length], grid.segmentIds),
      columns: scratch.write("columns", "int32", [length], columns),
      x: this.#hidden(0, grid),
      mask,
    }, { rows, length });
    const positions = scratch.write("positions", "int64", [rows, length], grid.positionIds);
    return { mask, position_ids: positions, ...this.#ropeTables(length) };
  }

  #ropeTables(length: number): TensorMap {
    const half = this.config.headDim / 2;
    const grow = length > this.#tablePositions;
    if (grow) this.#tablePositions = length;
    const shape = [this.#tablePositions, half];
    const tables = {
      cos: this.#scratch.tensor("cos", "float32", shape),
      sin: this.#scratch.tensor("sin", "float32", shape),
    };
    if (grow) {
      const { cos, sin } = ropeTables(this.config, length);
      tables.cos.write(cos);
      tables.sin.write(sin);
    }
    return tables;
  }

  /** Supervised tokens, a chunk at a time: their indices and targets as tensors. */
  *#chunks(
    batch: LabelledGrid,
    tokens: Int32Array,
  ): Generator<{ start: number; n: number; tensors: TensorMap }> {
    for (let start = 0; start < tokens.length; start += this.#headChunk) {
      const chunk = tokens.subarray(start, start + this.#headChunk);
      const n = chunk.length;
      const ids = BigInt64Array.from(chunk, BigInt);
      const targets = BigInt64Array.from(chunk, (token) => BigInt(batch.targets[token]));
      yield {
        start,
        n,
        tensors: {
          x: this.#hidden(this.config.layers, batch),
          token_ids: this.#scratch.write("token_ids", "int64", [n, 1], ids),
          targets: this.#scratch.write("targets", "int64", [n, 1], targets),
          [FINAL_NORM]: this.#weights.tensor(FINAL_NORM),
          lm_head: this.#weights.tensor(headName(this.config)),
          loss: this.#scratch.tensor("loss", "float32", [n, 1]),
        },
      };
    }
  }

  /** Logits of chosen tokens of the grid, [tokens, vocab], in memory reused by the next call. */
  async logits(grid: TokenGrid, tokens: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    await this.#forward(grid, { signal });
    const n = tokens.length;
    const logits = this.#scratch.tensor("logits", "float32", [n, this.config.vocabSize]);
    this.#graph("head_logits", () => headLogitsGraph(this.config)).run({
      x: this.#hidden(this.config.layers, grid),
      token_ids: this.#scratch.write(
        "token_ids",
        "int64",
        [n, 1],
        BigInt64Array.from(tokens, BigInt),
      ),
      [FINAL_NORM]: this.#weights.tensor(FINAL_NORM),
      lm_head: this.#weights.tensor(headName(this.config)),
      logits,
    }, { n, tokens: grid.rows * grid.length });
    return logits.float32();
  }

  /** Cross-entropy of each supervised token, without gradients. */
  async evaluate(batch: LabelledGrid, signal?: AbortSignal): Promise<TokenLosses> {
    const tokens = supervisedTokens(batch);
    const losses = new Float32Array(tokens.length);
    await this.#forward(batch, { signal });
    const graph = this.#graph("head_loss", () => headLossGraph(this.config));
    for (const { start, n, tensors } of this.#chunks(batch, tokens)) {
      await this.#pacer.turn(signal);
      graph.run(tensors, { n, tokens: batch.rows * batch.length });
      losses.set(tensors.loss.float32(), start);
    }
    return { tokens, losses };
  }

  /**
   * Cross-entropy of each supervised token; adds the gradients of `scale · Σ loss` to the store.
   *
   * @throws the signal's reason, between two graphs, when it is aborted: gradients are incomplete
   */
  async forwardBackward(
    batch: LabelledGrid,
    { scale, first, dropoutSeed = 0, signal }: ForwardBackwardOptions,
  ): Promise<TokenLosses> {
    const gradients = this.#gradients;
    if (!gradients) throw new Error("Cannot train: the engine was made without gradients");
    const tokens = supervisedTokens(batch);
    const losses = new Float32Array(tokens.length);
    if (tokens.length === 0) {
      // Nothing to add, but what the last update left must not be added to either.
      if (first) gradients.flat.float32().fill(0);
      return { tokens, losses };
    }
    const keep = this.#keep;
    const adapter = this.#adapter?.block;
    const seed = adapter && adapter.dropout > 0 ? dropoutSeed : undefined;
    const shared = await this.#forward(batch, { keep, dropoutSeed: seed, signal });
    const shape = [batch.rows * batch.length, this.config.hiddenSize];
    let dy = this.#scratch.tensor("gradient.0", "float32", shape);
    let dx = this.#scratch.tensor("gradient.1", "float32", shape);
    dy.float32().fill(0);

    for (const { start, n, tensors } of this.#chunks(batch, tokens)) {
      await this.#pacer.turn(signal);
      const fresh = first && start === 0;
      const frozen = adapter !== undefined;
      const graph = this.#graph(
        frozen ? "head_frozen" : fresh ? "head_first" : "head",
        () => headGraph(this.config, { accumulate: !fresh, frozen }),
      );
      graph.run({
        ...tensors,
        ...(frozen ? {} : this.#headGradients(gradients)),
        scale: this.#scratch.write("scale", "float32", [], Float32Array.of(scale)),
        dx_before: dy,
        dx: dy,
      }, { n, tokens: shape[0] });
      losses.set(tensors.loss.float32(), start);
    }

    const { graph, bindings } = this.#layer(
      first ? "backward_first" : "backward",
      () =>
        blockBackwardGraph(this.config, {
          accumulate: !first,
          keep,
          adapter,
          dropout: seed !== undefined,
        }),
    );
    const { rows, length } = batch;
    for (let layer = this.config.layers - 1; layer >= 0; layer--) {
      await this.#pacer.turn(signal);
      graph.bindMore(bindings[layer], {
        ...shared,
        ...(keep ? this.#kept(graph.graph, layer, batch) : {}),
        ...this.#dropoutMasks(graph.graph, { layer, seed, grid: batch }),
        x: this.#hidden(layer, batch),
        dy,
        dx,
      }, { rows, length });
      bindings[layer].run();
      [dy, dx] = [dx, dy];
    }
    if (!adapter) this.#embeddingBackward(batch, dy, first && !this.config.tiedEmbeddings);
    return { tokens, losses };
  }

  /** Where the head's graph writes the gradients of its weights, and reads those before. */
  #headGradients(gradients: ParameterStore): TensorMap {
    const head = gradients.tensor(headName(this.config));
    const norm = gradients.tensor(FINAL_NORM);
    return {
      [accumulatorName("lm_head")]: head,
      [gradientName("lm_head")]: head,
      [accumulatorName(FINAL_NORM)]: norm,
      [gradientName(FINAL_NORM)]: norm,
    };
  }

  /** Adds each token's gradient to its row of the embedding's. */
  #embeddingBackward(batch: LabelledGrid, dx: Tensor, fresh: boolean): void {
    const { hiddenSize } = this.config;
    const table = this.#gradients!.tensor(EMBEDDING).float32();
    const rows = dx.float32();
    if (fresh) table.fill(0);
    for (let token = 0; token < batch.inputIds.length; token++) {
      if (batch.segmentIds[token] === 0) continue;
      const to = Number(batch.inputIds[token]) * hiddenSize;
      const from = token * hiddenSize;
      for (let i = 0; i < hiddenSize; i++) table[to + i] += rows[from + i];
    }
  }

  /** Releases graphs and activations; weights and gradients stay their owner's. */
  [Symbol.dispose](): void {
    for (const { bindings } of this.#layers.values()) {
      for (const binding of bindings) binding[Symbol.dispose]();
    }
    for (const graph of this.#graphs.values()) graph[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
  }
}

function supervisedTokens({ targets }: LabelledGrid): Int32Array {
  let count = 0;
  const tokens = new Int32Array(targets.length);
  for (let i = 0; i < targets.length; i++) if (targets[i] >= 0) tokens[count++] = i;
  return tokens.subarray(0, count);
}
