/**
 * Fills a parameter store from a tensor source.
 *
 * In: float32, bfloat16 or float16 tensors under their Hugging Face names. Out: the store's dtype in
 * place, converted by ONNX Runtime's Cast where it runs, chunk by chunk, so that nothing but the
 * store is held.
 *
 * @module
 */

import { GraphBuilder } from "../graph/builder.ts";
import * as ops from "../graph/ops.ts";
import { LM_HEAD } from "../model/parameters.ts";
import type { Runtime } from "../ort/runtime.ts";
import type { Tensor } from "../ort/tensor.ts";
import { byteWidth, type DType, elementCount } from "../tensor/dtype.ts";
import { quoteNames } from "../tensor/tensor_errors.ts";
import type { TensorSource } from "../tensor/tensor_source.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import type { ParameterStore } from "./parameter_store.ts";
import { Scratch } from "./scratch.ts";

// Elements converted at a time: half of this and all of this as float32 stay in a core's cache.
const CHUNK = 1 << 18;
// A device has its own memory to convert in, and would rather have large copies.
const DEVICE_CHUNK = 1 << 22;

/** Where a load is. */
export interface LoadOptions {
  /** What the weights come from, for errors; @default "the checkpoint" */
  readonly from?: string;
  /** Called with the bytes of the store filled so far. */
  readonly onProgress?: (bytes: number) => void;
  /** Stops the load between two chunks; weights read so far stay. */
  readonly signal?: AbortSignal;
}

/**
 * Reads every parameter of the store.
 *
 * @example
 * ```ts
 * import {
 *   layoutParameters, loadWeights, ParameterStore, Runtime, tensorSourceFromMap,
 * } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * const layout = layoutParameters([{ name: "model.norm.weight", shape: [2], decays: false }]);
 * using store = new ParameterStore(runtime, layout);
 * const bfloat16 = new Uint8Array(Uint16Array.of(0x3f80, 0xc000).buffer);
 * const source = tensorSourceFromMap(
 *   new Map([["model.norm.weight", { dtype: "bfloat16", shape: [2], data: bfloat16 }]]),
 * );
 * await loadWeights(runtime, store, source);
 * assert.deepEqual([...store.tensor("model.norm.weight").float32()], [1, -2]);
 * ```
 *
 * @throws {Error} listing together all tensors that are missing, unknown, or of another shape
 */
export async function loadWeights(
  runtime: Runtime,
  store: ParameterStore,
  source: TensorSource,
  { from = "the checkpoint", onProgress, signal }: LoadOptions = {},
): Promise<void> {
  assertFits(store, source, from);
  using conversion = new Conversion(runtime, store.flat);
  const chunk = store.flat.device.kind === "cpu" ? CHUNK : DEVICE_CHUNK;
  const width = byteWidth(store.flat.dtype);
  let filled = 0;
  for (const { name } of store.layout.specs) {
    const target = store.tensor(name);
    const { dtype } = source.info(name);
    const elements = elementCount(target.shape);
    for (let start = 0; start < elements; start += chunk) {
      signal?.throwIfAborted();
      const count = Math.min(chunk, elements - start);
      using into = target.view(start * width, [count]);
      await conversion.run(
        dtype,
        into,
        (bytes) => source.read(name, bytes, start * byteWidth(dtype)),
      );
      filled += count * width;
      onProgress?.(filled);
    }
  }
}

function assertFits(store: ParameterStore, source: TensorSource, from: string): void {
  const problems: string[] = [];
  const available = new Set(source.names());
  const missing = store.names().filter((name) => !available.has(name));
  if (missing.length > 0) problems.push(`missing: ${quoteNames(missing)}`);
  const known = new Set(store.names());
  // A tied model's file may carry its lm_head, and old Llama files their rotary tables.
  const unknown = source.names().filter((name) =>
    !known.has(name) && name !== LM_HEAD && !name.endsWith(".rotary_emb.inv_freq")
  );
  if (unknown.length > 0) problems.push(`not part of the model: ${quoteNames(unknown)}`);
  for (const { name, shape } of store.layout.specs) {
    if (!available.has(name)) continue;
    const info = source.info(name);
    if (info.shape.join() !== shape.join()) {
      problems.push(`${name} has shape [${info.shape}], config.json says [${shape}]`);
    } else if (!["float32", "bfloat16", "float16"].includes(info.dtype)) {
      problems.push(`${name} is ${info.dtype}: expected float32, bfloat16 or float16`);
    }
  }
  if (problems.length === 0) return;
  throw new Error(
    `Cannot load weights from ${from}: they do not fit its config.json\n  ` +
      problems.join("\n  ") +
      "\nTake both from the same model",
  );
}

/** A Cast graph a dtype, with staging buffers that file bytes are read into. */
class Conversion implements Disposable {
  readonly #runtime: Runtime;
  readonly #dtype: DType;
  readonly #onHost: boolean;
  readonly #staging: Scratch;
  readonly #casts = new Map<DType, CompiledGraph>();
  #host = new Uint8Array(0);

  constructor(runtime: Runtime, { dtype, device }: Tensor) {
    this.#runtime = runtime;
    this.#dtype = dtype;
    this.#onHost = device.kind === "cpu";
    this.#staging = new Scratch(runtime, device);
  }

  /** Fills `into` with elements of a dtype that `read` gives. */
  async run(
    dtype: DType,
    into: Tensor,
    read: (bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const same = dtype === this.#dtype;
    const x = same ? into : this.#staging.tensor(dtype, dtype, into.shape);
    if (this.#onHost) await read(x.bytes());
    else {
      if (this.#host.byteLength < x.byteLength) this.#host = new Uint8Array(x.byteLength);
      const bytes = this.#host.subarray(0, x.byteLength);
      await read(bytes);
      x.write(bytes);
    }
    if (!same) this.#cast(dtype).run({ x, y: into }, { n: into.shape[0] });
  }

  #cast(dtype: DType): CompiledGraph {
    let cast = this.#casts.get(dtype);
    if (!cast) {
      const b = new GraphBuilder(`convert_${dtype}`);
      b.output("y", ops.cast(b, b.input("x", dtype, ["n"]), this.#dtype));
      this.#casts.set(dtype, cast = new CompiledGraph(this.#runtime, b.build()));
    }
    return cast;
  }

  [Symbol.dispose](): void {
    for (const cast of this.#casts.values()) cast[Symbol.dispose]();
    this.#staging[Symbol.dispose]();
  }
}
