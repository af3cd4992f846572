/**
 * What stands on a model's blocks: the head and the loss.
 *
 * In: the last block's output, in an `EngineContext`, and a batch. Out: logits; losses of supervised tokens;
 * the gradient of the last block's output, and gradients of the head's weights added to a store. Logits are
 * held of so many tokens at a time.
 *
 * @module
 */

import { FINAL_NORM, headName } from "../parameters.ts";
import type { LossKernel } from "../graphs/objective.ts";
import {
  accumulatorName,
  gradientName,
  headBackwardGraph,
  headGraph,
  headLogitsGraph,
  headLossGraph,
  headProductGraph,
} from "../graphs/training_graphs.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import { streamOf } from "../../ort/runtime/stream_of.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import type { LabelledGrid, TokenGrid } from "./batch.ts";
import type { EngineContext } from "./engine_context.ts";
import type { ParameterStore } from "./parameter_store.ts";
import { boundParameter } from "./quantized_store.ts";
import { placeRows } from "./rows.ts";

/** The tokens of a batch that are to be predicted. */
export interface Supervised {
  /** Index of each in the batch's grid. */
  readonly tokens: Int32Array;
  /** One row a token each: of what the host gives, its numbers. */
  readonly given: Readonly<Record<"token_ids" | "targets", BigInt64Array<ArrayBuffer>>>;
  /** One row a token each. */
  readonly values: Readonly<Record<"token_ids" | "targets" | "loss", Tensor>>;
}

/**
 * Supervised tokens whose logits are held at once. In graphs more are hardly faster, and with an adapter
 * the logits are what takes most memory after the weights, so fewer are held. A kernel holds them once,
 * in the weights' type; and a GPU has time to read the head's weights only for many tokens: of 256 it
 * computes no longer than it reads. Of a vocabulary larger than 152,064 tokens (Qwen2.5's) fewer are
 * held, so that the logits take no more memory.
 *
 * @example
 * ```ts
 * import { headChunkOf } from "./head.ts";
 * import assert from "node:assert/strict";
 *
 * const vocabSize = 151936;
 * assert.equal(headChunkOf({ vocabSize, adapted: false }), 256);
 * assert.equal(headChunkOf({ vocabSize, adapted: true }), 128);
 * assert.equal(headChunkOf({ vocabSize, adapted: false, kernels: true }), 2048);
 * assert.equal(headChunkOf({ vocabSize: 262144, adapted: false }), 128);
 * ```
 */
export function headChunkOf(
  { vocabSize, adapted, kernels = false }: {
    /** Rows of the head. */
    readonly vocabSize: number;
    /** Whether an adapter is trained. */
    readonly adapted: boolean;
    /** Whether a kernel takes the loss. @default false */
    readonly kernels?: boolean;
  },
): number {
  const share = adapted ? 0.5 : 1;
  const most = share * (kernels ? 2048 : 256);
  const fitting = Math.floor(most * LARGE_VOCABULARY / vocabSize / CHUNK_STEP) * CHUNK_STEP;
  return Math.min(most, Math.max(CHUNK_STEP, fitting));
}

/** Rows of the largest head whose chunks are not cut. */
const LARGE_VOCABULARY = 152064;
const CHUNK_STEP = 64;

/** The head of a model. */
export class Head {
  readonly #context: EngineContext;
  readonly #chunk: number;

  /** @param chunk supervised tokens whose logits are held at once */
  constructor(context: EngineContext, chunk: number) {
    this.#context = context;
    this.#chunk = chunk;
  }

