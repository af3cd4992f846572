/**
 * A training step's arithmetic, block by block.
 *
 * In: a batch, weights, and a store that gradients are added to. Out: a loss a token.
 * Activations stay in device buffers; of each block only the input is kept, and the backward graph
 * recomputes the rest, unless gradient checkpointing is turned off.
 *
 * @module
 */

import type { ModelConfig } from "../config.ts";
import { crossEntropy } from "../graphs/cross_entropy.ts";
import type { Objective } from "../graphs/objective.ts";
import { EMBEDDING, FINAL_NORM, LM_HEAD } from "../parameters.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { attentionChunkOf } from "./attention_chunks.ts";
import type { LabelledGrid, TokenGrid } from "./batch.ts";
import { BlockStack } from "./block_stack.ts";
import { addEmbeddingGradient } from "./embedding_gradient.ts";
import { type EngineAdapter, EngineContext, type EngineKernels } from "./engine_context.ts";
import { Head, headChunkOf } from "./head.ts";
import type { NamedWeights } from "./layered_weights.ts";
import type { ParameterStore } from "./parameter_store.ts";
import { endToEnd, type LaidOut, rowsOf, similarRows } from "./without_padding.ts";

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
  /**
   * The first layer that is trained: those before it, the embedding, the last norm and the head are frozen, and
   * the store of gradients lacks them. Of no effect with an adapter.
   * @default all weights are trained
   */
  readonly firstTrained?: number;
  /** Trains these weights in place of the model's own, which are frozen. */
  readonly adapter?: EngineAdapter;
  /**
   * Adds uniform noise to embeddings in training, at most this over √(tokens of an example · hidden size):
   * NEFTune's alpha.
   * @default 0
   */
  readonly noiseAlpha?: number;
  /** What is minimized. @default cross-entropy */
  readonly objective?: Objective;
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
  /**
   * Whether padding is left out of what is computed: where attention goes by segments, in a kernel or in
   * chunks, all tokens of a batch lie end to end in one row, and on the host rows of unlike length run apart. Losses and gradients are the
   * same but for rounding.
   * @default true
   */
  readonly skipPadding?: boolean;
  /**
   * How many neighbouring rows of a batch are run at once, so that {@linkcode ForwardBackwardOptions.weigh} is
   * given their losses together: 2 for rows 0 and 1, 2 and 3, and so on.
   * @default 1
   */
  readonly rowsTogether?: number;
  /**
   * Most queries whose attention scores are held at once, where attention is no kernel: graphs go over
   * chunks of queries then, each with the keys that it sees.
   * @default on webgpu {@linkcode ATTENTION_CHUNK}; elsewhere all queries', with a mask
   */
  readonly attentionChunk?: number;
}

/** Losses of the supervised tokens of a batch. */
export interface TokenLosses {
  /** Index of each supervised token in the batch's grid. */
  readonly tokens: Int32Array;
  /** Its loss in nats: cross-entropy, unless another objective was chosen. */
  readonly losses: Float32Array;
}

/** Losses that are still where they were computed, perhaps under way. */
export interface PendingLosses {
  /** Index of each supervised token in the batch's grid. */
  readonly tokens: Int32Array;
  /** Their losses, or what was made of them, float32 [n, 1], in memory reused by the next call. */
  readonly losses: Tensor;
}

/** What tokens count for, found from their losses. */
export interface WeighedLosses {
  /** A factor on the gradient of each token's loss, [tokens]. */
  readonly factors: Float32Array<ArrayBuffer>;
  /** What is minimized, in parts, [any number]. */
  readonly losses: readonly number[];
}

/** Options of {@linkcode TrainingEngine.forwardBackward}. */
export interface ForwardBackwardOptions {
  /** Factor on the summed loss: one over the supervised tokens of the whole update. */
  readonly scale: number;
  /**
   * Decides what each token's loss counts for, in place of `scale`, once the losses of rows that belong together
   * are known: the engine then waits for these between the forward and the backward pass, and gives out the losses
   * that this answers in place of the tokens'.
   * @default all tokens count the same
   */
  readonly weigh?: (losses: TokenLosses) => WeighedLosses;
  /** Writes gradients afresh instead of adding to them: the update's first batch. */
  readonly first: boolean;
  /**
   * Decides which inputs dropout zeroes, and noise: the same seed, the same inputs, whichever rows are run
   * together.
   * @default 0
   */
  readonly dropoutSeed?: number | string;
  /** Runs these rows of the batch alone. @default all */
  readonly rows?: readonly number[];
  /**
   * Told which gradients will not change any more, by names of parameters, as soon as they do not, on a
   * device as soon as that is queued: those of the head first, then of each block from the last to the first.
   * What is not told of by the end is final then. Only of use in an update's last batch.
   * @default nobody is told
   */
  readonly onFinal?: (names: readonly string[]) => void | Promise<void>;
  /** Stops between two graphs; the gradients are incomplete then. */
  readonly signal?: AbortSignal;
}

