/**
 * A model over several growing sequences at once, and over several sets of weights.
 *
 * In: token ids of a run of rows. Out: the logits of each row's next token, [rows, vocab]. Rows are
 * of any lengths: attention reads each row's cache up to its own end.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { EventTurns } from "../../model/engine/event_turns.ts";
import { Scratch } from "../../model/engine/scratch.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { DecodeBlockOptions } from "../../model/graphs/decode_graphs.ts";
import { gridSymbols } from "../../model/graphs/sequences.ts";
import { decodeOptions } from "../../model/engine/weights_precision.ts";
import { cpu, deviceTraits } from "../../ort/runtime/device.ts";
import { EMBEDDING, FINAL_NORM, headName } from "../../model/parameters.ts";
import { distinctKinds, type LayerKind } from "../../model/parts/layer_kind.ts";
import { positionTables } from "../../model/rope.ts";
import { embedGraph, headLogitsGraph } from "../../model/graphs/training_graphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { SubgraphBinding } from "../../model/engine/subgraph_sessions.ts";
import type { Binding, TensorMap } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { BatchCache } from "./batch_cache.ts";
import { copyRows } from "./copy_rows.ts";
import {
  type BoundBlock,
  DecodeBlocks,
  DecodeGraphs,
  type DecoderWeights,
} from "./decode_blocks.ts";

/** One set of weights, such as a base model's, or the same with an adapter over it. */
export interface AdapterSlot {
  /** Tensors by Hugging Face's names: they are read, not copied. */
  readonly weights: DecoderWeights;
  /** Makes a block's linear layers, where an adapter goes in. @default {the block's own} */
  readonly linear?: DecodeBlockOptions["linear"];
}

/** Rows of the cache that are run together. */
export interface RowRun {
  /** The first row. */
  readonly start: number;
  /** The next tokens, [rows · length]; those of a row stand together. */
  readonly ids: ArrayLike<number>;
  /** How many rows. @default {1} */
  readonly rows?: number;
  /** Told of the logits [vocab] after each token of one row, in memory that the next call writes to. */
  readonly onLogits?: (token: number, logits: Float32Array) => void;
  /** Ends the run between two layers; the sequences are as before then. */
  readonly signal?: AbortSignal;
}

/** Tokens of a prompt whose logits are in memory at once: 20 MB of them at a vocabulary of 152,000. */
const LOGITS_CHUNK = 32;

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
    const tables = distinctKinds(config).map((kind) => {
      const entries = Object.entries(positionTables(kind, positions)).map((
        [name, { width, data }],
      ) =>
        [
          name,
          resources.use(Tensor.from(runtime, "float32", [positions, width], data)),
        ] as const
      );
      return [kind, Object.fromEntries(entries)] as const;
    });
    const shared: Shared = {
      runtime,
      config,
      cache,
      turns,
      tables: new Map(tables),
      head: resources.use(new CompiledGraph(runtime, headLogitsGraph(config))),
      embedding: deviceTraits(runtime.device).hostMemory
        ? undefined
        : resources.use(new CompiledGraph(runtime, embedGraph(config))),
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
  /** What the layers of a kind take for positions. */
  readonly tables: ReadonlyMap<LayerKind, TensorMap>;
  readonly head: CompiledGraph;
  /** Looks tokens up where the host cannot reach the table. */
  readonly embedding: CompiledGraph | undefined;
}

/** A slot's graphs, bound twice: prompts and next tokens take turns and keep their own shapes. */
class Slot implements Disposable {
  readonly prefill: Pass;
  readonly decode: Pass;
  readonly #resources: DisposableStack;
  #chosen: DecodeBlocks | undefined;

  constructor(shared: Shared, slot: AdapterSlot) {
    const { runtime, config } = shared;
    using resources = new DisposableStack();
    const options = { ...decodeOptions(runtime, slot.weights), linear: slot.linear };
    const graphs = resources.use(new DecodeGraphs(runtime));
    const blocks: Blocks = {
      plain: options.attention === "plain",
      first: resources.use(new DecodeBlocks(graphs, config, options)),
      chosen: () => this.#chosen ??= new DecodeBlocks(graphs, config, { ...options, chosen: true }),
    };
    this.prefill = resources.use(new Pass(shared, blocks, slot.weights));
    this.decode = resources.use(new Pass(shared, blocks, slot.weights));
    this.#resources = resources.move();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose(); // with the bindings, which must go before their graph
    this.#chosen?.[Symbol.dispose]();
  }
}

