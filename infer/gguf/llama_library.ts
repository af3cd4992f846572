/**
 * llama.cpp itself, by its C API: to load a GGUF file and to ask it what it says.
 *
 * In: the folder of its libraries. Out: tokens of texts and logits of tokens. The functions and records are those
 * of `include/llama.h` of the version that {@linkcode LLAMA_PACKAGE_VERSION} holds; records are passed by value
 * and differ between versions, so no other version is opened.
 *
 * @module
 */

import { findPackageJSON } from "node:module";
import { likeliest } from "../export/parity.ts";

/** The version of npm's @node-llama-cpp/*, which hold llama.cpp 0.4.0 and nothing else. */
export const LLAMA_PACKAGE_VERSION = "3.21.1";
const LLAMA_VERSION = "0.4.0-dev";

/** The package of each platform, and how its libraries' names begin and end. */
const PACKAGES: Readonly<Record<string, readonly [string, string, string]>> = {
  "linux-x86_64": ["linux-x64", "lib", ".v0.4.0.so"],
  "linux-aarch64": ["linux-arm64", "lib", ".v0.4.0.so"],
  "darwin-aarch64": ["mac-arm64-metal", "lib", ".metal.v0.4.0.dylib"],
  "darwin-x86_64": ["mac-x64", "lib", ".v0.4.0.dylib"],
  "windows-x86_64": ["win-x64", "", ".v0.4.0.dll"],
  "windows-aarch64": ["win-arm64", "", ".v0.4.0.dll"],
};

const pointers = <const Count extends number>(count: Count): "pointer"[] =>
  Array<"pointer">(count).fill("pointer");

/** `llama_model_params` */
const MODEL_PARAMS: Deno.NativeStructType = {
  struct: [
    ...pointers(2),
    ...Array<"i32">(5).fill("i32"),
    ...pointers(4),
    ...Array<"u8">(6).fill("u8"),
  ],
};
/** `llama_context_params` */
const CONTEXT_PARAMS: Deno.NativeStructType = {
  struct: [
    ...Array<"u32">(7).fill("u32"),
    ...Array<"i32">(7).fill("i32"),
    ...Array<"f32">(6).fill("f32"),
    ...["u32", "f32"] as const,
    ...pointers(2),
    ...["i32", "i32"] as const,
    ...pointers(2),
    ...Array<"u8">(6).fill("u8"),
    ...["pointer", "usize", "pointer"] as const,
  ],
};
/** Where fields lie in it, in bytes. */
const CONTEXT = {
  n_ctx: 0,
  n_batch: 4,
  n_ubatch: 8,
  n_outputs_max_per_seq: 24,
  n_threads: 28,
  n_threads_batch: 32,
  flash_attn_type: 52,
  type_k: 104,
  type_v: 108,
};
/** `llama_model_quantize_params` */
const QUANTIZE_PARAMS: Deno.NativeStructType = {
  struct: [
    ...Array<"i32">(4).fill("i32"),
    ...Array<"u8">(6).fill("u8"),
    ...pointers(4),
    ...["i32", "i32"] as const,
  ],
};
/** `llama_batch`: how many, tokens, embeddings, positions, counts, sequences, whether logits are wanted. */
const BATCH: Deno.NativeStructType = { struct: ["i32", ...pointers(6)] };
const BATCH_BYTES = 56;
const BATCH_TOKENS = 8;
const BATCH_OUTPUTS = 48;

