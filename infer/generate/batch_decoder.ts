/**
 * A model over several growing sequences at once, and over several sets of weights.
 *
 * In: token ids of a run of rows. Out: the logits of each row's next token, [rows, vocab]. Rows are
 * of any lengths: attention reads each row's cache up to its own end.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { EventTurns } from "../../model/engine/event_turns.ts";
import { Scratch } from "../../model/engine/scratch.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import type { ModelConfig } from "../../model/config.ts";
import { decodeBlockGraph, STEP_INPUTS } from "../../model/graphs/decode_graphs.ts";
import { EMBEDDING, FINAL_NORM, headName, layerName } from "../../model/parameters.ts";
import { ropeTables } from "../../model/rope.ts";
import { headLogitsGraph } from "../../model/graphs/training_graphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { BatchCache } from "./batch_cache.ts";
import type { DecoderWeights } from "./decoder.ts";

/** One set of weights, such as a base model's, or the same with an adapter over it. */
export interface AdapterSlot {
  /** Tensors by Hugging Face's names: they are read, not copied. */
  readonly weights: DecoderWeights;
  /** The graph of a block. @default {decodeBlockGraph(config)} */
  readonly graph?: Graph;
}

/** Rows of the cache that are run together. */
export interface RowRun {
  /** The first row. */
  readonly start: number;
  /** The next tokens, [rows · length]; those of a row stand together. */
  readonly ids: ArrayLike<number>;
  /** How many rows. @default {1} */
  readonly rows?: number;
  /** Ends the run between two layers; the sequences are as before then. */
  readonly signal?: AbortSignal;
}

/** Runs slots over rows of a cache. */
export class BatchDecoder implements Disposable {
  readonly #resources = new DisposableStack();
  readonly #slots: readonly Slot[];

  /** Compiles the graphs and binds the weights; the cache stays its owner's. */
  constructor(runtime: Runtime, config: ModelConfig, { slots, cache, turns = new EventTurns() }: {
    readonly slots: readonly AdapterSlot[];
    readonly cache: BatchCache;
    /** Turns of the event loop in long runs. */
    readonly turns?: EventTurns;
  }) {
    using resources = new DisposableStack();
    const positions = Math.min(config.maxPositions, cache.positions);
    const { cos, sin } = ropeTables(config, positions);
    const shape = [positions, config.headDim / 2];
    const shared: Shared = {
      runtime,
      config,
      cache,
      turns,
      cos: resources.use(Tensor.from(runtime, "float32", shape, cos)),
      sin: resources.use(Tensor.from(runtime, "float32", shape, sin)),
      head: resources.use(new CompiledGraph(runtime, headLogitsGraph(config))),
    };
    this.#slots = slots.map((slot) => resources.use(new Slot(shared, slot)));
    this.#resources = resources.move();
  }

  /**
   * Adds tokens to one row's sequence: its prompt or a part of it.
   *
   * @returns the logits after the last one, [vocab], in memory that the next call writes to
   */
  prefill(slot: number, run: RowRun): Promise<Float32Array> {
    return this.#slots[slot].prefill.run(run);
  }

  /**
   * Adds one token to each of several rows' sequences.
   *
   * @returns the logits after them, [rows, vocab], in memory that the next call writes to
   */
  decode(slot: number, run: RowRun): Promise<Float32Array> {
    return this.#slots[slot].decode.run(run);
  }

  /** Releases graphs and buffers; weights and cache stay their owners'. */
  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

interface Shared {
  readonly runtime: Runtime;
  readonly config: ModelConfig;
  readonly cache: BatchCache;
  readonly turns: EventTurns;
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly head: CompiledGraph;
}

/** A slot's graph, bound twice: prompts and next tokens take turns and keep their own shapes. */
class Slot implements Disposable {
  readonly prefill: Pass;
  readonly decode: Pass;
  readonly #resources: DisposableStack;

