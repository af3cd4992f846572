/**
 * Trains a model by running its graphs one after the other, in any precision: float32 as it is,
 * bfloat16 emulated on the CPU, with the tensors in memory that CUDA would have. No engine: what is
 * shown is what the graphs compute.
 */

import type { LabelledGrid } from "../../engine/batch.ts";
import { CompiledGraph } from "../../engine/compiled_graph.ts";
import { LAYOUT_BLOCK, layoutParameters } from "../../engine/parameter_store.ts";
import { evaluateShape, type Symbols } from "../../graph/dim.ts";
import type { Graph } from "../../graph/ir.ts";
import type { ModelConfig } from "../../model/config.ts";
import { castGraph, zerosGraph } from "../../model/device_graphs.ts";
import {
  blockParameters,
  EMBEDDING,
  FINAL_NORM,
  headName,
  layerName,
  modelParameters,
} from "../../model/parameters.ts";
import type { Precision } from "../../model/precision.ts";
import { ropeTables } from "../../model/rope.ts";
import {
  accumulatorName,
  blockBackwardGraph,
  blockForwardGraph,
  embeddingBackwardGraph,
  embedGraph,
  gradientName,
  headGraph,
} from "../../model/training_graphs.ts";
import type { Runtime } from "../../ort/runtime.ts";
import { Tensor } from "../../ort/tensor.ts";
import type { DType } from "../../tensor/dtype.ts";
import { MersenneTwister } from "../../tensor/mersenne_twister.ts";
import { numbersOf, writeNumbers } from "./numbers.ts";
import { adamWGraph, type AdamWKind, sumOfSquaresGraph } from "../../train/adamw_graph.ts";

const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

/** What to train and how. */
export interface GraphTrainingOptions {
  readonly config: ModelConfig;
  /** Initial weights by their Hugging Face names. */
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly kind: AdamWKind;
}

/** A model in training. */
export class GraphTraining implements Disposable {
  readonly #runtime: Runtime;
  readonly #config: ModelConfig;
  readonly #kind: AdamWKind;
  readonly #precision: Precision;
  readonly #owned = new DisposableStack();
  readonly #graphs = new Map<string, CompiledGraph>();
  readonly #layout: ReturnType<typeof layoutParameters>;
  readonly #weights: Tensor;
  readonly #gradients: Tensor;
  readonly #random = MersenneTwister.fromSeed(1);
  readonly #state: Readonly<Record<string, Tensor>>;
  #updates = 0;

