/**
 * Fills a parameter store from a tensor source.
 *
 * In: float32, bfloat16 or float16 tensors under their Hugging Face names. Out: the store's dtype in
 * place, converted by ONNX Runtime's Cast, chunk by chunk, so that nothing but the store is held. On a
 * device without views a chunk is a whole tensor; one without bfloat16 gets it converted on the host.
 * To float16 it is rounded to nearest, ties to even, and what would become infinite is refused.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import * as ops from "../../ort/graph/ops.ts";
import { compareWeights, misfitError } from "../weights/compare_weights.ts";
import { EMBEDDING, LM_HEAD } from "../parameters.ts";
import type { ParameterSpec } from "../parts/parameter_spec.ts";
import { assertTiedHead } from "../weights/tied_head.ts";
import { cpu, type Device, deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, type DType, elementCount } from "../../ort/tensor/dtype.ts";
import { findNonFinite } from "../../ort/tensor/find_nonfinite.ts";
import { quoteName } from "../../ort/tensor/tensor_errors.ts";
import { widenFloats } from "../../ort/tensor/widen_floats.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import type { ParameterStore } from "./parameter_store.ts";
import type { RoundingTally } from "./rounding_tally.ts";
import { Scratch } from "./scratch.ts";

// Elements converted at a time: half of this and all of this as float32 stay in a core's cache.
const CHUNK = 1 << 18;
// A device has its own memory to convert in, and would rather have large copies.
const DEVICE_CHUNK = 1 << 22;

/** Where a load is. */
export interface LoadOptions {
  /** What the weights come from, for errors; @default "the checkpoint" */
  readonly from?: string;
  /** What the model has besides, in another store: it must be in the source, and is not read. @default nothing */
  readonly elsewhere?: readonly ParameterSpec[];
  /** Called with the bytes of the store filled so far. */
  readonly onProgress?: (bytes: number) => void;
  /** Takes what was rounded. @default nobody counts it */
  readonly tally?: RoundingTally;
  /** Stops the load between two chunks; weights read so far stay. */
  readonly signal?: AbortSignal;
}

/**
 * Reads every parameter of the store.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { layoutParameters, ParameterStore } from "@ortune/ortune/model";
 * import { tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import { loadWeights } from "@ortune/ortune/unstable-engine";
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
 * @throws {RangeError} where a weight is NaN or infinite, or beyond what the store's type holds, or a
 *   tied model's file has another head
 */
export async function loadWeights(
  runtime: Runtime,
  store: ParameterStore,
  source: TensorSource,
  { from = "the checkpoint", elsewhere = [], onProgress, tally, signal }: LoadOptions = {},
): Promise<void> {
  await assertFits([...store.layout.specs, ...elsewhere], source, from);
  using conversion = new Conversion(runtime, store);
  const pieces = piecesOf(store, source);
  let filled = 0;
  // Each piece is read while the one before it is checked and converted.
  let reading: Promise<Staged> | undefined;
  try {
    for (const [i, piece] of pieces.entries()) {
      signal?.throwIfAborted();
      using staged = await (reading ?? conversion.read(piece, i));
      reading = i + 1 < pieces.length ? conversion.read(pieces[i + 1], i + 1) : undefined;
      // Its error is thrown where it is awaited.
      reading?.catch(() => {});
      // A turn for the source to send the read off.
      await undefined;
      assertFinite(staged.bytes, { ...piece, shape: piece.target.shape }, from);
      const stored = conversion.finish(staged, piece);
      if (stored && piece.target.dtype === "float16") {
        assertInRange(stored, staged, piece, from);
        tally?.add(piece.name, { bytes: staged.bytes, dtype: piece.dtype }, {
          bytes: stored,
          dtype: "float16",
        });
      }
      filled += piece.count * byteWidth(piece.target.dtype);
      onProgress?.(filled);
    }
  } finally {
    // Nothing may be freed that is still being read into.
    const unused = await reading?.catch(() => undefined);
    unused?.[Symbol.dispose]();
  }
}

/** A run of a tensor's elements. */
interface Piece {
  readonly name: string;
  readonly dtype: DType;
  readonly start: number;
  readonly count: number;
  /** The store's tensor. */
  readonly target: Tensor;
  readonly read: (into: Uint8Array, offset: number) => Promise<void>;
}

function piecesOf(store: ParameterStore, source: TensorSource): readonly Piece[] {
  const { hostMemory, viewsAtOffset } = deviceTraits(store.device);
  const chunk = hostMemory ? CHUNK : viewsAtOffset ? DEVICE_CHUNK : Infinity;
  const pieces: Piece[] = [];
  for (const { name, shape } of store.layout.specs) {
    const { dtype } = source.info(name);
    const elements = elementCount(shape);
    for (let start = 0; start < elements; start += chunk) {
      pieces.push({
        name,
        dtype,
        start,
        count: Math.min(chunk, elements - start),
        target: store.tensor(name),
        read: (into, offset) => source.read(name, into, offset),
      });
    }
  }
  return pieces;
}

/** NaN would spread to every logit, and training would blame its settings for it. */
export function assertFinite(
  bytes: Uint8Array<ArrayBuffer>,
  { name, dtype, start, shape }: {
    readonly name: string;
    readonly dtype: DType;
    /** The first element's index in the tensor. */
    readonly start: number;
    /** The whole tensor's. */
    readonly shape: readonly number[];
  },
  from: string,
): void {
  const found = findNonFinite(bytes, dtype);
  if (found < 0) return;
  const at = start + found;
  const row = shape.length > 1 ? `, in row ${Math.floor(at / shape[shape.length - 1])}` : "";
  throw new RangeError(
    `Cannot load weights from ${from}: ${quoteName(name)} holds NaN or infinity (element ${at}` +
      `${row}); the file is damaged, or was written by a run that diverged: download it again, or ` +
      "take an earlier checkpoint",
  );
}