  constructor(shared: Shared, slot: AdapterSlot) {
    using resources = new DisposableStack();
    const graph = slot.graph ?? decodeBlockGraph(shared.config);
    const block = resources.use(new CompiledGraph(shared.runtime, graph));
    this.prefill = resources.use(new Pass(shared, block, slot.weights));
    this.decode = resources.use(new Pass(shared, block, slot.weights));
    this.#resources = resources.move();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** One binding of a slot's graph to rows of the cache. */
class Pass implements Disposable {
  readonly #shared: Shared;
  readonly #block: CompiledGraph;
  readonly #weights: DecoderWeights;
  readonly #layerBindings: readonly Binding[];
  readonly #headBinding: Binding;
  readonly #scratch: Scratch;
  readonly #resources: DisposableStack;
  #bound = "";

  constructor(shared: Shared, block: CompiledGraph, weights: DecoderWeights) {
    const { runtime, config, head } = shared;
    using resources = new DisposableStack();
    this.#shared = shared;
    this.#block = block;
    this.#weights = weights;
    this.#scratch = resources.use(new Scratch(runtime));
    const names = block.graph.inputs.map(({ name }) => name).filter((name) =>
      !STEP_INPUTS.has(name) && !block.graph.shapeInputs.has(name)
    );
    this.#layerBindings = Array.from(
      { length: config.layers },
      (_, layer) =>
        resources.use(block.bind(
          Object.fromEntries(names.map((name) => [name, weights.tensor(layerName(layer, name))])),
        )),
    );
    this.#headBinding = resources.use(head.bind({
      [FINAL_NORM]: weights.tensor(FINAL_NORM),
      lm_head: weights.tensor(headName(config)),
    }));
    this.#resources = resources.move();
  }

  async run({ start, rows = 1, ids, signal }: RowRun): Promise<Float32Array> {
    const { cache, config, turns } = this.#shared;
    const { hiddenSize, vocabSize } = config;
    const length = ids.length / rows;
    this.#bind(start, rows, length);
    const hidden = this.#hidden(0, rows * length).float32();
    const positions = this.#scratch.tensor("positions", "int64", [rows, length]).int64();
    const lastIndex = this.#scratch.tensor("last_index", "int32", [rows]).int32();
    const table = this.#weights.tensor(EMBEDDING).float32();
    let longest = 0;
    for (let row = 0; row < rows; row++) {
      const before = cache.length(start + row);
      for (let i = 0; i < length; i++) {
        const at = row * length + i;
        const from = ids[at] * hiddenSize;
        hidden.set(table.subarray(from, from + hiddenSize), at * hiddenSize);
        positions[at] = BigInt(before + i);
      }
      lastIndex[row] = before + length - 1;
      longest = Math.max(longest, before + length);
    }
    this.#scratch.tensor("total_length", "int32", []).int32()[0] = longest;
    for (const binding of this.#layerBindings) {
      await turns.due(signal);
      binding.run();
    }
    this.#headBinding.run();
    // Only now: a run that was ended leaves the sequences as they were.
    for (let row = start; row < start + rows; row++) {
      cache.setLength(row, cache.length(row) + length);
    }
    return this.#scratch.tensor("logits", "float32", [rows, vocabSize]).float32();
  }

  #hidden(layer: number, tokens: number): Tensor {
    // A block must not write where it reads, so that two buffers take turns.
    return this.#scratch.tensor(`hidden.${layer % 2}`, "float32", [
      tokens,
      this.#shared.config.hiddenSize,
    ]);
  }

  /** Binds everything whose shape or place depends on the rows, the length or the layout. */
  #bind(start: number, rows: number, length: number): void {
    const { cache, config, cos, sin, head } = this.#shared;
    const key = [start, rows, length, cache.version].join();
    if (key === this.#bound) return;
    this.#bound = "";
    const scratch = this.#scratch;
    const tokens = rows * length;
    const shared = {
      cos,
      sin,
      position_ids: scratch.tensor("positions", "int64", [rows, length]),
      last_index: scratch.tensor("last_index", "int32", [rows]),
      total_length: scratch.tensor("total_length", "int32", []),
    };
    this.#layerBindings.forEach((binding, layer) => {
      using pair = cache.layer(layer, start, rows);
      this.#block.bindMore(binding, {
        ...shared,
        x: this.#hidden(layer, tokens),
        y: this.#hidden(layer + 1, tokens),
        past_key: pair.key,
        past_value: pair.value,
      }, { rows, length });
    });
    const lastTokens = BigInt64Array.from(
      { length: rows },
      (_, row) => BigInt((row + 1) * length - 1),
    );
    head.bindMore(this.#headBinding, {
      x: this.#hidden(config.layers, tokens),
      token_ids: scratch.write("last_tokens", "int64", [rows, 1], lastTokens),
      logits: scratch.tensor("logits", "float32", [rows, config.vocabSize]),
    }, { n: rows, tokens });
    this.#bound = key;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
