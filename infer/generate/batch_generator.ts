/**
 * Several replies at once, on the weights of one model: continuous batching.
 *
 * In: prompts, at any time. Out: for each a `Generation`, as a generator of one reply at a time
 * gives it. Replies join and leave between two steps; a step makes one token of each. Prompts are
 * read in chunks between the steps, so that a long one does not hold up the others.
 *
 * @module
 */

import { EventTurns } from "../../model/engine/event_turns.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { BatchCache, cacheBytesPerPosition, CAPACITY_STEP } from "./batch_cache.ts";
import { type AdapterSlot, BatchDecoder } from "./batch_decoder.ts";
import { assertPrompt } from "./assert_prompt.ts";
import type { FinishReason, GenerateOptions, Generation } from "./generation.ts";
import { type GenerationConfig, parseGenerationConfig } from "./generation_config.ts";
import { type GenerationPlan, planGeneration } from "./generation_plan.ts";
import type { Generator } from "./generator.ts";
import { ReplyTokens } from "./reply_tokens.ts";

/** What {@linkcode BatchGenerator} is made with. */
export interface BatchGeneratorOptions {
  /** Where the graphs run. */
  readonly runtime: Runtime;
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** Sets of weights that replies choose among, such as the base model and an adapter on it. */
  readonly slots: readonly AdapterSlot[];
  /** Defaults of sampling and of where replies end. @default {those of config} */
  readonly generation?: GenerationConfig;
  /** Most replies made at once. @default {16} */
  readonly maxRows?: number;
  /** Most replies that wait for a row. @default {8} */
  readonly maxWaiting?: number;
  /**
   * Most bytes of keys and values. A reply begins when its prompt and its longest possible answer
   * fit beside the others, so that none that has begun ever runs out of memory.
   * @default {1 GiB}
   */
  readonly cacheBytes?: number;
  /** Prompt tokens run at once while no reply is being made. @default {256} */
  readonly chunk?: number;
  /** Prompt tokens run between two steps of other replies. @default {32} */
  readonly sharedChunk?: number;
  /** Turns of the event loop between the steps, of which a server tells what it expects. @default {new EventTurns()} */
  readonly turns?: EventTurns;
}

/** How busy a {@linkcode BatchGenerator} is. */
export interface BatchLoad {
  /** Replies being made, those whose prompt is being read among them. */
  readonly running: number;
  /** Replies that wait for a row. */
  readonly waiting: number;
  /** Positions of the cache set aside for the running replies. */
  readonly reservedPositions: number;
  /** Positions of the whole cache. */
  readonly positions: number;
  /** Steps made so far: each makes a token of every reply, or reads a part of a prompt, or both. */
  readonly steps: number;
}

/** Thrown where as many replies wait as may; try again later. */
export class BatchFullError extends Error {
  /** The name that tells it from other errors. */
  override readonly name = "BatchFullError";
}

/**
 * Makes many replies at once. Each slot is a {@linkcode Generator}, so that whatever takes one,
 * such as {@linkcode chat}, can share a batch with others.
 *
 * A greedy reply has the tokens it would have alone, and a seed the same draws: only the last bits
 * of a logit depend on the company, since matrix products of other sizes round otherwise.
 *
 * @example
 * ```ts
 * import { parseConfig, Runtime } from "@ortune/ortune";
 * import { BatchGenerator } from "@ortune/ortune/infer";
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
 * await using batch = new BatchGenerator({ runtime, config, slots: [{ weights }] });
 * const generator = batch.generator();
 * const options = { maxNewTokens: 4, greedy: true };
 * const [first, second] = await Promise.all([
 *   Array.fromAsync(generator.generate([1, 2, 3], options)),
 *   Array.fromAsync(generator.generate([4, 5], options)),
 * ]);
 * assert.deepEqual([first.length, second.length], [4, 4]);
 * ```
 */
export class BatchGenerator implements AsyncDisposable {
  readonly #options: Required<BatchGeneratorOptions>;
  readonly #cache: BatchCache;
  readonly #decoder: BatchDecoder;
  /** Positions of one reply at most: the model's, or what the cache has for it alone. */
  readonly #window: number;
  readonly #waiting: Reply[] = [];
  /** Have a row in the account, and get one in the cache at the next step. */
  readonly #joining: Reply[] = [];
  /** In the order of the cache's rows: those of the first slot, of the next, and so on. */
  readonly #decoding: Reply[] = [];
  /** Has the cache's last row while its prompt is read. */
  #prefilling: Reply | undefined;
  #work: Promise<void> | undefined;
  #closed = false;
  #steps = 0;

