/**
 * Replies token by token.
 *
 * In: prompt ids. Out: new ids as they are made, without the one that ends the reply, and the
 * reason why it ended.
 *
 * @module
 */

import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { DecoderWeights } from "./decode_blocks.ts";
import { Decoder, type DecoderOptions } from "./decoder.ts";
import type { FinishReason, GenerateOptions, Generation } from "./generation.ts";
import { type GenerationConfig, parseGenerationConfig } from "./generation_config.ts";
import { type GenerationPlan, planGeneration } from "./generation_plan.ts";
import { ReplyTokens } from "./reply_tokens.ts";

/** Makes replies, one at a time. */
export interface Generator extends Disposable {
  /**
   * Starts a reply. Work is done as the iterator is read; leaving it early ends the reply.
   *
   * @throws {RangeError} where the prompt fills all of the model's positions or has no token, or an
   *   option is outside its range
   */
  generate(promptIds: ArrayLike<number>, options?: GenerateOptions): Generation;
}

/** A model that takes tokens one after another, such as {@linkcode Decoder}. */
export interface TokenDecoder extends Disposable {
  /** Adds tokens to the sequence; answers the logits after the last one, [vocab]. */
  prefill(ids: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array>;
  /** The same for one token. */
  decode(id: number, signal?: AbortSignal): Promise<Float32Array>;
  /** Forgets the sequence. */
  reset(): void;
}

/** What {@linkcode createGenerator} makes a generator of. */
export interface GeneratorOptions extends DecoderOptions {
  /** Where the decoder's graphs run. */
  readonly runtime: Runtime;
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** Tensors by Hugging Face's names, such as a trainer's weights: they are read, not copied. */
  readonly weights: DecoderWeights;
  /** Defaults of sampling and of where replies end. @default {those of config} */
  readonly generation?: GenerationConfig;
}

/**
 * Makes a generator. It holds the cache of one sequence, and no weights of its own.
 *
 * @example
 * ```ts
 * import { createGenerator, parseConfig, Runtime } from "@ortune/ortune";
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
 * using generator = createGenerator({ runtime, config, weights });
 * const reply = generator.generate([1, 2, 3], { maxNewTokens: 4, greedy: true });
 * const ids: number[] = [];
 * for await (const id of reply) ids.push(id);
 * assert.equal(ids.length, 4);
 * assert.equal(reply.finishReason, "length");
 * ```
 *
 * @throws {RangeError} where nothing says which token ends a reply
 */
export function createGenerator(options: GeneratorOptions): Generator {
  const { runtime, config, weights, generation = parseGenerationConfig({}, options) } = options;
  return decoderGenerator(new Decoder(runtime, config, weights, options), { config, generation });
}

/** What {@linkcode decoderGenerator} knows of the model. */
export interface DecoderGeneratorOptions {
  /** Sizes of the model. */
  readonly config: ModelConfig;
  /** Defaults of sampling and of where replies end. */
  readonly generation: GenerationConfig;
}

/** Makes a generator of a decoder, which it disposes of. */
export function decoderGenerator(
  decoder: TokenDecoder,
  { config, generation }: DecoderGeneratorOptions,
): Generator {
  let running = false;

  async function* tokens(
    promptIds: ArrayLike<number>,
    { plan, signal }: { readonly plan: GenerationPlan; readonly signal?: AbortSignal },
  ): AsyncGenerator<number, End> {
    if (running) {
      throw new Error(
        "Cannot generate: this generator is making another reply; read that one to its end first, " +
          "or make a second generator",
      );
    }
    running = true;
    try {
      decoder.reset();
      const reply = new ReplyTokens(plan, promptIds);
      const { limit, promptLogprobs } = plan;
      let logits: Float32Array;
      if (promptLogprobs) {
        // A decoder tells the logits after what it is given: so token by token.
        logits = await decoder.decode(promptIds[0], signal);
        for (let i = 1; i < promptIds.length; i++) {
          promptLogprobs.push(logits, promptIds[i]);
          logits = await decoder.decode(promptIds[i], signal);
        }
      } else {
        logits = await decoder.prefill(promptIds, signal);
      }
      if (limit === 0) return { finishReason: "length" };
      for (;;) {
        const id = reply.next(logits);
        if (id !== undefined) yield id;
        const { finishReason, endToken } = reply;
        if (id === undefined || finishReason) return { finishReason, endToken };
        logits = await decoder.decode(id, signal);
      }
    } catch (cause) {
      if (signal?.aborted && cause === signal.reason) return { finishReason: "aborted" };
      throw cause;
    } finally {
      running = false;
    }
  }

  return {
    generate(promptIds: ArrayLike<number>, options: GenerateOptions = {}): Generation {
      const { signal } = options;
      const plan = planGeneration(options, {
        promptLength: promptIds.length,
        positions: config.maxPositions,
        generation,
      });
      return withEnd(tokens(promptIds, { plan, signal }), plan);
    },
    [Symbol.dispose]: () => decoder[Symbol.dispose](),
  };
}

/** How a reply ended. */
type End = Pick<Generation, "finishReason" | "endToken">;

/** Keeps what an async generator returns, which `for await` would lose. */
function withEnd(tokens: AsyncGenerator<number, End>, plan: GenerationPlan): Generation {
  let end: End | undefined;
  const generation: Generation = {
    get finishReason(): FinishReason | undefined {
      return end?.finishReason;
    },
    get endToken(): number | undefined {
      return end?.endToken;
    },
    logprobs: plan.logprobs?.chosen,
    promptLogprobs: plan.promptLogprobs?.chosen,
    async next(): Promise<IteratorResult<number, void>> {
      const { done, value } = await tokens.next();
      if (!done) return { done: false, value };
      end ??= value;
      return { done: true, value: undefined };
    },
    async return(): Promise<IteratorResult<number, void>> {
      end ??= { finishReason: "aborted" };
      await tokens.return(end);
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => generation,
  };
  return generation;
}
