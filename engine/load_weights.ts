/**
 * Fills a parameter store from a tensor source.
 *
 * In: float32, bfloat16 or float16 tensors under their Hugging Face names. Out: float32 in place,
 * widened by ONNX Runtime's Cast, chunk by chunk, so that nothing but the float32 weights is held.
 *
 * @module
 */

import { GraphBuilder } from "../graph/builder.ts";
import * as ops from "../graph/ops.ts";
import { LM_HEAD } from "../model/parameters.ts";
import type { Runtime } from "../ort/runtime.ts";
import { Tensor } from "../ort/tensor.ts";
import { byteWidth, type DType, elementCount } from "../tensor/dtype.ts";
import { quoteNames } from "../tensor/tensor_errors.ts";
import type { TensorSource } from "../tensor/tensor_source.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import type { ParameterStore } from "./parameter_store.ts";

// Elements widened at a time: half of this and all of this as float32 stay in a core's cache.
const CHUNK = 1 << 18;
const FLOAT_BYTES = 4;

/** Where a load is. */
export interface LoadOptions {
  /** What the weights come from, for errors; @default "the checkpoint" */
  readonly from?: string;
  /** Called with the bytes of float32 weights filled so far. */
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
  using widen = new Widening(runtime);
  let filled = 0;
  for (const { name } of store.layout.specs) {
    const target = store.tensor(name);
    const { dtype } = source.info(name);
    const elements = elementCount(target.shape);
    for (let start = 0; start < elements; start += CHUNK) {
      signal?.throwIfAborted();
      const count = Math.min(CHUNK, elements - start);
      if (dtype === "float32") {
        const bytes = target.bytes().subarray(start * FLOAT_BYTES, (start + count) * FLOAT_BYTES);
        await source.read(name, bytes, start * FLOAT_BYTES);
      } else {
        using into = target.view(start * FLOAT_BYTES, [count]);
        const bytes = widen.input(dtype, count);
        await source.read(name, bytes, start * byteWidth(dtype));
        widen.run(dtype, count, into);
      }
      filled += count * FLOAT_BYTES;
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

/** A Cast graph a dtype, with a staging buffer that file bytes are read into. */
class Widening implements Disposable {
  readonly #runtime: Runtime;
  readonly #casts = new Map<DType, { graph: CompiledGraph; staging: Tensor }>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  #cast(dtype: DType): { graph: CompiledGraph; staging: Tensor } {
    let cast = this.#casts.get(dtype);
    if (!cast) {
      const b = new GraphBuilder(`widen_${dtype}`);
      b.output("y", ops.cast(b, b.input("x", dtype, ["n"]), "float32"));
      cast = {
        graph: new CompiledGraph(this.#runtime, b.build()),
        staging: Tensor.allocate(this.#runtime, dtype, [CHUNK]),
      };
      this.#casts.set(dtype, cast);
    }
    return cast;
  }

  input(dtype: DType, count: number): Uint8Array {
    return this.#cast(dtype).staging.bytes().subarray(0, count * byteWidth(dtype));
  }

  run(dtype: DType, count: number, y: Tensor): void {
    const { graph, staging } = this.#cast(dtype);
    using x = staging.view(0, [count]);
    graph.run({ x, y });
  }

  [Symbol.dispose](): void {
    for (const { graph, staging } of this.#casts.values()) {
      graph[Symbol.dispose]();
      staging[Symbol.dispose]();
    }
  }
}