/**
 * Runs forward and backward passes of one model.
 *
 * @example
 * ```ts
 * import { collate, parseConfig, Runtime } from "@ortune/ortune";
 * import { joinExample } from "@ortune/ortune/data";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import { TrainingEngine } from "@ortune/ortune/unstable-engine";
 * import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
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
  /** Whether everything is left to graphs: on a device work is queued, and losses stay there. */
  readonly graphsOnly: boolean;
  readonly #context: EngineContext;
  readonly #gradients: ParameterStore | undefined;
  readonly #keep: boolean;
  readonly #noiseAlpha: number;
  /** Whether embedding and head are frozen. */
  readonly #frozenEnds: boolean;
  readonly #skipPadding: boolean;
  readonly #rowsTogether: number;
  readonly #adapter: EngineAdapter | undefined;
  readonly #blocks: BlockStack;
  readonly #head: Head;

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
      firstTrained,
      adapter,
      objective = crossEntropy,
      noiseAlpha = 0,
      kernels,
      headChunk = headChunkOf({
        vocabSize: config.vocabSize,
        adapted: adapter !== undefined,
        kernels: kernels?.loss !== undefined,
      }),
      graphsOnly = !deviceTraits(runtime.device).hostMemory,
      skipPadding = true,
      rowsTogether = 1,
      attentionChunk = attentionChunkOf(runtime.device),
    }: TrainingEngineOptions = {},
  ) {
    this.config = config;
    this.graphsOnly = graphsOnly;
    this.#context = new EngineContext({
      runtime,
      config,
      weights,
      objective,
      kernels,
      graphsOnly,
      attentionChunk,
    });
    this.#gradients = gradients;
    this.#keep = !gradientCheckpointing;
    this.#noiseAlpha = noiseAlpha;
    this.#skipPadding = skipPadding;
    this.#rowsTogether = rowsTogether;
    this.#adapter = adapter;
    this.#blocks = new BlockStack(this.#context, gradients, adapter, firstTrained);
    this.#frozenEnds = adapter !== undefined || firstTrained !== undefined;
    this.#head = new Head(this.#context, headChunk);
  }

  /**
   * Logits of chosen tokens of the grid, [tokens, vocab], on the host, in memory that the next call
   * may reuse.
   */
  async logits(grid: TokenGrid, tokens: Int32Array, signal?: AbortSignal): Promise<Float32Array> {
    const { grid: laidOut, places } = this.#inOneRow(grid);
    await this.#blocks.forward(laidOut, { signal });
    return this.#head.logits(
      laidOut,
      places ? tokens.map((token) => places.indexOf(token)) : tokens,
    )
      .hostFloat32();
  }

  /** The loss of each supervised token, without gradients. */
  evaluate(batch: LabelledGrid, signal?: AbortSignal): Promise<TokenLosses> {
    return this.#eachGrid(batch, this.#gridsOf(batch), async ({ grid, places }) => {
      await this.#blocks.forward(grid, { signal });
      const supervised = this.#head.supervised(grid);
      await this.#head.losses(grid, supervised, signal);
      return { tokens: inBatch(supervised.tokens, places), losses: supervised.values.loss };
    });
  }

  /**
   * The loss of each supervised token; adds the gradients of `scale · Σ loss` to the store.
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
  async launch(batch: LabelledGrid, options: ForwardBackwardOptions): Promise<PendingLosses> {
    const { first, rows, onFinal, weigh } = options;
    const weighed: number[] = [];
    const chosen = rows ? rowsOf(batch, rows) : { grid: batch };
    const grids = this.#gridsOf(chosen.grid).map((part) => within(part, chosen.places));
    const run = (part: LaidOut, index: number): Promise<PendingLosses> =>
      this.#launch(part, {
        ...options,
        first: first && index === 0,
        onFinal: index === grids.length - 1 ? onFinal : undefined,
        weigh: weigh && ((of) => {
          const answer = weigh(of);
          weighed.push(...answer.losses);
          return answer;
        }),
      });
    if (grids.length === 1 && !weigh) return await run(grids[0], 0);
    const { tokens, losses } = await this.#eachGrid(batch, grids, run);
    const told = weigh ? Float32Array.from(weighed) : losses;
    const { scratch } = this.#context;
    return { tokens, losses: scratch.write("losses", "float32", [told.length, 1], told) };
  }

  /** The batch as attention by segments takes it; elsewhere as it is. */
  #inOneRow<Grid extends TokenGrid>(grid: Grid): LaidOut<Grid> {
    return this.#context.segments && this.#skipPadding ? endToEnd(grid) : { grid };
  }

  /** What a batch is run as: on the host, the grids that cost the least. */
  #gridsOf(batch: LabelledGrid): readonly LaidOut[] {
    return this.graphsOnly || !this.#skipPadding
      ? [this.#inOneRow(batch)]
      : similarRows(batch, this.#rowsTogether);
  }

  /** Runs the grids of a batch; losses in the order of its tokens. */
  async #eachGrid(
    batch: LabelledGrid,
    grids: readonly LaidOut[],
    run: (part: LaidOut, index: number) => Promise<PendingLosses>,
  ): Promise<TokenLosses> {
    const done: TokenLosses[] = [];
    for (const [index, part] of grids.entries()) done.push(onHost(await run(part, index)));
    return done.length === 1 ? done[0] : inOrder(done, batch.targets.length);
  }

  async #launch(
    { grid: batch, places }: LaidOut,
    { scale, weigh, first, dropoutSeed = 0, onFinal = () => {}, signal }: ForwardBackwardOptions,
  ): Promise<PendingLosses> {
    const gradients = this.#gradients;
    if (!gradients) throw new Error("Cannot train: the engine was made without gradients");
    const supervised = this.#head.supervised(batch);
    const pending = {
      tokens: inBatch(supervised.tokens, places),
      losses: supervised.values.loss,
    };
    if (pending.tokens.length === 0) {
      // Nothing to add, but what the last update left must not be added to either.
      if (first) gradients.zero();
      return pending;
    }
    const { config, scratch, precision } = this.#context;
    const adapter = this.#adapter?.block;
    const pass = {
      keep: this.#keep,
      dropoutSeed: adapter && adapter.dropout > 0 ? dropoutSeed : undefined,
      noise: this.#noiseAlpha > 0 ? { alpha: this.#noiseAlpha, seed: dropoutSeed } : undefined,
      places,
      signal,
    };
    const shared = await this.#blocks.forward(batch, pass);
    let factors: Float32Array<ArrayBuffer> | undefined;
    if (weigh) {
      await this.#head.losses(batch, supervised, signal);
      factors = weigh(onHost(pending)).factors;
    }
    const shape = [batch.rows * batch.length, config.hiddenSize];
    const dy = scratch.tensor("gradient.0", precision, shape);
    dy.zero();
    const frozen = this.#frozenEnds;
    const store = frozen ? undefined : gradients;
    const how = { scale, factors, dx: dy, store, first, signal };
    await this.#head.gradients(batch, supervised, how);
    if (!frozen) await onFinal(config.tiedEmbeddings ? [FINAL_NORM] : [FINAL_NORM, LM_HEAD]);
    const buffers = [dy, scratch.tensor("gradient.1", precision, shape)] as const;
    const dx = await this.#blocks.backward(batch, { ...pass, shared, buffers, first, onFinal });
    if (frozen) return pending;
    const embedding = gradients.tensor(EMBEDDING);
    // Where it is the head's too, the head wrote it afresh.
    if (first && !config.tiedEmbeddings) embedding.zero();
    addEmbeddingGradient(this.#context, batch, dx, embedding);
    return pending;
  }

  /** Releases graphs and activations; weights and gradients stay their owner's. */
  [Symbol.dispose](): void {
    this.#blocks[Symbol.dispose]();
    this.#context[Symbol.dispose]();
  }
}

/** Losses read, and no longer where the next batch's go; there are as many as were told, not always one a token. */
function onHost({ tokens, losses }: PendingLosses): TokenLosses {
  const host = new Float32Array(losses.shape[0]);
  losses.read(host);
  return { tokens, losses: host };
}

/** A grid with the places of its tokens in what its own batch was taken from. */
function within({ grid, places }: LaidOut, outer: Int32Array | undefined): LaidOut {
  if (!outer || !places) return { grid, places: places ?? outer };
  return { grid, places: places.map((place) => place < 0 ? place : outer[place]) };
}

/** Tokens of a grid by their places in the batch. */
function inBatch(tokens: Int32Array, places: Int32Array | undefined): Int32Array {
  return places ? tokens.map((token) => places[token]) : tokens;
}

/** Losses of all grids of a batch, by token. */
function inOrder(parts: readonly TokenLosses[], size: number): TokenLosses {
  const found = new Float32Array(size);
  const tokens = Int32Array.from(parts.flatMap((part) => [...part.tokens])).sort();
  for (const part of parts) part.tokens.forEach((token, i) => found[token] = part.losses[i]);
  return { tokens, losses: Float32Array.from(tokens, (token) => found[token]) };
}