const GGML_SYMBOLS = {
  ggml_backend_load_all_from_path: { parameters: ["buffer"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

const SYMBOLS = {
  llama_version: { parameters: [], result: "pointer" },
  llama_log_set: { parameters: ["pointer", "pointer"], result: "void" },
  llama_max_devices: { type: "pointer" },
  llama_backend_init: { parameters: [], result: "void" },
  llama_model_default_params: { parameters: [], result: MODEL_PARAMS },
  llama_model_load_from_file: {
    parameters: ["buffer", MODEL_PARAMS],
    result: "pointer",
    nonblocking: true,
  },
  llama_model_free: { parameters: ["pointer"], result: "void" },
  llama_model_quantize_default_params: { parameters: [], result: QUANTIZE_PARAMS },
  llama_model_quantize: { parameters: ["buffer", "buffer", "buffer"], result: "u32" },
  llama_model_get_vocab: { parameters: ["pointer"], result: "pointer" },
  llama_model_chat_template: { parameters: ["pointer", "pointer"], result: "pointer" },
  llama_context_default_params: { parameters: [], result: CONTEXT_PARAMS },
  llama_init_from_model: { parameters: ["pointer", CONTEXT_PARAMS], result: "pointer" },
  llama_free: { parameters: ["pointer"], result: "void" },
  llama_adapter_lora_init: { parameters: ["pointer", "buffer"], result: "pointer" },
  llama_set_adapters_lora: {
    parameters: ["pointer", "buffer", "usize", "buffer"],
    result: "i32",
  },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_clear: { parameters: ["pointer", "bool"], result: "void" },
  llama_decode: { parameters: ["pointer", BATCH], result: "i32", nonblocking: true },
  llama_get_logits: { parameters: ["pointer"], result: "pointer" },
  llama_tokenize: {
    parameters: ["pointer", "buffer", "i32", "buffer", "i32", "bool", "bool"],
    result: "i32",
  },
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_vocab_is_eog: { parameters: ["pointer", "i32"], result: "bool" },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.StaticForeignLibraryInterface<typeof SYMBOLS>;

/** How a GGUF file is loaded. */
export interface LoadLlamaOptions {
  /** Most tokens of a sequence. @default none are computed: the vocabulary alone is loaded */
  readonly contextLength?: number;
  /** Processor threads. @default 1 */
  readonly threads?: number;
  /** A GGUF file of a LoRA adapter on the model. @default none */
  readonly adapter?: string;
}

/** llama.cpp, opened. */
export class LlamaLibrary implements Disposable {
  readonly #ggml: Deno.DynamicLibrary<typeof GGML_SYMBOLS>;
  readonly #llama: Deno.DynamicLibrary<typeof SYMBOLS>;

  private constructor(folder: string, [, prefix, end]: readonly string[]) {
    this.#ggml = Deno.dlopen(`${folder}/${prefix}ggml${end}`, GGML_SYMBOLS);
    this.#llama = Deno.dlopen(`${folder}/${prefix}llama${end}`, SYMBOLS);
    const { symbols } = this.#llama;
    const version = Deno.UnsafePointerView.getCString(symbols.llama_version()!);
    if (version !== LLAMA_VERSION) {
      throw new Error(`Cannot use llama.cpp ${version} of ${folder}: expected ${LLAMA_VERSION}`);
    }
    // In place of a logger, which other threads would call: any function that does nothing.
    symbols.llama_log_set(symbols.llama_max_devices, null);
    this.#ggml.symbols.ggml_backend_load_all_from_path(cString(folder));
    symbols.llama_backend_init();
  }

  /**
   * Opens the library of npm's package for this platform; Deno downloads it the first time (10 MB on Linux).
   * Needs `--allow-ffi`.
   *
   * @throws {Error} where there is no such package, or it is neither in Deno's cache nor to be had
   */
  static async open(
    { os, arch }: { readonly os: string; readonly arch: string } = Deno.build,
  ): Promise<
    LlamaLibrary
  > {
    const known = PACKAGES[`${os}-${arch}`];
    if (!known) {
      throw new Error(
        `Cannot open llama.cpp on ${os}-${arch}: npm's @node-llama-cpp has it for ${
          Object.keys(PACKAGES).join(", ")
        }`,
      );
    }
    const name = `@node-llama-cpp/${known[0]}`;
    try {
      // Not a literal: every task would fetch the package otherwise.
      await import(`npm:${name}@${LLAMA_PACKAGE_VERSION}`);
    } catch (cause) {
      // Its module reads its own package.json, for which tasks have no permission; it is in the cache by then.
      if (!(cause instanceof Deno.errors.NotCapable)) {
        throw new Error(
          `Cannot open llama.cpp: npm's ${name} ${LLAMA_PACKAGE_VERSION} is not in Deno's cache and could ` +
            `not be downloaded; run \`deno cache npm:${name}@${LLAMA_PACKAGE_VERSION}\` once where there is ` +
            "a network",
          { cause },
        );
      }
    }
    const root = findPackageJSON(name, import.meta.url)!.replace(/package\.json$/, "");
    return new LlamaLibrary(`${root}bins/${known[0]}`, known);
  }

  /**
   * Loads a GGUF file on the processor.
   *
   * @throws {Error} where llama.cpp does not take it
   */
  async load(path: string, options: LoadLlamaOptions = {}): Promise<LlamaModel> {
    const { symbols } = this.#llama;
    const params = symbols.llama_model_default_params();
    const { contextLength, threads = 1, adapter } = options;
    const view = new DataView(params.buffer, params.byteOffset);
    view.setInt32(16, 0, true); // n_gpu_layers
    if (contextLength === undefined) view.setUint8(72, 1); // vocab_only
    const model = await symbols.llama_model_load_from_file(cString(path), params);
    if (model === null) throw new Error(`Cannot load ${path}: llama.cpp does not take it`);
    return new LlamaModel(symbols, model, { path, contextLength, threads, adapter });
  }

  /**
   * Quantizes a GGUF file as `llama-quantize` does, to compare with.
   *
   * @param fileType the number of `general.file_type`
   * @throws {Error} where llama.cpp does not take it
   */
  quantize(from: string, to: string, fileType: number): void {
    const { symbols } = this.#llama;
    const params = symbols.llama_model_quantize_default_params();
    const view = new DataView(params.buffer, params.byteOffset);
    view.setInt32(0, 1, true); // nthread
    view.setInt32(4, fileType, true);
    const code = symbols.llama_model_quantize(cString(from), cString(to), params);
    if (code !== 0) throw new Error(`Cannot quantize ${from}: llama.cpp answers ${code}`);
  }

  /** Lets go of the library; its models must have been disposed. */
  [Symbol.dispose](): void {
    this.#llama.close();
    this.#ggml.close();
  }
}

/** A GGUF file in llama.cpp. */
export class LlamaModel implements Disposable {
  /** Rows of its head. */
  readonly vocabSize: number;
  readonly #symbols: Symbols;
  readonly #model: Deno.PointerObject;
  readonly #vocab: Deno.PointerValue;
  readonly #context: Deno.PointerValue;

  /** By {@linkcode LlamaLibrary.load}. */
  constructor(
    symbols: Symbols,
    model: Deno.PointerObject,
    { path, contextLength, threads = 1, adapter }: LoadLlamaOptions & { readonly path: string },
  ) {
    this.#symbols = symbols;
    this.#model = model;
    this.#vocab = symbols.llama_model_get_vocab(model);
    this.vocabSize = symbols.llama_vocab_n_tokens(this.#vocab);
    if (contextLength === undefined) {
      this.#context = null;
      return;
    }
    const params = symbols.llama_context_default_params();
    const view = new DataView(params.buffer, params.byteOffset);
    const { n_ctx, n_batch, n_ubatch, n_outputs_max_per_seq } = CONTEXT;
    for (const field of [n_ctx, n_batch, n_ubatch, n_outputs_max_per_seq]) {
      view.setUint32(field, contextLength, true);
    }
    view.setInt32(CONTEXT.n_threads, threads, true);
    view.setInt32(CONTEXT.n_threads_batch, threads, true);
    // A cache in float32 and exact attention: what differs from the checkpoint is the file's alone.
    view.setInt32(CONTEXT.flash_attn_type, 0, true);
    view.setInt32(CONTEXT.type_k, 0, true);
    view.setInt32(CONTEXT.type_v, 0, true);
    this.#context = symbols.llama_init_from_model(model, params);
    if (this.#context === null) {
      this[Symbol.dispose]();
      throw new Error(`Cannot load ${path}: llama.cpp has no memory for ${contextLength} tokens`);
    }
    if (adapter !== undefined) this.#adapt(adapter);
  }

  #adapt(path: string): void {
    const adapter = this.#symbols.llama_adapter_lora_init(this.#model, cString(path));
    if (adapter === null) {
      this[Symbol.dispose]();
      throw new Error(`Cannot load ${path}: llama.cpp does not take it as an adapter of the model`);
    }
    // The model frees it.
    const adapters = BigUint64Array.of(Deno.UnsafePointer.value(adapter));
    this.#symbols.llama_set_adapters_lora(this.#context, adapters, 1n, Float32Array.of(1));
  }

  /** The chat template that the file holds. */
  get chatTemplate(): string | undefined {
    const text = this.#symbols.llama_model_chat_template(this.#model, null);
    return text === null ? undefined : Deno.UnsafePointerView.getCString(text);
  }

  /** Tokens of a text, in which special ones are written out; none is added, unless the file's are asked for. */
  encode(text: string, { addSpecial = false }: { readonly addSpecial?: boolean } = {}): Int32Array {
    const bytes = new TextEncoder().encode(text);
    const ids = new Int32Array(bytes.byteLength + 8);
    const count = this.#symbols.llama_tokenize(
      ...[this.#vocab, bytes, bytes.byteLength, ids, ids.length, addSpecial, true] as const,
    );
    if (count < 0) throw new Error(`Cannot encode ${bytes.byteLength} bytes: llama.cpp refuses`);
    return ids.subarray(0, count);
  }

  /** Whether a reply ends with this token. */
  endsReply(id: number): boolean {
    return this.#symbols.llama_vocab_is_eog(this.#vocab, id);
  }

  /** Logits after each token of a new sequence, [tokens, vocab], in memory that the next call may write to. */
  async logits(ids: Int32Array): Promise<Float32Array> {
    this.#forget();
    return await this.#decode(ids, ids.length);
  }

  /** The likeliest tokens after a prompt, so many. */
  async greedy(ids: Int32Array, count: number): Promise<readonly number[]> {
    this.#forget();
    const chosen: number[] = [];
    for (let next = ids; chosen.length < count; next = Int32Array.of(chosen.at(-1)!)) {
      const scores = await this.#decode(next, 1);
      chosen.push(likeliest(scores));
    }
    return chosen;
  }

  #forget(): void {
    this.#symbols.llama_memory_clear(this.#symbols.llama_get_memory(this.#context), true);
  }

  /** Logits after the last tokens, so many. */
  async #decode(ids: Int32Array, outputs: number): Promise<Float32Array> {
    const tokens = Int32Array.from(ids);
    const wanted = new Int8Array(ids.length).fill(1, ids.length - outputs);
    const batch = new Uint8Array(BATCH_BYTES);
    const view = new DataView(batch.buffer);
    view.setInt32(0, ids.length, true);
    view.setBigUint64(BATCH_TOKENS, Deno.UnsafePointer.value(Deno.UnsafePointer.of(tokens)), true);
    view.setBigUint64(BATCH_OUTPUTS, Deno.UnsafePointer.value(Deno.UnsafePointer.of(wanted)), true);
    const code = await this.#symbols.llama_decode(this.#context, batch);
    // Read until here, so kept until here.
    if (code !== 0 || tokens.length !== wanted.length) {
      throw new Error(`Cannot compute ${ids.length} tokens: llama.cpp answers ${code}`);
    }
    const logits = this.#symbols.llama_get_logits(this.#context)!;
    return new Float32Array(
      Deno.UnsafePointerView.getArrayBuffer(logits, 4 * outputs * this.vocabSize),
    );
  }

  /** Frees it. */
  [Symbol.dispose](): void {
    if (this.#context !== null) this.#symbols.llama_free(this.#context);
    this.#symbols.llama_model_free(this.#model);
  }
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