/** The graphs of the blocks. */
interface Blocks {
  /** Whether it is told by row where to write into the cache. */
  readonly plain: boolean;
  /** For rows that are views of the cache: with plain attention those from the first one on. */
  readonly first: DecodeBlocks;
  /** For any other rows. */
  readonly chosen: () => DecodeBlocks;
}

/** One binding of a slot's graphs to rows of the cache. */
class Pass implements Disposable {
  readonly #shared: Shared;
  readonly #blocks: Blocks;
  readonly #weights: DecoderWeights;
  readonly #bound = new Map<DecodeBlocks, readonly BoundBlock[]>();
  readonly #headBinding: Binding;
  /** The head over a whole prompt, where its logits are asked for. */
  #promptHead: Binding | undefined;
  readonly #scratch: Scratch;
  /** What graphs read on the host, on every device. */
  readonly #host: Scratch;
  readonly #resources: DisposableStack;
  #current: readonly SubgraphBinding[] | undefined;
  #key = "";

  constructor(shared: Shared, blocks: Blocks, weights: DecoderWeights) {
    const { runtime, config, head } = shared;
    using resources = new DisposableStack();
    this.#shared = shared;
    this.#blocks = blocks;
    this.#weights = weights;
    this.#scratch = resources.use(new Scratch(runtime));
    this.#host = resources.use(new Scratch(runtime, cpu));
    this.#headBinding = resources.use(head.bind(headWeights(config, weights)));
    this.#resources = resources.move();
    this.#bindWeights(blocks.first);
  }

  /** A binding a layer, with its weights bound. */
  #bindWeights(graphs: DecodeBlocks): readonly BoundBlock[] {
    const known = this.#bound.get(graphs);
    if (known) return known;
    const bound = graphs.bind(this.#weights).map((layer) => this.#resources.use(layer));
    this.#bound.set(graphs, bound);
    return bound;
  }

  async run({ start, rows = 1, ids, onLogits, signal }: RowRun): Promise<Float32Array> {
    const { cache, config, turns } = this.#shared;
    const length = ids.length / rows;
    const bindings = this.#bind(start, rows, length);
    this.#embed(ids, rows);
    this.#writePositions({ start, rows, length });
    for (const binding of bindings) {
      await turns.due(signal);
      binding.run();
    }
    if (onLogits) await this.#tellLogits(length, onLogits, signal);
    this.#headBinding.run();
    const logits = this.#scratch.tensor("logits", "float32", [rows, config.vocabSize])
      .hostFloat32();
    // Only now: a run that was ended leaves the sequences as they were.
    cache.commitStates(start, rows);
    for (let row = start; row < start + rows; row++) {
      cache.setLength(row, cache.length(row) + length);
    }
    return logits;
  }

