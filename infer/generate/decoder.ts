/**
 * A model one token at a time, with a cache.
 *
 * In: token ids. Out: the logits of the next token, [vocab]. Weights are borrowed: a trainer's own
 * serve while it trains.
 *
 * @module
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { type BaseMatrices, boundParameter } from "../../model/engine/quantized_store.ts";
import {
  type LaunchNode,
  type SubgraphBinding,
  SubgraphSessions,
} from "../../model/engine/subgraph_sessions.ts";
import { YieldTimer } from "../../model/engine/yield_timer.ts";
import { decodeOptions, inPrecision } from "../../model/engine/weights_precision.ts";
import { Scratch } from "../../model/engine/scratch.ts";
import type { ModelConfig } from "../../model/config.ts";
import {
  decodeBlockGraph,
  type DecodeBlockOptions,
  STEP_INPUTS,
} from "../../model/graphs/decode_graphs.ts";
import { EMBEDDING, FINAL_NORM, headName, layerName } from "../../model/parameters.ts";
import type { Precision } from "../../model/precision.ts";
import { distinctKinds, type LayerKind } from "../../model/parts/layer_kind.ts";
import { positionTables } from "../../model/rope.ts";
import { embedGraph, headLogitsGraph } from "../../model/graphs/training_graphs.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { cpu, deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { assertPrompt } from "./assert_prompt.ts";
import { copyRows } from "./copy_rows.ts";
import { KvCache } from "./kv_cache.ts";

/** Where a decoder finds weights by their Hugging Face names, such as a `ParameterStore`. */
export interface DecoderWeights extends BaseMatrices {
  /** Whether there is a tensor of that name, where matrices may be kept otherwise. */
  has?(name: string): boolean;
  /** The tensor of that name; it must outlive the decoder, its contents may change. */
  tensor(name: string): Tensor;
}

/** Options of {@linkcode Decoder}. */
export interface DecoderOptions {
  /**
   * Prompt tokens run at once. Attention scores take heads · chunk · capacity floats, and the event
   * loop gets a turn after each layer of a chunk.
   * @default {256}
   */
  readonly chunk?: number;
  /**
   * Makes a block's linear layers, where an adapter goes in. Its weights too come from
   * {@linkcode DecoderWeights} under their full names.
   * @default {the block's own}
   */
  readonly linear?: DecodeBlockOptions["linear"];
  /** Which attention reads the cache. @default {what the device has} */
  readonly attention?: DecodeBlockOptions["attention"];
}

/**
 * Runs a model over a growing sequence. Shapes are bound once a chunk length: a token costs one run
 * a layer, and no binding.
 *
 * @example
 * ```ts
 * import { parseConfig, Runtime } from "@ortune/ortune";
 * import { createSampler, Decoder } from "@ortune/ortune/infer";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258,
 * });
 * using runtime = new Runtime({ threads: 1 });
 * using weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
 * new TorchGenerator(42).normal(weights.flat.float32(), 0, 0.1);
 *
 * using decoder = new Decoder(runtime, config, weights);
 * const greedy = createSampler({ greedy: true });
 * const id = greedy(await decoder.prefill([1, 2, 3]));
 * const logits = await decoder.decode(id);
 * assert.deepEqual([logits.length, decoder.position], [261, 4]);
 * ```
 */
export class Decoder implements Disposable {
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  readonly #weights: DecoderWeights;
  readonly #chunk: number;
  readonly #blocks: ReadonlyMap<LayerKind, SubgraphSessions>;
  readonly #head: SubgraphSessions;
  readonly #layerBindings: readonly SubgraphBinding[];
  /** What the layers of a kind take for positions. */
  readonly #tables = new Map<LayerKind, TensorMap>();
  readonly #headBinding: SubgraphBinding;
  readonly #cache: KvCache;
  readonly #scratch: Scratch;
  readonly #crossing: Scratch[] = [];
  /** What graphs read on the host, on every device. */
  readonly #host: Scratch;
  readonly #precision: Precision;
  /** Looks tokens up where the host cannot reach the table, or has it in fewer bits. */
  readonly #embedding: CompiledGraph | undefined;
  /** Whether the block's graph is told by row where to write into the cache. */
  readonly #plain: boolean;
  readonly #yieldTimer = new YieldTimer();
  #position = 0;
  #boundLength = 0;
  #disposed = false;

