/**
 * How much memory a training run will take, before it takes it.
 *
 * In: sizes of a model and of its largest batch. Out: bytes, by what holds them.
 *
 * State and activations are what the engine allocates; the workspace is read off the very graphs
 * that will run. Within 5 % of measured peaks (`memory_estimate_test.ts`, bench/RESULTS.md).
 *
 * @module
 */

import { type Device, deviceTraits } from "../../ort/runtime/device.ts";
import { loraNorm } from "../../lora/block_adapter.ts";
import { layoutParameters } from "../../model/engine/parameter_store.ts";
import { planCrossing } from "../../model/engine/subgraph_sessions.ts";
import {
  attentionChunkOf,
  attentionChunks,
  CHUNKED_ATTENTION,
} from "../../model/engine/attention_chunks.ts";
import { headChunkOf } from "../../model/engine/head.ts";
import { segmentMaskSize } from "../../model/engine/segment_masks.ts";
import { computedTokens } from "../../model/engine/without_padding.ts";
import { ArenaEstimate } from "../../ort/graph/arena_estimate.ts";
import { evaluateShape } from "../../ort/graph/dim.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import { type SplitGraph, splitSubgraphs } from "../../ort/graph/subgraphs.ts";
import {
  chunkBackwardGraph,
  chunkForwardGraph,
} from "../../model/graphs/attention_chunk_graphs.ts";
import type { BlockAdapter } from "../../model/graphs/block.ts";
import type { Objective } from "../../model/graphs/objective.ts";
import { blockKernelsFor } from "../../model/block_kernels.ts";
import {
  BASE_STORAGES,
  type BaseStorage,
  storedSpecs,
  storedTypes,
} from "../../model/base_storage.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import { productBytes, type Quantization, storedMatrices } from "../../model/quantization.ts";
import type { ModelConfig } from "../../model/config.ts";
import { blockLinears, modelParameters } from "../../model/parameters.ts";
import { distinctKinds } from "../../model/parts/layer_kind.ts";
import type { Precision } from "../../model/precision.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  headBackwardGraph,
  headGraph,
  headProductGraph,
} from "../../model/graphs/training_graphs.ts";
import { gridSymbols } from "../../model/graphs/sequences.ts";
import { CUBLAS_WORKSPACE_BYTES } from "../../ort/runtime/cublas_workspace.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import { BUCKET, widenedBuckets } from "../distributed/buckets.ts";
import { findObjective } from "../objectives/objectives.ts";
import { splitParameters } from "./full_trainer.ts";
import { keptNumbers, type OptimizerDescription } from "../optimizers/optimizer_description.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import { stateBytes, type StateFormat } from "../optimizers/state_format.ts";

const FLOAT_BYTES = 4;
const MIB = 2 ** 20;
// Deno, the libraries and the compiled graphs.
const PROCESS_BYTES = 140 * MIB;
// What CUDA takes of a device's memory for its context and its libraries' code: published, not measured here.
const CUDA_BYTES = 500e6;
// Sessions that training makes besides the graphs below: both sums of losses, the embedding, and masks.
const LOSS_SUMS = 2;
const EMBEDDINGS = 1;
// A session of one product, beside its matrix: measured with 800 of them.
const PRODUCT_SESSION_BYTES = 100 * 1024;
// Of an optimizer in graphs: norm, control, and the update without weight decay.
const OPTIMIZER_GRAPHS = 3;

/** The largest batch of a run, and how the engine works. */
export interface MemoryEstimateOptions {
  /** Rows of the batch. */
  readonly rows: number;
  /** Tokens a row, padding included. */
  readonly length: number;
  /**
   * Tokens of the batch, padding left out: where attention goes by segments, in own kernels or in chunks,
   * only they are computed.
   * @default rows × length
   */
  readonly tokens?: number;
  /** Supervised tokens of the batch. @default all that are not padding */
  readonly supervised?: number;
  /** As the engine's. @default 256, 128 with an adapter */
  readonly headChunk?: number;
  /** As the engine's. @default true */
  readonly gradientCheckpointing?: boolean;
  /** How many of the last layers are trained alone. @default all weights are */
  readonly lastLayers?: number;
  /** The adapter that is trained, in float32. @default none: all weights are */
  readonly adapter?: BlockAdapter;
  /** Bytes that the process has besides. @default 140 MiB: Deno, ONNX Runtime, graphs */
  readonly process?: number;
  /** The type of weights, activations and, but for an adapter's, gradients. @default "float32" */
  readonly precision?: Precision;
  /** How the matrices of a base are kept that an adapter is trained on. @default in the precision */
  readonly storage?: BaseStorage;
  /** What updates the weights: a name, or a description. @default AdamW */
  readonly optim?: string | OptimizerDescription;
  /** How many processes share what the optimizer keeps. @default 1 */
  readonly shards?: number;
  /** Whether several processes sum their gradients. @default false */
  readonly several?: boolean;
  /** How it stores them; an adapter is float32. @default `float32`, or in bfloat16 `master` */
  readonly format?: StateFormat;
  /** What is minimized: a name, or an objective. @default cross-entropy */
  readonly objective?: string | Objective;
  /**
   * Whose memory it is: a CUDA device holds its context, and no process. Of a WebGPU device it is what
   * tensors and intermediate values need; what its driver takes besides is not known. Attention goes over
   * chunks of queries there. @default "cpu"
   */
  readonly device?: Device["kind"];
  /**
   * Whether own kernels run what they can: logits are held once, in the weights' type, and where they
   * compute attention neither scores, which grow with the square of the length, nor a mask.
   * @default false
   */
  readonly kernels?: boolean;
}

