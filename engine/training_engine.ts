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
  type CrossEntropyOptions,
  embeddingBackwardGraph,
  embedGraph,
  gradientName,
  headBackwardGraph,
  headGraph,
  headLogitsGraph,
  headLossGraph,
  headProductGraph,
  keptValues,
  SEGMENT_ENDS,
  SEGMENT_STARTS,
  trainedStacks,
} from "../model/training_graphs.ts";
import { evaluateShape, type Shape } from "../graph/dim.ts";
import { byteWidth } from "../tensor/dtype.ts";
import type { ModelConfig } from "../model/config.ts";
import {
  blockParameters,
  EMBEDDING,
  FINAL_NORM,
  headName,
  layerName,
} from "../model/parameters.ts";
import type { Precision } from "../model/precision.ts";
import { ropeTables } from "../model/rope.ts";
import { segmentBounds } from "../kernels/attention.ts";
import type { CrossEntropyKernel } from "../kernels/cross_entropy.ts";
import type { Runtime } from "../ort/runtime.ts";
import type { TensorMap } from "../ort/session.ts";
import { streamOf } from "../ort/stream_of.ts";
import type { Tensor } from "../ort/tensor.ts";
import type { LabelledGrid, TokenGrid } from "./batch.ts";
import { type BlockAdapter, DROPOUT_COLUMNS, DROPOUT_MASK, DROPOUT_ROWS } from "../model/block.ts";
import type { Graph } from "../graph/ir.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import { fillKeepMask, randomOdd } from "./dropout.ts";
import { inPrecision, precisionOf } from "./precision.ts";
import { Pacer } from "./pacer.ts";
import type { NamedWeights } from "./layered_weights.ts";
import type { ParameterStore } from "./parameter_store.ts";
import { Scratch } from "./scratch.ts";
import type { BlockKernels } from "./kernel_nodes.ts";
import { type LaunchNode, type StagedBinding, StagedGraph } from "./staged_graph.ts";

// Tokens whose embedding gradients a device sums at once: the one-hot matrix has a row for each of
// their ids and a column for each of them.
const EMBEDDING_CHUNK = 2048;

/** How a {@linkcode TrainingEngine} works. */
export interface TrainingEngineOptions {
  /** Supervised tokens whose logits are held at once. @default as {@linkcode headChunkOf} says */
  readonly headChunk?: number;
  /**
   * Whether backward recomputes each block from its input. Without it a step takes about an eighth
   * less time and keeps every block's matrix products: some 13 times the hidden states' memory.
   * @default true
   */
  readonly gradientCheckpointing?: boolean;
  /** Trains these weights in place of the model's own, which are frozen. */
  readonly adapter?: EngineAdapter;
  /**
   * Leaves everything to graphs, as where tensors are out of the host's reach.
   * @default on a device
   */
  readonly graphsOnly?: boolean;
  /**
   * Kernels of ortune's own, in place of operators.
   * @default none: graphs do everything
   */
  readonly kernels?: EngineKernels;
}

