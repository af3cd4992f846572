/**
 * A model one token at a time, with a cache.
 *
 * In: token ids. Out: the logits of the next token, [vocab]. Weights are borrowed: a trainer's own
 * serve while it trains.
 *
 * @module
 */

import { CompiledGraph } from "../engine/compiled_graph.ts";
import { Pacer } from "../engine/pacer.ts";
import { Scratch } from "../engine/scratch.ts";
import type { Graph } from "../graph/ir.ts";
import type { ModelConfig } from "../model/config.ts";
import { decodeBlockGraph, STEP_INPUTS } from "../model/decode_graphs.ts";
import { EMBEDDING, FINAL_NORM, headName, layerName } from "../model/parameters.ts";
import { ropeTables } from "../model/rope.ts";
import { headLogitsGraph } from "../model/training_graphs.ts";
import type { Runtime } from "../ort/runtime.ts";
import type { Binding, TensorMap } from "../ort/session.ts";
import type { Tensor } from "../ort/tensor.ts";
import { assertPrompt } from "./assert_prompt.ts";
import { KvCache } from "./kv_cache.ts";

/** Where a decoder finds weights by their Hugging Face names, such as a `ParameterStore`. */
export interface DecoderWeights {
  /** The float32 tensor of that name; it must outlive the decoder, its contents may change. */
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
   * The graph of a block. Each input that is no part of a step is a weight of the layer and comes
   * from {@linkcode DecoderWeights} under its full name, an adapter's matrices too.
   * @default {decodeBlockGraph(config)}
   */
  readonly graph?: Graph;
}

/**
 * Runs a model over a growing sequence. Shapes are bound once a chunk length: a token costs one run
 * a layer, and no binding.
 *
 * @example
 * ```ts
 * import {
 *   createSampler, Decoder, layoutParameters, modelParameters, ParameterStore, parseConfig,
 *   Runtime, TorchGenerator,
 * } from "@ortune/ortune";
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
  readonly #block: CompiledGraph;
  readonly #head: CompiledGraph;
  readonly #layerBindings: readonly Binding[];
  readonly #headBinding: Binding;
  readonly #cache: KvCache;
  readonly #scratch: Scratch;
  readonly #pacer = new Pacer();
  #position = 0;
  #boundLength = 0;
  #disposed = false;

  /** Compiles the graphs and binds the weights; the cache grows with the sequence. */
  constructor(
    runtime: Runtime,
    config: ModelConfig,
    weights: DecoderWeights,
    { chunk = 256, graph = decodeBlockGraph(config) }: DecoderOptions = {},
  ) {
    if (!Number.isSafeInteger(chunk) || chunk < 1) {
      throw new RangeError(`Cannot decode in chunks of ${chunk} tokens: expected 1 or more`);
    }
    this.config = config;
    this.#weights = weights;
    this.#chunk = chunk;
    this.#cache = new KvCache(runtime, config);
    this.#scratch = new Scratch(runtime);
    this.#block = new CompiledGraph(runtime, graph);
    this.#head = new CompiledGraph(runtime, headLogitsGraph(config));
    const names = graph.inputs.map(({ name }) => name).filter((name) =>
      !STEP_INPUTS.has(name) && !graph.shapeInputs.has(name)
    );
    this.#layerBindings = Array.from({ length: config.layers }, (_, layer) =>
      this.#block.bind(
        Object.fromEntries(names.map((name) => [name, weights.tensor(layerName(layer, name))])),
      ));
    this.#headBinding = this.#head.bind({
      [FINAL_NORM]: weights.tensor(FINAL_NORM),
      lm_head: weights.tensor(headName(config)),
    });
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
    return this.#scratch.tensor("logits", "float32", [1, vocabSize]).float32();
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
    const { hiddenSize, layers } = this.config;
    if (length !== this.#boundLength) this.#bind(length);
    const total = this.#position + length;
    const hidden = this.#hidden(0, length).float32();
    // Rows copied one by one: a Gather over the table would want it as a graph's input each time.
    const table = this.#weights.tensor(EMBEDDING).float32();
    const positions = this.#scratch.tensor("positions", "int64", [1, length]).int64();
    for (let i = 0; i < length; i++) {
      const row = ids[start + i] * hiddenSize;
      hidden.set(table.subarray(row, row + hiddenSize), i * hiddenSize);
      positions[i] = BigInt(this.#position + i);
    }
    this.#scratch.tensor("last_index", "int32", [1]).int32()[0] = total - 1;
    this.#scratch.tensor("total_length", "int32", []).int32()[0] = total;
    for (let layer = 0; layer < layers; layer++) {
      await this.#pacer.turn(signal);
      this.#assertAlive();
      this.#layerBindings[layer].run();
    }
    // Only now: an aborted chunk leaves the sequence as it was, and its cache rows are written anew.
    this.#position = total;
  }

  #hidden(layer: number, length: number): Tensor {
    // A block must not write where it reads, so that two buffers take turns.
    return this.#scratch.tensor(`hidden.${layer % 2}`, "float32", [length, this.config.hiddenSize]);
  }

  #reserve(positions: number): void {
    if (!this.#cache.reserve(positions, this.#position)) return;
    this.#boundLength = 0;
    const { capacity } = this.#cache;
    const { cos, sin } = ropeTables(this.config, capacity);
    const shape = [capacity, this.config.headDim / 2];
    this.#scratch.write("cos", "float32", shape, cos);
    this.#scratch.write("sin", "float32", shape, sin);
  }

  /** Binds everything whose shape depends on the chunk's length or the cache's capacity. */
  #bind(length: number): void {
    const { layers, vocabSize, headDim } = this.config;
    const scratch = this.#scratch;
    const table = [this.#cache.capacity, headDim / 2];
    const shared: TensorMap = {
      cos: scratch.tensor("cos", "float32", table),
      sin: scratch.tensor("sin", "float32", table),
      position_ids: scratch.tensor("positions", "int64", [1, length]),
      last_index: scratch.tensor("last_index", "int32", [1]),
      total_length: scratch.tensor("total_length", "int32", []),
    };
    this.#boundLength = 0;
    for (let layer = 0; layer < layers; layer++) {
      const { key, value } = this.#cache.layer(layer);
      this.#block.bindMore(this.#layerBindings[layer], {
        ...shared,
        x: this.#hidden(layer, length),
        y: this.#hidden(layer + 1, length),
        past_key: key,
        past_value: value,
      }, { rows: 1, length });
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
    this.#block[Symbol.dispose]();
    this.#head[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
    this.#cache[Symbol.dispose]();
  }
}