/** Bytes by what holds them. */
export interface MemoryEstimate {
  /** The weights, with an adapter's. */
  readonly weights: number;
  /** Their gradients. */
  readonly gradients: number;
  /** What the optimizer keeps: AdamW's two moments, and float32 master weights where there are any. */
  readonly moments: number;
  /**
   * Inputs of all blocks, what is kept besides without gradient checkpointing, and with own kernels
   * what graphs leave for them: a chunk's logits, and intermediate values of a block.
   */
  readonly activations: number;
  /** Intermediate values of the graphs, which share one arena. */
  readonly workspace: number;
  /**
   * Workspaces of cuBLAS, one a session, on a CUDA device: calculated, as all of this, but of a size that
   * NVIDIA states and nobody measured here.
   */
  readonly handles: number;
  /** Deno, ONNX Runtime, graphs; on a CUDA device its context. */
  readonly process: number;
  /** All of it. */
  readonly total: number;
  /** Bytes of the largest tensor, where each has memory of its own: of weights, or of graphs. */
  readonly largest: number;
}

/**
 * Estimates the peak memory of training.
 *
 * For a CUDA device it is a plan, not a measurement: that the arena is shared by all graphs and that
 * weights, gradients and state are allocated apart, as on the CPU; that the optimizer works in chunks
 * whose temporaries fit the arena; and that a large batch's embedding gradient is taken a few thousand
 * tokens at a time.
 * Counted without a GPU, allocation by allocation (tests/cuda_calls_test.ts has the means), Qwen3-1.7B
 * with own kernels takes that within 0.1 % in bf16-pure at 2048 tokens, and within 0.4 % with an adapter at
 * 2048 and 8192.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { estimateMemory } from "@ortune/ortune/train";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 1024, intermediate_size: 3072,
 *   num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128,
 *   vocab_size: 151936, tie_word_embeddings: true,
 * });
 * const { total } = estimateMemory(config, { rows: 1, length: 512 });
 * assert.ok(Math.abs(total / 2 ** 20 - 9789) < 0.05 * 9789); // measured: bench/RESULTS.md
 * ```
 */