/** Kernels that an engine launches, loaded for its model and precision. */
export interface EngineKernels {
  /** Takes the loss of logits of the weights' type and writes the gradient over them. */
  readonly crossEntropy: CrossEntropyKernel;
  /** Parts of the blocks. @default none */
  readonly blocks?: BlockKernels;
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

/** Losses that are still where they were computed, perhaps under way. */
export interface PendingLosses {
  /** Index of each supervised token in the batch's grid. */
  readonly tokens: Int32Array;
  /** Their cross-entropy, float32 [tokens, 1], in memory reused by the next call. */
  readonly losses: Tensor;
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

/** The tokens of a batch that are to be predicted. */
interface Supervised {
  readonly tokens: Int32Array;
  /** One row a token each. */
  readonly values: Readonly<Record<"token_ids" | "targets" | "loss", Tensor>>;
}

/**
 * Supervised tokens whose logits are held at once. In graphs more are hardly faster, and with an adapter
 * the logits are what takes most memory after the weights, so fewer are held. A kernel holds them once,
 * in the weights' type; and a GPU has time to read the head's weights only for many tokens: of 256 it
 * computes no longer than it reads.
 *
 * @example
 * ```ts
 * import { headChunkOf } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * assert.ok(headChunkOf({ adapted: true }) < headChunkOf({ adapted: false }));
 * assert.ok(headChunkOf({ adapted: false }) < headChunkOf({ adapted: false, kernels: true }));
 * ```
 */
export function headChunkOf(
  { adapted, kernels = false }: {
    /** Whether an adapter is trained. */
    readonly adapted: boolean;
    /** Whether a kernel takes the loss. @default false */
    readonly kernels?: boolean;
  },
): number {
  if (kernels) return adapted ? 1024 : 2048;
  return adapted ? 128 : 256;
}

/** A compiled graph with one binding a layer, the layer's weights bound once. */
interface LayerBindings {
  readonly graph: StagedGraph;
  readonly bindings: readonly StagedBinding[];
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
  /** What the weights are, and so what all graphs compute with. */
  readonly #precision: Precision;
  readonly #graphsOnly: boolean;
  readonly #kernels: EngineKernels | undefined;
  readonly #launch: LaunchNode;
  readonly #graphs = new Map<string, CompiledGraph>();
  readonly #layers = new Map<string, LayerBindings>();
  readonly #scratch: Scratch;
  readonly #pacer = new Pacer();
  #tablePositions = 0;
  #columns = 0;
  #dropoutKey = "";
  readonly #sent = new Set<string>();

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
    {
      gradientCheckpointing = true,
      adapter,
      kernels,
      headChunk = headChunkOf({ adapted: adapter !== undefined, kernels: kernels !== undefined }),
      graphsOnly = runtime.device.kind !== "cpu",
    }: TrainingEngineOptions = {},
  ) {
    this.#runtime = runtime;
    this.config = config;
    this.#weights = weights;
    this.#gradients = gradients;
    this.#headChunk = headChunk;
    this.#keep = !gradientCheckpointing;
    this.#adapter = adapter;
    this.#scratch = new Scratch(runtime);
    this.#precision = precisionOf(weights);
    this.#graphsOnly = graphsOnly;
    this.#kernels = kernels;
    this.#launch = kernels?.blocks?.launcher(streamOf(runtime)) ?? noKernel;
  }

  #graph(name: string, make: () => ReturnType<typeof embedGraph>): CompiledGraph {
    let graph = this.#graphs.get(name);
    if (!graph) this.#graphs.set(name, graph = new CompiledGraph(this.#runtime, make()));
    return graph;
  }

  /** What the graphs outside of the blocks are made for. */
  get #computing(): CrossEntropyOptions {
    return { precision: this.#precision, logSoftmax: this.#graphsOnly };
  }

  #layer(name: string, make: () => ReturnType<typeof embedGraph>): LayerBindings {
    let layer = this.#layers.get(name);
    if (!layer) {
      const graph = new StagedGraph(this.#runtime, make(), {
        launch: this.#launch,
        scratch: this.#scratch,
      });
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
    const gradients = this.#gradients;
    const accumulate = (name: string, gradient: Tensor): void => {
      tensors[gradientName(name)] = tensors[accumulatorName(name)] = gradient;
    };
    for (const { name } of gradients ? adapter?.block.parameters ?? own : []) {
      accumulate(name, gradients!.tensor(layerName(layer, name)));
    }
    const how = { adapter: adapter?.block, kernels: this.#kernels?.blocks?.parts };
    for (const { name, of } of trainedStacks(this.config, how)) {
      const names = of.map((part) => layerName(layer, part));
      tensors[name] = this.#weights.stacked(names);
      if (gradients && !adapter) accumulate(name, gradients.stacked(names));
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
      () =>
        blockForwardGraph(this.config, {
          keep,
          dropout,
          deviceDropout: this.#graphsOnly,
          adapter: this.#adapter?.block,
          precision: this.#precision,
          kernels: this.#kernels?.blocks?.parts,
        }),
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
      kept.map(({ name, dtype, shape }) => [
        name,
        this.#scratch.tensor(`${layer}.${name}`, dtype, evaluateShape(shape, { rows, length })),
      ]),
    );
  }