  /** Logits of chosen tokens of the grid, [tokens, vocab], in memory that the next call may reuse. */
  logits(grid: TokenGrid, tokens: Int32Array): Tensor {
    const { config, scratch, weights, computing } = this.#context;
    const n = tokens.length;
    const logits = scratch.tensor("logits", "float32", [n, config.vocabSize]);
    const ids = BigInt64Array.from(tokens, BigInt);
    this.#context.headGraph("head_logits", () => headLogitsGraph(config, computing)).run({
      x: this.#context.hidden(config.layers, grid),
      token_ids: scratch.write("token_ids", "int64", [n, 1], ids),
      [FINAL_NORM]: weights.tensor(FINAL_NORM),
      ...boundParameter(weights, "lm_head", headName(config)),
      logits,
    }, { n, tokens: grid.rows * grid.length });
    return logits;
  }

  /** Supervised tokens' indices and targets, and where their losses go: [tokens, 1] each. */
  supervised(batch: LabelledGrid): Supervised {
    const tokens = supervisedTokens(batch);
    const shape = [tokens.length, 1];
    const ids = BigInt64Array.from(tokens, BigInt);
    const targets = BigInt64Array.from(tokens, (token) => BigInt(batch.targets[token]));
    this.#assertTargets(batch, tokens);
    return {
      tokens,
      given: { token_ids: ids, targets },
      values: {
        token_ids: this.#context.scratch.write("token_ids", "int64", shape, ids),
        targets: this.#context.scratch.write("targets", "int64", shape, targets),
        loss: this.#context.scratch.tensor("loss", "float32", shape),
      },
    };
  }

  /** Graphs refuse other targets themselves on the CPU; a device would read what is not the logits'. */
  #assertTargets({ targets }: LabelledGrid, tokens: Int32Array): void {
    const { vocabSize } = this.#context.config;
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
    supervised: Supervised,
  ): Generator<{ start: number; n: number; tensors: TensorMap }> {
    const { tokens, values } = supervised;
    for (let start = 0; start < tokens.length; start += this.#chunk) {
      const n = Math.min(this.#chunk, tokens.length - start);
      using owned = new DisposableStack();
      const parts = this.#context.views
        ? Object.fromEntries(
          Object.entries(values).map(([name, tensor]) => [
            name,
            owned.use(tensor.view(start * byteWidth(tensor.dtype), [n, 1])),
          ]),
        )
        : this.#copiedParts(supervised, start, n);
      yield {
        start,
        n,
        tensors: {
          x: this.#context.hidden(this.#context.config.layers, batch),
          ...parts,
          [FINAL_NORM]: this.#context.weights.tensor(FINAL_NORM),
          ...boundParameter(this.#context.weights, "lm_head", headName(this.#context.config)),
        },
      };
      if (!this.#context.views) placeRows(this.#context, values.loss, parts.loss, { start });
    }
  }

  /** A chunk's tokens in tensors of their own. */
  #copiedParts({ given }: Supervised, start: number, n: number): Record<"loss", Tensor> {
    const { scratch } = this.#context;
    const shape = [n, 1];
    const parts = Object.entries(given).map(([name, numbers]) => [
      name,
      scratch.write(`chunk.${name}`, "int64", shape, numbers.subarray(start, start + n)),
    ]);
    return { ...Object.fromEntries(parts), loss: scratch.tensor("chunk.loss", "float32", shape) };
  }

  /** Losses of the supervised tokens, without gradients. */
  async losses(batch: LabelledGrid, supervised: Supervised, signal?: AbortSignal): Promise<void> {
    const { config, computing, kernels, yieldTimer } = this.#context;
    const kernel = kernels?.loss;
    const tokens = batch.rows * batch.length;
    for (const { n, tensors } of this.#chunks(batch, supervised)) {
      await yieldTimer.turn(signal);
      if (kernel) this.#lossInKernel(kernel, { n, tokens, tensors });
      else {
        this.#context.headGraph("head_loss", () => headLossGraph(config, computing))
          .run(tensors, { n, tokens });
      }
    }
  }

  /**
   * The same, adding the gradient of `scale · Σ loss`, or of `Σ factor · loss`, by the last block's output to dx,
   * and by the head's own weights to a store, if it is trained.
   *
   * @param factors one for each supervised token, in place of `scale`
   * @param first whether the store's gradients are written afresh in place of being added to
   */
  async gradients(
    batch: LabelledGrid,
    supervised: Supervised,
    { scale, factors, dx, store, first, signal }: {
      readonly scale: number;
      readonly factors?: Float32Array<ArrayBuffer>;
      readonly dx: Tensor;
      readonly store?: ParameterStore;
      readonly first: boolean;
      readonly signal?: AbortSignal;
    },
  ): Promise<void> {
    const { config, computing, kernels, yieldTimer, scratch } = this.#context;
    const kernel = kernels?.loss;
    if (kernel && factors) {
      throw new Error(
        "Cannot weigh tokens one by one in a kernel: make the engine without kernels",
      );
    }
    const tokens = batch.rows * batch.length;
    const frozen = store === undefined;
    const weighed = factors !== undefined;
    const factor = scratch.write("scale", "float32", [], Float32Array.of(scale));
    for (const { start, n, tensors } of this.#chunks(batch, supervised)) {
      await yieldTimer.turn(signal);
      const fresh = first && start === 0;
      const made: TensorMap = kernel
        ? { d_logits: this.#lossInKernel(kernel, { n, tokens, tensors, factor }) }
        : {
          scale: factors
            ? scratch.write("chunk.scale", "float32", [n, 1], factors.subarray(start, start + n))
            : factor,
        };
      const make = kernel ? headBackwardGraph : headGraph;
      const graph = this.#context.headGraph(
        `${frozen ? "head_frozen" : fresh ? "head_first" : "head"}${weighed ? "_weighed" : ""}`,
        () => make(config, { accumulate: !fresh, frozen, weighed, ...computing }),
      );
      graph.run({
        ...tensors,
        ...made,
        ...(store ? this.#weightGradients(store) : {}),
        dx_before: dx,
        dx,
      }, { n, tokens });
    }
  }

  /**
   * Logits of a chunk, and over them, where there is a factor, that times the gradient of their losses.
   */
  #lossInKernel(
    kernel: LossKernel,
    { n, tokens, tensors, factor }: {
      readonly n: number;
      readonly tokens: number;
      readonly tensors: TensorMap;
      readonly factor?: Tensor;
    },
  ): Tensor {
    const { vocabSize: vocabulary } = this.#context.config;
    const logits = this.#context.scratch.tensor("head_logits", this.#context.precision, [
      n,
      vocabulary,
    ]);
    this.#context.headGraph(
      "head_product",
      () => headProductGraph(this.#context.config, this.#context.computing),
    )
      .run({ ...tensors, logits }, { n, tokens });
    kernel.launch(streamOf(this.#context.runtime), {
      logits: logits.address,
      targets: tensors.targets.address,
      // Not read without a gradient.
      factor: factor?.address ?? 0n,
      losses: tensors.loss.address,
    }, { rows: n, vocabulary, targets: "int64", gradient: factor !== undefined });
    return logits;
  }

  /** Where the head's graph writes the gradients of its weights, and reads those before. */
  #weightGradients(gradients: ParameterStore): TensorMap {
    const head = gradients.tensor(headName(this.#context.config));
    const norm = gradients.tensor(FINAL_NORM);
    return {
      [accumulatorName("lm_head")]: head,
      [gradientName("lm_head")]: head,
      [accumulatorName(FINAL_NORM)]: norm,
      [gradientName(FINAL_NORM)]: norm,
    };
  }
}

function supervisedTokens({ targets }: LabelledGrid): Int32Array {
  let count = 0;
  const tokens = new Int32Array(targets.length);
  for (let i = 0; i < targets.length; i++) if (targets[i] >= 0) tokens[count++] = i;
  return tokens.subarray(0, count);
}