  /** Runs the head over all tokens of a row, a chunk at a time. */
  async #tellLogits(
    length: number,
    onLogits: NonNullable<RowRun["onLogits"]>,
    signal?: AbortSignal,
  ): Promise<void> {
    const { config, head, turns } = this.#shared;
    const { vocabSize } = config;
    const scratch = this.#scratch;
    this.#promptHead ??= this.#resources.use(head.bind(headWeights(config, this.#weights)));
    for (let start = 0; start < length; start += LOGITS_CHUNK) {
      const n = Math.min(LOGITS_CHUNK, length - start);
      const tokens = BigInt64Array.from({ length: n }, (_, i) => BigInt(start + i));
      const logits = scratch.tensor("prompt_logits", "float32", [n, vocabSize]);
      head.bindMore(this.#promptHead, {
        x: this.#hidden(config.layers, length),
        token_ids: scratch.write("prompt_tokens", "int64", [n, 1], tokens),
        logits,
      }, { n, tokens: length });
      this.#promptHead.run();
      const values = logits.hostFloat32();
      for (let i = 0; i < n; i++) {
        onLogits(start + i, values.subarray(i * vocabSize, (i + 1) * vocabSize));
        await turns.due(signal);
      }
    }
  }

  /** Puts the tokens' rows of the embedding where the first block reads. */
  #embed(tokens: ArrayLike<number>, rows: number): void {
    const { embedding, config } = this.#shared;
    const table = this.#weights.tensor(EMBEDDING);
    const x = this.#hidden(0, tokens.length);
    if (embedding) {
      const length = tokens.length / rows;
      const ids = BigInt64Array.from(tokens, BigInt);
      const input_ids = this.#scratch.write("input_ids", "int64", [rows, length], ids);
      embedding.run({ [EMBEDDING]: table, input_ids, x }, { rows, length });
      return;
    }
    copyRows(config, { from: table.float32(), to: x.float32(), ids: tokens });
  }

  /** Says where in its sequence each token stands, and where attention reads and writes. */
  #writePositions({ start, rows, length }: Run): void {
    const { cache, config: { kvHeads } } = this.#shared;
    const before = Array.from({ length: rows }, (_, row) => cache.length(start + row));
    const positions = BigInt64Array.from(
      { length: rows * length },
      (_, i) => BigInt(before[Math.floor(i / length)] + i % length),
    );
    this.#scratch.write("positions", "int64", [rows, length], positions);
    if (!this.#blocks.plain) {
      const last = Int32Array.from(before, (each) => each + length - 1);
      this.#scratch.write("last_index", "int32", [rows], last);
      const longest = Math.max(...before) + length;
      this.#host.write("total_length", "int32", [], Int32Array.of(longest));
      return;
    }
    const slots = BigInt64Array.from({ length: rows * kvHeads * length }, (_, i) => {
      const head = Math.floor(i / length);
      const row = Math.floor(head / kvHeads);
      return BigInt((start * kvHeads + head) * cache.capacity + before[row] + i % length);
    });
    this.#scratch.write("cache_rows", "int64", [slots.length, 1], slots);
  }

  #hidden(layer: number, tokens: number): Tensor {
    // A block must not write where it reads, so that two buffers take turns.
    return this.#scratch.tensor(`hidden.${layer % 2}`, "float32", [
      tokens,
      this.#shared.config.hiddenSize,
    ]);
  }

  /** Binds everything whose shape or place depends on the rows, the length or the layout. */
  #bind(start: number, rows: number, length: number): readonly SubgraphBinding[] {
    const { cache, config, tables, head } = this.#shared;
    const key = [start, rows, length, cache.version].join();
    if (this.#current && key === this.#key) return this.#current;
    this.#key = "";
    const { plain, first, chosen } = this.#blocks;
    const graphs = plain && start > 0 ? chosen() : first;
    const bindings = this.#bindWeights(graphs).map((layer) => layer.of(length));
    const scratch = this.#scratch;
    const tokens = rows * length;
    const { capacity } = cache;
    const shared = {
      position_ids: scratch.tensor("positions", "int64", [rows, length]),
      ...plain ? this.#plainInputs({ start, rows, length }) : {
        last_index: scratch.tensor("last_index", "int32", [rows]),
        total_length: this.#host.tensor("total_length", "int32", []),
      },
    };
    bindings.forEach(({ graph, binding }, layer) => {
      using pair = cache.layer(layer, start, rows);
      using states = cache.states(layer, start, rows);
      graph.bindMore(binding, {
        ...shared,
        ...tables.get(config.layerKinds[layer]),
        ...states.tensors,
        ...pair ? { past_key: pair.key, past_value: pair.value } : {},
        x: this.#hidden(layer, tokens),
        y: this.#hidden(layer + 1, tokens),
      }, { ...gridSymbols(config, { rows, length }), capacity, cached: start + rows });
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
    this.#key = key;
    return this.#current = bindings.map(({ binding }) => binding);
  }

  /** What plain attention takes. */
  #plainInputs({ start, rows, length }: Run): TensorMap {
    const { cache: { capacity }, config: { kvHeads } } = this.#shared;
    const counted = (name: string, count: number, from: number): Tensor => {
      const numbers = BigInt64Array.from({ length: count }, (_, i) => BigInt(from + i));
      return this.#scratch.write(name, "int64", [count], numbers);
    };
    return {
      cache_rows: this.#scratch.tensor("cache_rows", "int64", [rows * kvHeads * length, 1]),
      columns: counted("columns", capacity, 0),
      ...start > 0 ? { cache_ids: counted("cache_ids", rows, start) } : {},
    };
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** The weights that the head's graph reads. */
function headWeights(config: ModelConfig, weights: DecoderWeights): TensorMap {
  return {
    [FINAL_NORM]: weights.tensor(FINAL_NORM),
    lm_head: weights.tensor(headName(config)),
  };
}

/** Rows of the cache, and how many tokens each gets. */
interface Run {
  readonly start: number;
  readonly rows: number;
  readonly length: number;
}