  /** The layer's dropout masks, or what makes them; backward asks for the same ones again. */
  #dropoutMasks(
    graph: Graph,
    { layer, seed, grid }: { layer: number; seed?: number | string; grid: TokenGrid },
  ): TensorMap {
    if (seed === undefined) return {};
    const { rows, length } = grid;
    const sizes = (shape: Shape): number[] => evaluateShape(shape, { rows, length });
    const made: Record<string, Tensor> = {};
    for (const { name, shape } of graph.inputs) {
      if (name === DROPOUT_ROWS) made[name] = this.#dropoutRows(sizes(shape), seed);
      if (name.endsWith(DROPOUT_COLUMNS)) {
        made[name] = this.#dropoutColumns(`${layer}.${name}`, sizes(shape));
      }
      if (!name.endsWith(DROPOUT_MASK)) continue;
      made[name] = this.#scratch.tensor(name, "uint8", sizes(shape));
      // By the layer's name, since forward and backward may list their inputs in another order.
      fillKeepMask(made[name].bytes(), this.#adapter!.block.dropout, [seed, layer, name]);
    }
    return made;
  }

  /** Sent once a batch: all layers share them, forward and backward. */
  #dropoutRows(shape: readonly number[], seed: number | string): Tensor {
    const rows = this.#scratch.tensor(DROPOUT_ROWS, "int32", shape);
    const key = `${seed}/${shape}`;
    if (this.#dropoutKey !== key) rows.write(randomOdd(shape[0], [seed, DROPOUT_ROWS]));
    this.#dropoutKey = key;
    return rows;
  }

  /** Sent once a run. */
  #dropoutColumns(name: string, shape: readonly number[]): Tensor {
    const columns = this.#scratch.tensor(name, "int32", shape);
    if (!this.#sent.has(name)) columns.write(randomOdd(shape[0], [name]));
    this.#sent.add(name);
    return columns;
  }

  #hidden(layer: number, { rows, length }: TokenGrid): Tensor {
    const shape = [rows * length, this.config.hiddenSize];
    return this.#scratch.tensor(`hidden.${layer}`, this.#precision, shape);
  }

  #embed(grid: TokenGrid): TensorMap {
    const { rows, length } = grid;
    const scratch = this.#scratch;
    const segments = this.#kernels?.blocks?.parts.has("attention")
      ? this.#segmentBounds(grid)
      : this.#maskInputs(grid);
    const mask = "mask" in segments;
    this.#graph("embed", () => embedGraph(this.config, { ...this.#computing, mask })).run({
      [EMBEDDING]: this.#weights.tensor(EMBEDDING),
      input_ids: scratch.write("input_ids", "int64", [rows, length], grid.inputIds),
      x: this.#hidden(0, grid),
      ...segments,
    }, { rows, length });
    const positions = scratch.write("positions", "int64", [rows, length], grid.positionIds);
    return { ...segments, position_ids: positions, ...this.#ropeTables(length) };
  }

  /** The mask, and what it is made from. */
  #maskInputs({ rows, length, segmentIds }: TokenGrid): TensorMap {
    const scratch = this.#scratch;
    const columns = scratch.tensor("columns", "int32", [length]);
    if (this.#columns !== length) columns.write(Int32Array.from({ length }, (_, i) => i));
    this.#columns = length;
    return {
      segment_ids: scratch.write("segment_ids", "int32", [rows, length], segmentIds),
      columns,
      mask: scratch.tensor("mask", this.#precision, [rows, 1, 1, length, length]),
    };
  }

  /** What attention in a kernel takes in place of a mask. */
  #segmentBounds({ rows, length, segmentIds }: TokenGrid): TensorMap {
    const { starts, ends } = segmentBounds(segmentIds, length);
    const shape = [rows * length];
    return {
      [SEGMENT_STARTS]: this.#scratch.write(SEGMENT_STARTS, "int32", shape, starts),
      [SEGMENT_ENDS]: this.#scratch.write(SEGMENT_ENDS, "int32", shape, ends),
    };
  }

  #ropeTables(length: number): TensorMap {
    const half = this.config.headDim / 2;
    const grow = length > this.#tablePositions;
    if (grow) this.#tablePositions = length;
    const shape = [this.#tablePositions, half];
    const tables = {
      cos: this.#scratch.tensor("cos", this.#precision, shape),
      sin: this.#scratch.tensor("sin", this.#precision, shape),
    };
    if (grow) {
      const { cos, sin } = ropeTables(this.config, length);
      tables.cos.write(inPrecision(cos, this.#precision));
      tables.sin.write(inPrecision(sin, this.#precision));
    }
    return tables;
  }

  /** Supervised tokens' indices and targets, and where their losses go: [tokens, 1] each. */
  #supervised(batch: LabelledGrid): Supervised {
    const tokens = supervisedTokens(batch);
    const shape = [tokens.length, 1];
    const ids = BigInt64Array.from(tokens, BigInt);
    const targets = BigInt64Array.from(tokens, (token) => BigInt(batch.targets[token]));
    if (this.#kernels) this.#assertTargets(batch, tokens);
    return {
      tokens,
      values: {
        token_ids: this.#scratch.write("token_ids", "int64", shape, ids),
        targets: this.#scratch.write("targets", "int64", shape, targets),
        loss: this.#scratch.tensor("loss", "float32", shape),
      },
    };
  }

  /** Graphs refuse other targets themselves; a kernel would read what is not the logits'. */
  #assertTargets({ targets }: LabelledGrid, tokens: Int32Array): void {
    const { vocabSize } = this.config;
    const wrong = tokens.find((token) => targets[token] >= vocabSize);
    if (wrong === undefined) return;
    throw new RangeError(
      `Cannot take the loss of token ${wrong}: its target ${targets[wrong]} is not below ` +
        `vocab_size ${vocabSize}`,
    );
  }

  /** Supervised tokens, a chunk at a time; the tensors are the chunk's. */
  *#chunks(
    batch: LabelledGrid,
    { tokens, values }: Supervised,
  ): Generator<{ start: number; n: number; tensors: TensorMap }> {
    for (let start = 0; start < tokens.length; start += this.#headChunk) {
      const n = Math.min(this.#headChunk, tokens.length - start);
      using owned = new DisposableStack();
      const views = Object.entries(values).map(([name, tensor]) => [
        name,
        owned.use(tensor.view(start * byteWidth(tensor.dtype), [n, 1])),
      ]);
      yield {
        start,
        n,
        tensors: {
          x: this.#hidden(this.config.layers, batch),
          ...Object.fromEntries(views),
          [FINAL_NORM]: this.#weights.tensor(FINAL_NORM),
          lm_head: this.#weights.tensor(headName(this.config)),
        },
      };
    }
  }

  /**
   * Logits of chosen tokens of the grid, [tokens, vocab], on the host, in memory that the next call
   * may reuse.
   */
  async logits(grid: TokenGrid, tokens: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    await this.#forward(grid, { signal });
    const n = tokens.length;
    const logits = this.#scratch.tensor("logits", "float32", [n, this.config.vocabSize]);
    this.#graph("head_logits", () => headLogitsGraph(this.config, this.#computing)).run({
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
    return logits.hostFloat32();
  }

  /** Cross-entropy of each supervised token, without gradients. */
  async evaluate(batch: LabelledGrid, signal?: AbortSignal): Promise<TokenLosses> {
    await this.#forward(batch, { signal });
    const supervised = this.#supervised(batch);
    const tokens = batch.rows * batch.length;
    for (const { n, tensors } of this.#chunks(batch, supervised)) {
      await this.#pacer.turn(signal);
      const kernel = this.#kernels?.crossEntropy;
      if (kernel) this.#lossInKernel(kernel, { n, tokens, tensors });
      else {
        this.#graph("head_loss", () => headLossGraph(this.config, this.#computing))
          .run(tensors, { n, tokens });
      }
    }
    return onHost({ tokens: supervised.tokens, losses: supervised.values.loss });
  }

  /**
   * Cross-entropy of each supervised token; adds the gradients of `scale · Σ loss` to the store.
   *
   * @throws the signal's reason, between two graphs, when it is aborted: gradients are incomplete
   */
  async forwardBackward(
    batch: LabelledGrid,
    options: ForwardBackwardOptions,
  ): Promise<TokenLosses> {
    return onHost(await this.launch(batch, options));
  }

  /** The same, but on a device the work is only queued, and the losses stay there. */
  async launch(
    batch: LabelledGrid,
    { scale, first, dropoutSeed = 0, signal }: ForwardBackwardOptions,
  ): Promise<PendingLosses> {
    const gradients = this.#gradients;
    if (!gradients) throw new Error("Cannot train: the engine was made without gradients");
    const supervised = this.#supervised(batch);
    const pending = { tokens: supervised.tokens, losses: supervised.values.loss };
    if (pending.tokens.length === 0) {
      // Nothing to add, but what the last update left must not be added to either.
      if (first) gradients.flat.zero();
      return pending;
    }
    const keep = this.#keep;
    const adapter = this.#adapter?.block;
    const seed = adapter && adapter.dropout > 0 ? dropoutSeed : undefined;
    const shared = await this.#forward(batch, { keep, dropoutSeed: seed, signal });
    const shape = [batch.rows * batch.length, this.config.hiddenSize];
    let dy = this.#scratch.tensor("gradient.0", this.#precision, shape);
    let dx = this.#scratch.tensor("gradient.1", this.#precision, shape);
    dy.zero();

    const factor = this.#scratch.write("scale", "float32", [], Float32Array.of(scale));
    for (const { start, n, tensors } of this.#chunks(batch, supervised)) {
      await this.#pacer.turn(signal);
      const fresh = first && start === 0;
      const frozen = adapter !== undefined;
      const kernel = this.#kernels?.crossEntropy;
      const tokens = shape[0];
      const made: TensorMap = kernel
        ? { d_logits: this.#lossInKernel(kernel, { n, tokens, tensors, factor }) }
        : { scale: factor };
      const make = kernel ? headBackwardGraph : headGraph;
      const graph = this.#graph(
        frozen ? "head_frozen" : fresh ? "head_first" : "head",
        () => make(this.config, { accumulate: !fresh, frozen, ...this.#computing }),
      );
      graph.run({
        ...tensors,
        ...made,
        ...(frozen ? {} : this.#headGradients(gradients)),
        dx_before: dy,
        dx: dy,
      }, { n, tokens });
    }

    const { graph, bindings } = this.#layer(
      first ? "backward_first" : "backward",
      () =>
        blockBackwardGraph(this.config, {
          accumulate: !first,
          keep,
          adapter,
          dropout: seed !== undefined,
          deviceDropout: this.#graphsOnly,
          precision: this.#precision,
          kernels: this.#kernels?.blocks?.parts,
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
    return pending;
  }

  /**
   * Logits of a chunk, and over them, where there is a factor, that times the gradient of their
   * cross-entropy.
   */
  #lossInKernel(
    kernel: CrossEntropyKernel,
    { n, tokens, tensors, factor }: {
      readonly n: number;
      readonly tokens: number;
      readonly tensors: TensorMap;
      readonly factor?: Tensor;
    },
  ): Tensor {
    const { vocabSize: vocabulary } = this.config;
    const logits = this.#scratch.tensor("head_logits", this.#precision, [n, vocabulary]);
    this.#graph("head_product", () => headProductGraph(this.config, this.#computing))
      .run({ ...tensors, logits }, { n, tokens });
    kernel.launch(streamOf(this.#runtime), {
      logits: logits.address,
      targets: tensors.targets.address,
      // Not read without a gradient.
      factor: factor?.address ?? 0n,
      losses: tensors.loss.address,
    }, { rows: n, vocabulary, targets: "int64", gradient: factor !== undefined });
    return logits;
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
    const gradient = this.#gradients!.tensor(EMBEDDING);
    if (fresh) gradient.zero();
    if (this.#graphsOnly) return this.#embeddingBackwardGraph(batch, dx, gradient);
    const table = gradient.float32();
    const rows = dx.float32();
    for (let token = 0; token < batch.inputIds.length; token++) {
      if (batch.segmentIds[token] === 0) continue;
      const to = Number(batch.inputIds[token]) * hiddenSize;
      const from = token * hiddenSize;
      for (let i = 0; i < hiddenSize; i++) table[to + i] += rows[from + i];
    }
  }

  /** The same on a device: a graph that sums the tokens of each id in a fixed order. */
  #embeddingBackwardGraph(
    { inputIds, segmentIds }: LabelledGrid,
    dx: Tensor,
    gradient: Tensor,
  ): void {
    const graph = this.#graph(
      "embedding_backward",
      () => embeddingBackwardGraph(this.config, this.#computing),
    );
    const { hiddenSize } = this.config;
    const real = inputIds.map((id, token) => segmentIds[token] === 0 ? -1n : id);
    for (let start = 0; start < real.length; start += EMBEDDING_CHUNK) {
      const chunk = real.subarray(start, start + EMBEDDING_CHUNK);
      const ids = BigInt64Array.from(new Set(chunk.filter((id) => id >= 0n)));
      if (ids.length === 0) continue;
      const bytes = start * hiddenSize * byteWidth(dx.dtype);
      using part = dx.view(bytes, [chunk.length, hiddenSize]);
      graph.run({
        dx: part,
        input_ids: this.#scratch.write("embedded_ids", "int64", [chunk.length], chunk),
        unique_ids: this.#scratch.write("unique_ids", "int64", [ids.length, 1], ids),
        [accumulatorName(EMBEDDING)]: gradient,
      }, { tokens: chunk.length, unique: ids.length });
    }
  }

  /** Releases graphs and activations; weights and gradients stay their owner's. */
  [Symbol.dispose](): void {
    for (const { graph, bindings } of this.#layers.values()) {
      for (const binding of bindings) binding[Symbol.dispose]();
      graph[Symbol.dispose]();
    }
    for (const graph of this.#graphs.values()) graph[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
  }
}

/** Graphs that are built without kernels have none to launch. */
const noKernel: LaunchNode = ({ op }) => {
  throw new Error(`Cannot launch ${op}: the engine was made without kernels`);
};

/** Losses read, and no longer where the next batch's go. */
function onHost({ tokens, losses }: PendingLosses): TokenLosses {
  const host = new Float32Array(tokens.length);
  losses.read(host);
  return { tokens, losses: host };
}

function supervisedTokens({ targets }: LabelledGrid): Int32Array {
  let count = 0;
  const tokens = new Int32Array(targets.length);
  for (let i = 0; i < targets.length; i++) if (targets[i] >= 0) tokens[count++] = i;
  return tokens.subarray(0, count);
}