  /** Compiles the graphs and binds the weights; the cache grows with the sequence. */
  constructor(
    runtime: Runtime,
    config: ModelConfig,
    weights: DecoderWeights,
    { chunk = 256, linear, attention }: DecoderOptions = {},
  ) {
    if (!Number.isSafeInteger(chunk) || chunk < 1) {
      throw new RangeError(`Cannot decode in chunks of ${chunk} tokens: expected 1 or more`);
    }
    const computing = decodeOptions(runtime, weights);
    const how = { ...computing, attention: attention ?? computing.attention, linear };
    const graphs = new Map(
      distinctKinds(config).map((kind) => [kind, decodeBlockGraph(config, { ...how, kind })]),
    );
    this.config = config;
    this.#weights = weights;
    this.#chunk = chunk;
    const { precision } = computing;
    this.#precision = precision;
    this.#plain = how.attention === "plain";
    this.#cache = new KvCache(runtime, config, { dtype: precision, asRows: this.#plain });
    this.#scratch = new Scratch(runtime);
    this.#host = new Scratch(runtime, cpu);
    const { hostMemory, viewsAtOffset: views } = deviceTraits(runtime.device);
    const { products } = weights;
    // Each with memory of its own for what products leave: another graph's would move what is bound.
    const compile = (graph: Graph): SubgraphSessions => {
      const scratch = new Scratch(runtime);
      this.#crossing.push(scratch);
      return new SubgraphSessions(runtime, graph, { launch: noProducts, scratch, views });
    };
    this.#blocks = new Map([...graphs].map(([kind, graph]) => [kind, compile(graph)]));
    this.#head = compile(headLogitsGraph(config, computing));
    this.#embedding = hostMemory && weights.tensor(EMBEDDING).dtype === "float32"
      ? undefined
      : new CompiledGraph(runtime, embedGraph(config, computing));
    this.#layerBindings = config.layerKinds.map((kind, layer) => {
      const { inputs, shapeInputs } = graphs.get(kind)!;
      const names = inputs.map(({ name }) => name).filter((name) =>
        !STEP_INPUTS.has(name) && !shapeInputs.has(name)
      );
      return this.#blocks.get(kind)!.bind(
        Object.fromEntries(names.map((name) => [name, weights.tensor(layerName(layer, name))])),
        products?.launcher((matrix) => layerName(layer, matrix)),
      );
    });
    this.#headBinding = this.#head.bind({
      [FINAL_NORM]: weights.tensor(FINAL_NORM),
      ...boundParameter(weights, "lm_head", headName(config)),
    }, products?.launcher(() => headName(config)));
  }

  /** Tokens in the cache: the next one's position. */
  get position(): number {
    return this.#position;
  }

  /** The cache, for a look at it. */
  get cache(): KvCache {
    return this.#cache;
  }

  /** Forgets the sequence; the cache keeps its memory. */
  reset(): void {
    this.#position = 0;
  }

  /**
   * Adds tokens to the sequence, in chunks.
   *
   * @returns the logits after the last one, [vocab], in memory that the next call writes to
   * @throws {RangeError} on no tokens, an id outside the vocabulary, or more than max positions
   * @throws the signal's reason; the sequence then ends after the last whole chunk
   */
  async prefill(ids: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array> {
    this.#assertAlive();
    const { vocabSize } = this.config;
    assertPrompt(ids, vocabSize);
    this.#reserve(this.#position + ids.length);
    for (let start = 0; start < ids.length; start += this.#chunk) {
      await this.#run(ids, start, Math.min(this.#chunk, ids.length - start), signal);
    }
    this.#headBinding.run();
    return this.#scratch.tensor("logits", "float32", [1, vocabSize]).hostFloat32();
  }

  /** The same for one token. */
  decode(id: number, signal?: AbortSignal): Promise<Float32Array> {
    return this.prefill([id], signal);
  }

  /** Runs `length` of the ids through all blocks. */
  async #run(
    ids: ArrayLike<number>,
    start: number,
    length: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const { layers } = this.config;
    if (length !== this.#boundLength) this.#bind(length);
    const total = this.#position + length;
    const tokens = Array.from({ length }, (_, i) => ids[start + i]);
    this.#embed(tokens);
    const positions = BigInt64Array.from(tokens, (_, i) => BigInt(this.#position + i));
    this.#scratch.write("positions", "int64", [1, length], positions);
    if (this.#plain) this.#writeCacheRows(length);
    else {
      this.#scratch.write("last_index", "int32", [1], Int32Array.of(total - 1));
      this.#host.write("total_length", "int32", [], Int32Array.of(total));
    }
    for (let layer = 0; layer < layers; layer++) {
      await this.#yieldTimer.turn(signal);
      this.#assertAlive();
      this.#layerBindings[layer].run();
    }
    // Only now: an aborted chunk leaves the sequence as it was, and its cache rows are written anew.
    this.#position = total;
  }

  /** Puts the tokens' rows of the embedding where the first block reads. */
  #embed(tokens: readonly number[]): void {
    const x = this.#hidden(0, tokens.length);
    if (this.#embedding) {
      const ids = BigInt64Array.from(tokens, BigInt);
      const input_ids = this.#scratch.write("input_ids", "int64", [1, ids.length], ids);
      const bound = { ...boundParameter(this.#weights, EMBEDDING, EMBEDDING), input_ids, x };
      this.#embedding.run(bound, { rows: 1, length: ids.length });
      return;
    }
    // Rows copied one by one: a Gather over the table would want it as a graph's input each time.
    const embedding = this.#weights.tensor(EMBEDDING);
    copyRows(this.config, { from: embedding.float32(), to: x.float32(), ids: tokens });
  }

  /** Rows of the cache that the next tokens' keys and values go to. */
  #writeCacheRows(length: number): void {
    const { kvHeads } = this.config;
    const { capacity } = this.#cache;
    const rows = BigInt64Array.from(
      { length: kvHeads * length },
      (_, i) => BigInt(Math.floor(i / length) * capacity + this.#position + i % length),
    );
    this.#scratch.write("cache_rows", "int64", [rows.length, 1], rows);
  }

  #hidden(layer: number, length: number): Tensor {
    // A block must not write where it reads, so that two buffers take turns.
    const shape = [length, this.config.hiddenSize];
    return this.#scratch.tensor(`hidden.${layer % 2}`, this.#precision, shape);
  }

  #reserve(positions: number): void {
    if (!this.#cache.reserve(positions, this.#position)) return;
    this.#boundLength = 0;
    const { capacity } = this.#cache;
    const precision = this.#precision;
    for (const kind of this.#blocks.keys()) {
      const tables = Object.entries(positionTables(kind, capacity)).map((
        [name, { width, data }],
      ) => {
        const [place, values] = [`${name}.${kind.name}`, inPrecision(data, precision)];
        return [name, this.#scratch.write(place, precision, [capacity, width], values)] as const;
      });
      this.#tables.set(kind, Object.fromEntries(tables));
    }
    if (this.#plain) {
      const columns = BigInt64Array.from({ length: capacity }, (_, i) => BigInt(i));
      this.#scratch.write("columns", "int64", [capacity], columns);
    }
  }

  /** Binds everything whose shape depends on the chunk's length or the cache's capacity. */
  #bind(length: number): void {
    const { layers, layerKinds, vocabSize, kvHeads } = this.config;
    const scratch = this.#scratch;
    const { capacity } = this.#cache;
    const attention: TensorMap = this.#plain
      ? {
        cache_rows: scratch.tensor("cache_rows", "int64", [kvHeads * length, 1]),
        columns: scratch.tensor("columns", "int64", [capacity]),
      }
      : {
        last_index: scratch.tensor("last_index", "int32", [1]),
        total_length: this.#host.tensor("total_length", "int32", []),
      };
    const shared: TensorMap = {
      position_ids: scratch.tensor("positions", "int64", [1, length]),
      ...attention,
    };
    this.#boundLength = 0;
    for (let layer = 0; layer < layers; layer++) {
      const { key, value } = this.#cache.layer(layer);
      const kind = layerKinds[layer];
      this.#blocks.get(kind)!.bindMore(this.#layerBindings[layer], {
        ...shared,
        ...this.#tables.get(kind),
        x: this.#hidden(layer, length),
        y: this.#hidden(layer + 1, length),
        past_key: key,
        past_value: value,
      }, { rows: 1, length, capacity });
    }
    this.#head.bindMore(this.#headBinding, {
      x: this.#hidden(layers, length),
      token_ids: scratch.write("last_token", "int64", [1, 1], BigInt64Array.of(BigInt(length - 1))),
      logits: scratch.tensor("logits", "float32", [1, vocabSize]),
    }, { n: 1, tokens: length });
    this.#boundLength = length;
  }

  #assertAlive(): void {
    if (this.#disposed) throw new ReferenceError("Cannot decode: the decoder was disposed of");
  }

  /** Releases graphs, cache and buffers; the weights stay their owner's. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const binding of this.#layerBindings) binding[Symbol.dispose]();
    this.#headBinding[Symbol.dispose]();
    for (const block of this.#blocks.values()) block[Symbol.dispose]();
    this.#head[Symbol.dispose]();
    this.#embedding?.[Symbol.dispose]();
    for (const scratch of this.#crossing) scratch[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
    this.#host[Symbol.dispose]();
    this.#cache[Symbol.dispose]();
  }
}

/** Only weights that are packed leave products to be launched, and they bring what does. */
const noProducts: LaunchNode = ({ op }) => {
  throw new Error(`Cannot launch ${op}: the weights have no products`);
};
