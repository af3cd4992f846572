/**
 * Runs an exported model in ONNX Runtime, without its checkpoint.
 *
 * In: the path of the .onnx file. Out: logits, of a whole text or token by token with a cache that
 * is written in place.
 *
 * @module
 */

import { YieldTimer } from "../../model/engine/yield_timer.ts";
import { Scratch } from "../../model/engine/scratch.ts";
import { assertPrompt } from "../generate/assert_prompt.ts";
import type { TokenDecoder } from "../generate/generator.ts";
import { KvCache } from "../generate/kv_cache.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Binding, Session } from "../../ort/runtime/session.ts";
import { float16ToFloat32 } from "../../ort/tensor/half.ts";
import { EXPORT_FORMATS, type ExportDtype, modelFile } from "./export_format.ts";

/** The inputs that an export has. */
const INPUT =
  /^(?:input_ids|attention_mask|num_logits_to_keep|past_key_values\.\d+\.(?:key|value))$/;

/** Options of {@linkcode ExportedDecoder}. */
export interface ExportedDecoderOptions {
  /** Sizes of the model, from config.json. */
  readonly config: ModelConfig;
  /** Which of the folder's models to open. */
  readonly dtype: ExportDtype;
  /**
   * Prompt tokens run at once; the event loop gets a turn between two chunks.
   * @default {256}
   */
  readonly chunk?: number;
}

/**
 * A model that `exportModel` wrote. The file's own shapes of the cache only have names, so the cache
 * is bound as one tensor with room for more: nothing is copied from token to token.
 */
export class ExportedDecoder implements TokenDecoder {
  readonly #config: ModelConfig;
  readonly #float: "float32" | "float16";
  readonly #chunk: number;
  readonly #session: Session;
  readonly #binding: Binding;
  readonly #cache: KvCache;
  readonly #scratch: Scratch;
  readonly #yieldTimer = new YieldTimer();
  #position = 0;
  #disposed = false;

  /**
   * Opens `<directory>/onnx/model*.onnx` with the weights beside it.
   *
   * @throws {Error} where ONNX Runtime refuses the file, with its message, or another program made it
   */
  constructor(
    runtime: Runtime,
    directory: string,
    { config, dtype, chunk = 256 }: ExportedDecoderOptions,
  ) {
    this.#config = config;
    this.#float = EXPORT_FORMATS[dtype].float;
    this.#chunk = chunk;
    const path = `${directory}/onnx/${modelFile(dtype)}`;
    // A token multiplies one row: in float32 that is a tenth faster with the weights as the file has them,
    // which are then not copied either.
    this.#session = new Session(runtime, path, { prepacking: dtype !== "fp32" });
    const foreign = this.#session.inputs.filter((name) => !INPUT.test(name));
    if (foreign.length > 0) {
      this.#session[Symbol.dispose]();
      throw new Error(
        `Cannot run ${path}: it wants ${
          foreign.join(", ")
        }, which no export of ortune does; export ` +
          "the model with deno task export",
      );
    }
    this.#binding = new Binding(this.#session);
    this.#cache = new KvCache(runtime, config, { dtype: this.#float });
    this.#scratch = new Scratch(runtime);
  }

  /** Tokens in the cache. */
  get position(): number {
    return this.#position;
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
    assertPrompt(ids, this.#config.vocabSize);
    let logits = new Float32Array();
    for (let start = 0; start < ids.length; start += this.#chunk) {
      await this.#yieldTimer.turn(signal);
      const end = Math.min(start + this.#chunk, ids.length);
      logits = this.#run(Array.prototype.slice.call(ids, start, end), 1);
    }
    return logits;
  }

  /** The same for one token. */
  decode(id: number, signal?: AbortSignal): Promise<Float32Array> {
    return this.prefill([id], signal);
  }

  /**
   * Logits after each token of a text of its own, [tokens, vocab], in memory reused by the next.
   *
   * @throws {RangeError} as {@linkcode ExportedDecoder.prefill}
   */
  logits(ids: ArrayLike<number>): Float32Array {
    assertPrompt(ids, this.#config.vocabSize);
    this.reset();
    return this.#run(Array.from(ids), 0);
  }

  /** @param keep how many logits, counted from the end; 0 for all */
  #run(ids: readonly number[], keep: number): Float32Array<ArrayBuffer> {
    if (this.#disposed) throw new ReferenceError("Cannot decode: the model was disposed of");
    const { vocabSize, layers } = this.#config;
    const scratch = this.#scratch;
    const binding = this.#binding;
    const total = this.#position + ids.length;
    if (this.#cache.reserve(total, this.#position)) {
      for (let layer = 0; layer < layers; layer++) {
        for (const [part, tensor] of Object.entries(this.#cache.layer(layer) ?? {})) {
          binding.input(`past_key_values.${layer}.${part}`, tensor);
          binding.output(`present.${layer}.${part}`, tensor);
        }
      }
    }
    const inputs = {
      input_ids: BigInt64Array.from(ids, BigInt),
      attention_mask: new BigInt64Array(total).fill(1n),
    };
    for (const [name, data] of Object.entries(inputs)) {
      binding.input(name, scratch.write(name, "int64", [1, data.length], data));
    }
    const count = BigInt64Array.of(BigInt(keep));
    binding.input("num_logits_to_keep", scratch.write("keep", "int64", [], count));
    const logits = scratch.tensor("logits", this.#float, [1, keep || ids.length, vocabSize]);
    binding.output("logits", logits);
    binding.run();
    this.#position = total;
    if (this.#float === "float32") return logits.float32();
    const halves = logits.bytes();
    const widened = new Float32Array(halves.byteLength / 2);
    float16ToFloat32(new Uint16Array(halves.buffer, halves.byteOffset, widened.length), widened);
    return widened;
  }

  /** Releases the model and its cache. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#binding[Symbol.dispose]();
    this.#session[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
    this.#cache[Symbol.dispose]();
  }
}