  constructor(runtime: Runtime, { config, weights, kind }: GraphTrainingOptions) {
    this.#runtime = runtime;
    this.#config = config;
    this.#kind = kind;
    this.#precision = kind === "float32" ? "float32" : "bfloat16";
    this.#layout = layoutParameters(modelParameters(config));
    const { length } = this.#layout;
    const allocate = (dtype: DType, shape = [length]): Tensor => {
      const tensor = this.#owned.use(Tensor.allocate(runtime, dtype, shape));
      tensor.bytes().fill(0);
      return tensor;
    };
    this.#weights = allocate(this.#precision);
    this.#gradients = allocate(this.#precision);
    for (const [name, numbers] of weights) {
      using view = this.#view(this.#weights, name);
      writeNumbers(view, numbers);
    }
    const state = kind === "float32" || kind === "adamw" ? "float32" : "bfloat16";
    const master = kind === "adamw" ? allocate("float32") : this.#weights;
    if (kind === "adamw") {
      this.#run("master", () => castGraph("bfloat16", "float32"), { x: this.#weights, y: master }, {
        elements: length,
      });
    }
    const blocks = allocate("int32", [length / LAYOUT_BLOCK, 1]);
    blocks.int32().forEach((_, i, all) => all[i] = this.#random.nextUint32() | 1);
    this.#state = {
      p: master,
      m: allocate(state),
      v: allocate(state),
      ...kind === "adamw" ? { weight: this.#weights } : {},
      ...kind === "adamw-bf16" ? { blocks } : {},
    };
  }

  #view(flat: Tensor, name: string): Tensor {
    const { shape } = this.#layout.specs.find((spec) => spec.name === name)!;
    const width = flat.byteLength / this.#layout.length;
    return flat.view(this.#layout.offsets.get(name)! * width, shape);
  }

  #run(
    name: string,
    make: () => Graph,
    tensors: Readonly<Record<string, Tensor>>,
    symbols: Symbols,
  ): void {
    let compiled = this.#graphs.get(name);
    if (!compiled) {
      compiled = this.#owned.use(new CompiledGraph(this.#runtime, make()));
      this.#graphs.set(name, compiled);
    }
    compiled.run(tensors, symbols);
  }

  /** A weight's gradient. */
  gradient(name: string): Float32Array {
    using view = this.#view(this.#gradients, name);
    return numbersOf(view);
  }

  /** Adds the gradients of scale · Σ loss, or writes them afresh; answers each token's loss. */
  forwardBackward(batch: LabelledGrid, scale: number, first: boolean): Float32Array {
    using scope = new DisposableStack();
    const config = this.#config;
    const precision = this.#precision;
    const { rows, length } = batch;
    const tokens = rows * length;
    const chosen = Int32Array.from(batch.targets.keys()).filter((i) => batch.targets[i] >= 0);
    const n = chosen.length;
    const symbols = { rows, length, tokens, n, positions: length };
    const make = (dtype: DType, shape: readonly number[]): Tensor =>
      scope.use(Tensor.allocate(this.#runtime, dtype, shape));
    const given = (dtype: DType, shape: readonly number[], data: ArrayBufferView): Tensor => {
      const tensor = make(dtype, shape);
      tensor.write(data);
      return tensor;
    };
    const hidden = (): Tensor => make(precision, [tokens, config.hiddenSize]);
    const weight = (name: string): Tensor => scope.use(this.#view(this.#weights, name));
    const gradient = (name: string): Tensor => scope.use(this.#view(this.#gradients, name));
    /** A weight's gradient under the names of a graph. */
    const both = (local: string, name: string): Record<string, Tensor> => {
      const tensor = gradient(name);
      return { [accumulatorName(local)]: tensor, [gradientName(local)]: tensor };
    };
    const [cos, sin] = [0, 1].map(() => make(precision, [length, config.headDim / 2]));
    const tables = ropeTables(config, length);
    writeNumbers(cos, tables.cos);
    writeNumbers(sin, tables.sin);
    const position_ids = given("int64", [rows, length], batch.positionIds);
    const mask = make(precision, [rows, 1, 1, length, length]);
    const shared = { mask, position_ids, cos, sin };

    const states = Array.from({ length: config.layers + 1 }, hidden);
    this.#run("embed", () => embedGraph(config, { precision }), {
      [EMBEDDING]: weight(EMBEDDING),
      input_ids: given("int64", [rows, length], batch.inputIds),
      segment_ids: given("int32", [rows, length], batch.segmentIds),
      columns: given("int32", [length], Int32Array.from({ length }, (_, i) => i)),
      x: states[0],
      mask,
    }, symbols);
    const layerWeights = (layer: number): Record<string, Tensor> =>
      Object.fromEntries(
        blockParameters(config).map(({ name }) => [name, weight(layerName(layer, name))]),
      );
    for (let layer = 0; layer < config.layers; layer++) {
      const [x, y] = [states[layer], states[layer + 1]];
      const tensors = { ...shared, ...layerWeights(layer), x, y };
      this.#run("forward", () => blockForwardGraph(config, { precision }), tensors, symbols);
    }

    const accumulate = !first;
    let [dy, dx] = [hidden(), hidden()];
    this.#run("zeros", () => zerosGraph(precision), { zeros: dy }, {
      rows: tokens,
      columns: config.hiddenSize,
    });
    const loss = make("float32", [n, 1]);
    this.#run(`head ${first}`, () => headGraph(config, { precision, accumulate }), {
      x: states[config.layers],
      token_ids: given("int64", [n, 1], BigInt64Array.from(chosen, BigInt)),
      targets: given(
        "int64",
        [n, 1],
        BigInt64Array.from(chosen, (token) => BigInt(batch.targets[token])),
      ),
      [FINAL_NORM]: weight(FINAL_NORM),
      lm_head: weight(headName(config)),
      scale: given("float32", [], Float32Array.of(scale)),
      ...both("lm_head", headName(config)),
      ...both(FINAL_NORM, FINAL_NORM),
      dx_before: dy,
      dx: dy,
      loss,
    }, symbols);
    for (let layer = config.layers - 1; layer >= 0; layer--) {
      const gradients = blockParameters(config).map(({ name }) =>
        both(name, layerName(layer, name))
      );
      const tensors = Object.assign(
        { ...shared, ...layerWeights(layer), x: states[layer], dy, dx },
        ...gradients,
      );
      const options = { precision, accumulate };
      this.#run(`backward ${first}`, () => blockBackwardGraph(config, options), tensors, symbols);
      [dy, dx] = [dx, dy];
    }
    if (!config.tiedEmbeddings && first) gradient(EMBEDDING).bytes().fill(0);
    const ids = batch.inputIds.map((id, i) => batch.segmentIds[i] > 0 ? id : -1n);
    const unique = BigInt64Array.from(new Set(ids.filter((id) => id >= 0n)));
    this.#run("embedding", () => embeddingBackwardGraph(config, { precision }), {
      ...both(EMBEDDING, EMBEDDING),
      dx: dy,
      input_ids: given("int64", [tokens], ids),
      unique_ids: given("int64", [unique.length, 1], unique),
    }, { tokens, unique: unique.length });
    return loss.float32().slice();
  }

  /** Clips the gradients and updates every weight; answers the norm before clipping. */
  update(learningRate: number, maxNorm: number): number {
    using scope = new DisposableStack();
    const step = ++this.#updates;
    const { length } = this.#layout;
    const blocks = length / LAYOUT_BLOCK;
    const sums = scope.use(Tensor.allocate(this.#runtime, "float32", [blocks, 1]));
    const g = scope.use(this.#gradients.view(0, [blocks, LAYOUT_BLOCK]));
    this.#run("sums", () => sumOfSquaresGraph(this.#precision), { g, sums }, { blocks });
    const norm = Math.sqrt(sums.float32().reduce((total, each) => total + each, 0));
    const correction = Math.sqrt(1 - BETA2 ** step);
    const graph = adamWGraph({ beta1: BETA1, beta2: BETA2 }, false, this.#kind);
    const scalars = {
      clip: Math.min(1, maxNorm / (norm + 1e-6)),
      step_size: learningRate * correction / (1 - BETA1 ** step),
      epsilon: EPSILON * correction,
      decay: 1,
    };
    const tensors: Record<string, Tensor> = { ...this.#state, g: this.#gradients };
    for (const { name, dtype, shape } of graph.inputs) {
      const scalar = scalars[name as keyof typeof scalars];
      if (name === "seed") {
        const seed = Int32Array.of(this.#random.nextUint32() | 1);
        tensors.seed = scope.use(Tensor.from(this.#runtime, dtype, [], seed));
      } else if (scalar !== undefined) {
        tensors[name] = scope.use(
          Tensor.from(this.#runtime, dtype, [], Float32Array.of(scalar)),
        );
      } else if (tensors[name].shape.length !== shape.length) {
        const sizes = evaluateShape(shape, { blocks });
        tensors[name] = scope.use(tensors[name].view(0, sizes));
      }
    }
    this.#run("update", () => graph, tensors, { n: length, blocks });
    return norm;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