/** The range of float16 ends at 65504; bfloat16 and float32 go on to 3e38. */
function assertInRange(
  stored: Uint8Array<ArrayBuffer>,
  { bytes }: Staged,
  { name, dtype, start }: Piece,
  from: string,
): void {
  const found = findNonFinite(stored, "float16");
  if (found < 0) return;
  const value = new Float32Array(1);
  widenFloats(bytes.subarray(found * byteWidth(dtype)), dtype, value);
  throw new RangeError(
    `Cannot load weights from ${from} as float16: element ${start + found} of ${
      quoteName(name)
    } is ` +
      `${value[0]}, and float16 ends at 65504; keep the base in float32 with --base-dtype fp32`,
  );
}

/**
 * That a source holds the parameters and nothing else; a tied model's file may carry its lm_head, if it is
 * the embedding.
 */
export async function assertFits(
  specs: readonly ParameterSpec[],
  source: TensorSource,
  from: string,
): Promise<void> {
  const { problems, hint } = compareWeights(specs, source);
  if (problems.length > 0) throw misfitError(from, { problems, hint });
  const known = new Set(specs.map(({ name }) => name));
  if (!known.has(EMBEDDING) || known.has(LM_HEAD) || !source.names().includes(LM_HEAD)) return;
  await assertTiedHead(source, { embedding: EMBEDDING, head: LM_HEAD, from });
}

/** A piece's bytes, and what must be released with them. */
interface Staged extends Disposable {
  /** The bytes on the host, in the file's dtype. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The memory that is converted, or is the target itself. */
  readonly x: Tensor;
  /** The piece of the store. */
  readonly into: Tensor;
}

/** A Cast graph a dtype, with staging buffers that file bytes are read into. */
class Conversion implements Disposable {
  readonly #runtime: Runtime;
  /** Where bytes are converted. */
  readonly #place: Device;
  /** Whether pieces are converted elsewhere than in the store's own memory, and then copied there. */
  readonly #elsewhere: boolean;
  readonly #staging: Scratch;
  /** By what they convert from and to. */
  readonly #casts = new Map<string, CompiledGraph>();
  readonly #host = [new Uint8Array(0), new Uint8Array(0)];

  constructor(runtime: Runtime, { device }: ParameterStore) {
    this.#runtime = runtime;
    const { hostMemory, bfloat16 } = deviceTraits(device);
    this.#elsewhere = !hostMemory && !bfloat16;
    this.#place = this.#elsewhere ? cpu : device;
    this.#staging = new Scratch(runtime, this.#place);
  }

  /** Reads a piece; two that follow each other have memory of their own. */
  async read({ dtype, start, count, target, read }: Piece, index: number): Promise<Staged> {
    const into = target.view(start * byteWidth(target.dtype), [count]);
    const slot = index % 2;
    const x = dtype === target.dtype && !this.#elsewhere
      ? into
      : this.#staging.tensor(`${dtype}.${slot}`, dtype, into.shape);
    const onHost = deviceTraits(this.#place).hostMemory;
    const bytes = onHost ? x.bytes() : this.#hostBytes(slot, x.byteLength);
    try {
      await read(bytes, start * byteWidth(dtype));
    } catch (cause) {
      into[Symbol.dispose]();
      throw cause;
    }
    return { bytes, x, into, [Symbol.dispose]: () => into[Symbol.dispose]() };
  }

  /** Brings a piece that was read to its place in the store; answers its bytes there, if the host has them. */
  finish(
    { bytes, x, into }: Staged,
    { dtype, count }: Piece,
  ): Uint8Array<ArrayBuffer> | undefined {
    const to = into.dtype;
    if (this.#elsewhere) {
      const y = dtype === to ? x : this.#staging.tensor(`converted.${to}`, to, into.shape);
      if (y !== x) this.#cast(dtype, to).run({ x, y }, { n: count });
      const converted = y === x ? bytes : y.bytes();
      into.write(converted);
      return converted;
    }
    const { hostMemory } = deviceTraits(this.#place);
    if (!hostMemory) x.write(bytes);
    if (x !== into) this.#cast(dtype, to).run({ x, y: into }, { n: count });
    return hostMemory ? into.bytes() : undefined;
  }

  #hostBytes(slot: number, length: number): Uint8Array<ArrayBuffer> {
    if (this.#host[slot].byteLength < length) this.#host[slot] = new Uint8Array(length);
    return this.#host[slot].subarray(0, length);
  }

  #cast(from: DType, to: DType): CompiledGraph {
    const name = `convert_${from}_${to}`;
    let cast = this.#casts.get(name);
    if (!cast) {
      const b = new GraphBuilder(name);
      b.output("y", ops.cast(b, b.input("x", from, ["n"]), to));
      this.#casts.set(name, cast = new CompiledGraph(this.#runtime, b.build(), this.#place));
    }
    return cast;
  }

  [Symbol.dispose](): void {
    for (const cast of this.#casts.values()) cast[Symbol.dispose]();
    this.#staging[Symbol.dispose]();
  }
}