export function estimateMemory(
  config: ModelConfig,
  {
    rows,
    length,
    tokens: real = rows * length,
    supervised = real,
    gradientCheckpointing = true,
    precision = "float32",
    storage = BASE_STORAGES.fp32,
    optim,
    format = precision === "float32" ? "float32" : "master",
    objective: minimized,
    device = "cpu",
    shards = 1,
    several = false,
    process = { cpu: PROCESS_BYTES, cuda: CUDA_BYTES, webgpu: 0 }[device],
    lastLayers,
    adapter,
    kernels = false,
    headChunk: chunk,
  }: MemoryEstimateOptions,
): MemoryEstimate {
  const optimizer = findOptimizer(optim);
  const objective = findObjective(minimized);
  const lossKernel = kernels && objective.loadKernel !== undefined &&
    config.logitCap === undefined;
  const headChunk = chunk ?? headChunkOf({
    vocabSize: config.vocabSize,
    adapted: adapter !== undefined,
    kernels: lossKernel,
  });
  const width = byteWidth(precision);
  const specs = modelParameters(config);
  const base = layoutParameters(specs).length;
  const stored = storedTypes(specs, storage);
  const weightBytes = storedSpecs(specs, storage).map(({ name, shape }) =>
    byteWidth(stored.get(name) ?? precision) * elementCount(shape)
  );
  const products = storage.quantization ? productsOf(specs, storage.quantization) : [];
  const whole = sum(specs, ({ shape }) => width * elementCount(shape));
  const spared = whole - sum([...weightBytes, ...products], (bytes) => bytes) -
    PRODUCT_SESSION_BYTES * products.length;
  const kinds = distinctKinds(config);
  const ofLayers = adapter && config.layerKinds.flatMap((kind) => adapter.parameters(kind));
  const adapted = ofLayers && sum(ofLayers, ({ shape }) => elementCount(shape));
  const { trained: own } = splitParameters(config, lastLayers);
  const trained = adapted ?? layoutParameters(own).length;
  // An adapter is float32 over any base.
  const numbers = keptNumbers(optimizer, ofLayers ?? own) / trained;
  const ownFormat = adapter ? "float32" : format;
  const state = stateBytes(ownFormat, numbers);
  const keep = !gradientCheckpointing;
  const queries = kernels ? undefined : attentionChunkOf({ kind: device });
  const inChunks = queries === undefined ? undefined : CHUNKED_ATTENTION;
  const parts = kernels ? blockKernelsFor(config, precision, adapter) : inChunks;
  const segments = parts?.has("attention") || inChunks !== undefined;
  const tokens = segments ? computedTokens([real], "end-to-end") : rows * length;
  const grid = segments ? { rows: 1, length: tokens } : { rows, length };
  const symbols = {
    ...gridSymbols(config, grid),
    tokens,
    positions: length,
    n: Math.min(headChunk, supervised),
  };
  const dropout = adapter !== undefined && adapter.dropout > 0;
  const blocks = {
    precision,
    storage,
    keep,
    adapter,
    dropout,
    kernels: parts,
    deviceDropout: device !== "cpu",
  };
  const forwards = new Map(
    kinds.map((kind) => [kind, blockForwardGraph(config, { ...blocks, kind })]),
  );
  // Outputs besides y: what a layer's forward keeps for its backward.
  const bytesOf = ({ dtype, shape }: Value): number =>
    byteWidth(dtype) * elementCount(evaluateShape(shape, symbols));
  const kept = sum(
    config.layerKinds,
    (kind) => sum(forwards.get(kind)!.outputs.filter(({ name }) => name !== "y"), bytesOf),
  );
  // Each block's input, the last output, two gradients of them; the mask, or those of all chunks.
  const hidden = (config.layers + 3) * tokens * config.hiddenSize;
  // A window that holds whole rows hides nothing.
  const windows = new Set(
    kinds.filter(({ delta }) => !delta)
      .map(({ window = length }) => window < length ? window : undefined),
  );
  // Rows of the whole length, or of a window, are the most that a chunk's queries can see.
  const plans = [...windows].map((window = length) => {
    const starts = Int32Array.from(
      { length: tokens },
      (_, at) => Math.max(at - at % length, at - window + 1),
    );
    return queries === undefined
      ? []
      : attentionChunks(starts, { heads: config.heads, queries }).map(
        ({ start, end, firstKey, lastKey }) => {
          return { rows: 1, length: end - start, keys: lastKey - firstKey, tokens };
        },
      );
  });
  const masks = segments
    ? plans.flat().map(({ length, keys }) => length * keys)
    : Array<number>(windows.size).fill(rows * length * length);
  const mask = sum(masks, (each) => each);
  const delta = kinds.find((kind) => kind.delta)?.delta;
  const segmentMask = delta ? FLOAT_BYTES * segmentMaskSize(grid, delta) : 0;
  const arena = new ArenaEstimate();
  const head = {
    precision,
    storage,
    objective,
    frozen: adapter !== undefined || lastLayers !== undefined,
    logSoftmax: device !== "cpu",
  };
  const headBackward = lossKernel ? headBackwardGraph : headGraph;
  const logits = lossKernel ? symbols.n * config.vocabSize : 0;
  const there = [...forwards.values()].map(splitSubgraphs);
  const back = kinds.map((kind) => splitSubgraphs(blockBackwardGraph(config, { ...blocks, kind })));
  const graphsOf = (split: readonly SplitGraph[]): Graph[] =>
    split.flatMap(({ steps }) => steps.map(({ graph }) => graph))
      .filter((graph) => graph !== undefined);
  for (
    const graph of [
      ...graphsOf(there),
      ...lossKernel ? [headProductGraph(config, { precision, storage })] : [],
      headBackward(config, { ...head, accumulate: false }),
      headBackward(config, head),
      ...graphsOf(back),
    ]
  ) arena.run(graph, symbols);
  for (const [make, adds] of [[chunkForwardGraph, false], [chunkBackwardGraph, true]] as const) {
    for (const chunks of plans) {
      const whole = chunks.length === 1;
      chunks.forEach((sizes, i) =>
        arena.run(make(config, { whole, first: adds && i === 0 }), sizes)
      );
    }
  }
  // Of an optimizer that goes element by element, pieces of tensors fit into what the above took.
  const ofKinds = adapter && kinds.flatMap((kind) => adapter.parameters(kind));
  const inWhole = optimizer.wholeTensors?.(ofKinds ?? own, ownFormat) ?? [];
  for (const graph of inWhole) arena.run(graph, {});
  // A pass of the blocks is made for the update's first batch, and for those that add to it; evaluation has
  // one of its own where training keeps activations or drops inputs, and in graphs a loss without gradients.
  const plain = kinds.map((kind) =>
    splitSubgraphs(blockForwardGraph(config, { ...blocks, kind, keep: false, dropout: false }))
  );
  const sessions = graphsOf(there).length + 2 * graphsOf(back).length +
    (keep || dropout ? graphsOf(plain).length : 0) +
    EMBEDDINGS + (segments ? 0 : windows.size) + LOSS_SUMS +
    (kernels && optimizer.withKernels ? 0 : OPTIMIZER_GRAPHS) +
    // The head's logits or its loss, and its gradients: afresh and added to, or of no weight.
    1 + (adapter ? 1 : 2) +
    // The embedding's gradient, or DoRA's norms.
    (adapter ? normGraphs(config, adapter, storage) : 1);
  const { viewsAtOffset: views } = deviceTraits({ kind: device });
  const buffers = [...there, ...back].map(({ crossing }) =>
    planCrossing(crossing, symbols, { views }).buffers
  );
  // Both directions, and all kinds, share the buffers.
  const crossing = Array.from(
    { length: Math.max(...buffers.map((each) => each.length)) },
    (_, i) => Math.max(...buffers.map((each) => each[i] ?? 0)),
  );
  // Gradients that are not float32 are summed in float32.
  const widened = several && adapted === undefined && precision !== "float32"
    ? FLOAT_BYTES * Math.min(widenedBuckets(config) * BUCKET, trained)
    : 0;
  const made = {
    weights: width * base - spared + (adapted === undefined ? 0 : FLOAT_BYTES * adapted),
    gradients: (adapted === undefined ? width : FLOAT_BYTES) * trained + widened,
    moments: state * trained / shards,
    activations: width * (hidden + mask + logits) + segmentMask + kept +
      sum(crossing, (bytes) => bytes),
    workspace: arena.bytes,
    handles: device === "cuda" ? CUBLAS_WORKSPACE_BYTES * sessions : 0,
    process,
  };
  const sizes = [
    ...weightBytes,
    ...(ofKinds ?? []).map(({ shape }) => FLOAT_BYTES * elementCount(shape)),
    ...crossing,
    ...[...forwards.values()].flatMap(({ outputs }) => outputs.map(bytesOf)),
    ...masks.map((each) => width * each),
  ];
  return {
    ...made,
    total: sum(Object.values(made), (bytes) => bytes),
    largest: Math.max(arena.largest, ...sizes),
  };
}

/** Graphs of DoRA's norms: one, but of a matrix in whole blocks one for each shape. */
function normGraphs(
  config: ModelConfig,
  adapter: BlockAdapter,
  { quantization }: BaseStorage,
): number {
  const shapes = distinctKinds(config).flatMap((kind) => {
    const norms = new Set(adapter.derived(kind).map(({ name }) => name));
    return blockLinears(config, kind)
      .filter(({ name }) => norms.has(loraNorm(name)))
      .map(({ shape }) => quantization?.layout === "blocks" ? `${shape}` : "any");
  });
  return new Set(shapes).size;
}

/** Bytes of the copies that products are made of, one each. */
function productsOf(specs: readonly ParameterSpec[], quantization: Quantization): number[] {
  const matrices = storedMatrices(specs, quantization);
  return specs.flatMap(({ name, shape }) => {
    const { bits, products } = matrices.get(name) ?? { bits: 8, products: [] };
    return products.map((direction) =>
      productBytes({ bits, products: [direction] }, shape, quantization.block)
    );
  });
}

function sum<T>(items: readonly T[], of: (item: T, index: number) => number): number {
  return items.reduce((total, item, i) => total + of(item, i), 0);
}