  /**
   * Compiles the graphs; the cache's memory is taken as it is used.
   *
   * @throws {RangeError} where the cache is too small for one short reply, or an option is wrong
   */
  constructor(options: BatchGeneratorOptions) {
    const { runtime, config } = options;
    const {
      maxRows = 16,
      maxWaiting = 8,
      cacheBytes = 2 ** 30,
      chunk = 256,
      sharedChunk = 32,
      turns = new EventTurns(),
      generation = parseGenerationConfig({}, { config }),
    } = options;
    for (const [name, value] of Object.entries({ maxRows, chunk, sharedChunk })) {
      if (Number.isSafeInteger(value) && value >= 1) continue;
      throw new RangeError(`Cannot generate with ${name} ${value}: expected a whole number from 1`);
    }
    const perPosition = cacheBytesPerPosition(config);
    const longest = roundUp(config.maxPositions);
    const affordable = Math.floor(cacheBytes / perPosition / CAPACITY_STEP) * CAPACITY_STEP;
    const positions = Math.min(affordable, maxRows * longest);
    if (!(positions >= CAPACITY_STEP)) {
      throw new RangeError(
        `Cannot generate with ${cacheBytes} bytes of cache: ${CAPACITY_STEP} positions take ` +
          `${CAPACITY_STEP * perPosition}`,
      );
    }
    this.#options = {
      ...options,
      maxRows,
      maxWaiting,
      cacheBytes,
      chunk,
      sharedChunk,
      generation,
      turns,
    };
    this.#window = Math.min(config.maxPositions, positions);
    this.#cache = new BatchCache(runtime, config, positions);
    try {
      this.#decoder = new BatchDecoder(runtime, config, {
        slots: options.slots,
        cache: this.#cache,
        turns,
      });
    } catch (cause) {
      this.#cache[Symbol.dispose]();
      throw cause;
    }
  }

  /** Positions that a prompt and its reply have together at most. */
  get window(): number {
    return this.#window;
  }

  /** How busy it is. */
  get load(): BatchLoad {
    const admitted = this.#admitted();
    return {
      running: admitted.length,
      waiting: this.#waiting.length,
      reservedPositions: admitted.reduce((sum, { need }) => sum + need, 0),
      positions: this.#cache.positions,
      steps: this.#steps,
    };
  }

  /** Replies on one slot's weights; disposing of it does nothing, the batch is this object's. */
  generator(slot = 0): Generator {
    if (!this.#options.slots[slot]) throw new RangeError(`Cannot generate on slot ${slot}`);
    return {
      generate: (promptIds, options = {}) => this.#submit(slot, promptIds, options),
      [Symbol.dispose]: () => {},
    };
  }

  /**
   * Checks whether another reply would be taken in now, for who is about to prepare a long prompt.
   *
   * @throws {BatchFullError} where as many wait as may
   */
  assertRoom(): void {
    this.#admit();
    const { maxRows, maxWaiting } = this.#options;
    // Whoever waits keeps those who come later from a row.
    const rowsTaken = this.#waiting.length > 0 || this.#admitted().length >= maxRows;
    if (rowsTaken && this.#waiting.length >= maxWaiting) throw this.#full();
  }

  #full(): BatchFullError {
    return new BatchFullError(
      `Cannot take in another reply: ${this.#admitted().length} are being made and ` +
        `${this.#options.maxWaiting} wait; try again later`,
    );
  }

  #submit(slot: number, promptIds: ArrayLike<number>, options: GenerateOptions): Generation {
    if (this.#closed) throw new ReferenceError("Cannot generate: the batch was disposed of");
    const { config, generation, maxWaiting } = this.#options;
    assertPrompt(promptIds, config.vocabSize);
    const plan = planGeneration(options, {
      promptLength: promptIds.length,
      positions: this.#window,
      generation,
    });
    const reply = new Reply(slot, Int32Array.from(promptIds), {
      ...plan,
      signal: options.signal,
      // A reply that is left frees its place in the queue at once.
      onLeft: () => this.#admit(),
    });
    if (reply.left) return reply;
    this.#waiting.push(reply);
    this.#admit();
    if (this.#waiting.length > maxWaiting) {
      this.#waiting.pop();
      reply.leave();
      throw this.#full();
    }
    this.#work ??= this.#run();
    return reply;
  }

  #admitted(): Reply[] {
    return [
      ...this.#decoding,
      ...(this.#prefilling ? [this.#prefilling] : []),
      ...this.#joining,
    ];
  }

  /** Gives rows to those who wait, first come, first served, as far as memory and rows go. */
  #admit(): void {
    for (const list of [this.#waiting, this.#joining]) {
      for (let i = list.length - 1; i >= 0; i--) if (list[i].left) list.splice(i, 1);
    }
    while (this.#waiting.length > 0) {
      const rows = [...this.#admitted(), this.#waiting[0]];
      const longest = Math.max(...rows.map(({ need }) => need));
      const fits = rows.length * roundUp(longest) <= this.#cache.positions;
      if (!fits || rows.length > this.#options.maxRows) return;
      this.#joining.push(this.#waiting.shift()!);
    }
  }

  /** Makes steps until there is nothing left to do. */
  async #run(): Promise<void> {
    try {
      for (;;) {
        // Each step: readers get their token, others are answered, and connections that closed end
        // their reply.
        await this.#options.turns.take();
        this.#sweep();
        this.#admit();
        this.#prefilling ??= this.#join();
        if (!this.#prefilling && this.#decoding.length === 0) return;
        this.#steps++;
        if (this.#prefilling) await this.#prefill(this.#prefilling);
        for (let slot = 0; slot < this.#options.slots.length; slot++) await this.#decode(slot);
      }
    } catch (cause) {
      // Not a reply's own fault: all that are under way fail with it.
      for (const reply of [...this.#admitted(), ...this.#waiting]) reply.fail(cause);
      this.#decoding.length = this.#joining.length = this.#waiting.length = 0;
      this.#prefilling = undefined;
      this.#cache.reserve(0, this.#cache.capacity);
    } finally {
      this.#work = undefined;
    }
  }

  /** Gives the next reply the cache's last row. */
  #join(): Reply | undefined {
    const reply = this.#joining.shift();
    if (!reply) return undefined;
    reply.begin();
    const rows = this.#decoding.length + 1;
    const { capacity, positions } = this.#cache;
    const exact = roundUp(Math.max(reply.need, ...this.#decoding.map(({ need }) => need)));
    const fits = (each: number): boolean => rows * each <= positions;
    // A layout is kept while it does; a wider one leaves room for the next ones.
    const wider = Math.min(Math.max(exact, 2 * capacity), roundUp(this.#window));
    const wanted = capacity >= exact ? capacity : wider;
    this.#cache.reserve(rows, fits(wanted) ? wanted : exact);
    this.#cache.setLength(rows - 1, 0);
    return reply;
  }

  async #prefill(reply: Reply): Promise<void> {
    const { chunk, sharedChunk } = this.#options;
    const row = this.#decoding.length;
    const read = this.#cache.length(row);
    const size = this.#decoding.length > 0 ? Math.min(chunk, sharedChunk) : chunk;
    const ids = reply.promptIds.subarray(read, read + size);
    const { signal, onPromptLogits } = reply;
    const onLogits = onPromptLogits && ((token: number, each: Float32Array): void => {
      onPromptLogits(read + token, each);
    });
    let logits: Float32Array;
    try {
      logits = await this.#decoder.prefill(reply.slot, { start: row, ids, onLogits, signal });
    } catch (cause) {
      if (cause === signal.reason) return;
      throw cause;
    }
    if (read + ids.length < reply.promptIds.length) return;
    this.#prefilling = undefined;
    reply.take(logits);
    if (reply.left) {
      this.#cache.reserve(row, this.#cache.capacity);
      return;
    }
    // To the end of its slot: the first row of each slot behind it goes to that slot's end.
    let at = row;
    for (let slot = this.#options.slots.length - 1; slot > reply.slot; slot--) {
      const first = this.#firstRow(slot);
      if (first === at) continue;
      this.#cache.swap(first, at);
      this.#decoding[at] = this.#decoding[first];
      at = first;
    }
    this.#decoding[at] = reply;
  }

  /** The first row of a slot, or where it would be. */
  #firstRow(slot: number): number {
    const row = this.#decoding.findIndex((reply) => reply.slot >= slot);
    return row < 0 ? this.#decoding.length : row;
  }

  async #decode(slot: number): Promise<void> {
    const start = this.#firstRow(slot);
    const replies = this.#decoding.slice(start, this.#firstRow(slot + 1));
    if (replies.length === 0) return;
    const ids = replies.map(({ last }) => last);
    const logits = await this.#decoder.decode(slot, { start, rows: replies.length, ids });
    const { vocabSize } = this.#options.config;
    replies.forEach((reply, row) =>
      reply.take(logits.subarray(row * vocabSize, (row + 1) * vocabSize))
    );
    this.#sweep();
  }

  /** Takes the rows of replies that are over. */
  #sweep(): void {
    if (this.#prefilling?.left) {
      this.#prefilling = undefined;
      this.#cache.reserve(this.#decoding.length, this.#cache.capacity);
    }
    for (let row = this.#decoding.length - 1; row >= 0; row--) {
      if (this.#decoding[row].left) this.#remove(row);
    }
  }

  /** Fills a row with its slot's last one, the hole that leaves with the next slot's last, … */
  #remove(row: number): void {
    // A row whose prompt is being read comes last, as a slot of its own.
    const { slot } = this.#decoding[row];
    this.#cache.setLength(row, 0);
    let hole = row;
    const ends = this.#options.slots.slice(slot).map((_, i) => this.#firstRow(slot + i + 1));
    for (const end of ends) {
      if (end - 1 <= hole) continue;
      this.#cache.swap(hole, end - 1);
      this.#decoding[hole] = this.#decoding[end - 1];
      hole = end - 1;
    }
    const last = this.#decoding.length;
    if (this.#prefilling) {
      this.#cache.swap(last - 1, last);
    }
    this.#decoding.pop();
    this.#cache.reserve(this.#cache.rows - 1, this.#cache.capacity);
  }

  /** Ends all replies as aborted, and releases cache and graphs; the weights stay their owners'. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const reply of [...this.#admitted(), ...this.#waiting]) reply.leave();
    await this.#work;
    this.#decoder[Symbol.dispose]();
    this.#cache[Symbol.dispose]();
  }
}

function roundUp(positions: number): number {
  return Math.ceil(positions / CAPACITY_STEP) * CAPACITY_STEP;
}

/** One reply: ids that were made and not yet read, which `need` bounds. */
class Reply implements Generation {
  readonly slot: number;
  readonly promptIds: Int32Array;
  /** Positions it takes at most. */
  readonly need: number;
  readonly #plan: GenerationPlan;
  #tokens: ReplyTokens | undefined;
  readonly #unread: number[] = [];
  readonly #left = new AbortController();
  readonly #release: () => void;
  #last = -1;
  #ended = false;
  #error: { readonly cause: unknown } | undefined;
  #finishReason: FinishReason | undefined;
  #wake: (() => void) | undefined;

  constructor(slot: number, promptIds: Int32Array, { signal, onLeft, ...plan }: GenerationPlan & {
    readonly signal?: AbortSignal;
    readonly onLeft: () => void;
  }) {
    this.slot = slot;
    this.promptIds = promptIds;
    this.need = promptIds.length + plan.limit;
    this.#plan = plan;
    const abort = (): void => {
      this.leave();
      onLeft();
    };
    this.#release = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) this.leave();
    else signal?.addEventListener("abort", abort, { once: true });
  }

  /** The token made last, which the next step reads. */
  get last(): number {
    return this.#last;
  }

  /** Aborted when the reply is over. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** Whether nothing more is to be made. */
  get left(): boolean {
    return this.#ended;
  }

  get finishReason(): FinishReason | undefined {
    // Ids that wait to be read come before the end.
    return this.#unread.length > 0 ? undefined : this.#finishReason;
  }

  get endToken(): number | undefined {
    return this.#unread.length > 0 ? undefined : this.#tokens?.endToken;
  }

  get logprobs(): Generation["logprobs"] {
    return this.#plan.logprobs?.chosen;
  }

  get promptLogprobs(): Generation["promptLogprobs"] {
    return this.#plan.promptLogprobs?.chosen;
  }

  /** Takes the logits [vocab] after a token of the prompt, where they are asked for. */
  get onPromptLogits(): ((token: number, logits: Float32Array) => void) | undefined {
    const { promptLogprobs } = this.#plan;
    return promptLogprobs && ((token, logits) => {
      if (token + 1 < this.promptIds.length) promptLogprobs.push(logits, this.promptIds[token + 1]);
    });
  }

  /** Has a row: its time begins. */
  begin(): void {
    this.#tokens = new ReplyTokens(this.#plan, this.promptIds);
  }

  /** Makes the next token of logits [vocab]. */
  take(logits: Float32Array): void {
    if (this.#ended || !this.#tokens) return;
    if (this.#plan.limit === 0) return this.#end("length");
    let id: number | undefined;
    try {
      id = this.#tokens.next(logits);
    } catch (cause) {
      this.fail(cause);
      return;
    }
    if (id !== undefined) {
      this.#last = id;
      this.#unread.push(id);
    }
    const { finishReason } = this.#tokens;
    if (finishReason) this.#end(finishReason);
    else this.#wake?.();
  }

  /** Ends the reply as its reader or its signal does. */
  leave(): void {
    if (!this.#ended) this.#unread.length = 0;
    this.#end("aborted");
  }

  /** Ends the reply with an error for its reader. */
  fail(cause: unknown): void {
    this.#error ??= { cause };
    this.#end("aborted");
  }

  #end(reason: FinishReason): void {
    this.#ended = true;
    this.#left.abort();
    this.#finishReason ??= reason;
    this.#release();
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<number, void>> {
    while (this.#unread.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const value = this.#unread.shift();
    if (value !== undefined) return { done: false, value };
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error.cause;
    return { done: true, value: undefined };
  }

  // deno-lint-ignore require-await -- the interface's
  async return(): Promise<IteratorResult<number, void>> {
    this.leave();
    this.#unread.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
