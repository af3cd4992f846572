/**
 * AdamW on a device in ortune's own kernels: three launches an update, whatever the size.
 *
 * In: parameters, gradients and moments of one layout. Out: parameters and moments in place.
 */

import {
  ADAMW_CONTROL,
  ADAMW_CONTROL_BYTES,
  AdamWKernels,
  type AdamWPointers,
  NORM_ELEMENTS,
  NORM_PARTIALS,
} from "../../ort/kernels/adamw_kernels.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { streamOf } from "../../ort/runtime/stream_of.ts";
import { ADAMW_STATE, adamWConstants, type AdamWOptions } from "./adamw_graph.ts";
import type { DeviceUpdate, DeviceUpdateOptions, UpdateNumbers } from "./device_update.ts";
import { STATE_TYPES, type StateFormat } from "./state_format.ts";
import { elementsOf, updatedTensors, updateShares } from "./update_shares.ts";

const FLOAT_BYTES = 4;
// The losses' scale lies right in front of the control buffer, whose first four words the host sets: so
// one copy brings all five. The buffer itself stays aligned to 16 bytes.
const SCALE_WORD = 3;
const CONTROL_WORD = 4;

/** Compiles and loads what {@linkcode KernelUpdate} launches. */
export function loadAdamWKernels(
  gpu: Gpu,
  format: StateFormat,
  options?: AdamWOptions,
): Promise<AdamWKernels> {
  const { state: moments, ...types } = STATE_TYPES[format];
  return AdamWKernels.load(gpu, { ...types, moments }, adamWConstants(options));
}

/** The launches over consecutive elements. */
interface Launches {
  /** Writes this many sums of squares. */
  readonly sums: number;
  readonly partials: bigint;
  readonly pointers: Omit<AdamWPointers, "control">;
  readonly count: number;
  /** How many of them decay, from the first on. */
  readonly decaying: number;
  /** The first one's place among all. */
  readonly first: number;
  /** What is to follow. */
  readonly gather?: () => void;
}

/** The launches of an update and what they need besides. */
export class KernelUpdate implements DeviceUpdate {
  readonly scale: Tensor;
  readonly #kernels: AdamWKernels;
  readonly #options: DeviceUpdateOptions;
  readonly #stream: bigint;
  readonly #words: Tensor;
  /** Sums of squares, process after process. */
  readonly #partials: Tensor;
  /** How many of them are each process's. */
  readonly #sums: readonly number[];
  readonly #launches: readonly Launches[];
  readonly #owned = new DisposableStack();

  /** @param kernels for the very format and constants */
  constructor(kernels: AdamWKernels, options: DeviceUpdateOptions) {
    const { runtime, gradients, state, parameters: { layout }, collectives } = options;
    this.#kernels = kernels;
    this.#options = options;
    this.#stream = streamOf(runtime);
    const words = CONTROL_WORD + ADAMW_CONTROL_BYTES / FLOAT_BYTES;
    const own = <T extends Disposable>(resource: T): T => this.#owned.use(resource);
    this.#words = own(Tensor.allocate(runtime, "float32", [words]));
    this.#words.zero();
    this.scale = own(this.#words.view(SCALE_WORD * FLOAT_BYTES, []));
    this.#sums = collectives
      ? Array.from(
        { length: collectives.size },
        (_, rank) => state.buckets.reduce((sum, { counts }) => sum + sumsOf(counts[rank]), 0),
      )
      : [NORM_PARTIALS];
    const total = this.#sums.reduce((sum, each) => sum + each, 0);
    this.#partials = own(Tensor.allocate(runtime, "float32", [total]));
    const { m, v } = ADAMW_STATE;
    let before = this.#sums.slice(0, collectives?.rank ?? 0).reduce((sum, each) => sum + each, 0);
    this.#launches = updateShares(options, this.#owned).map(({ range, gather }) => {
      const { start, length: count } = range;
      const kept = (name: string) => own(state.view(name, start, count)).address;
      const scales = (name: string) => {
        const found = state.scales(name, start, count);
        return found && own(found).address;
      };
      const { p, weight } = updatedTensors(options, range);
      const sums = collectives ? sumsOf(count) : NORM_PARTIALS;
      const partials = this.#partials.address + BigInt(before * FLOAT_BYTES);
      before += sums;
      return {
        sums,
        partials,
        pointers: {
          parameters: own(weight ?? p).address,
          ...weight ? { master: own(p).address } : {},
          gradients: own(elementsOf(gradients, range)).address,
          ...{ m: kept(m), v: kept(v), mScales: scales(m), vScales: scales(v) },
        },
        count,
        decaying: Math.min(Math.max(0, layout.decaying - start), count),
        first: start,
        gather,
      };
    });
  }

  send({ learningRate, scale, seed }: UpdateNumbers): void {
    const words = new Float32Array(5);
    const at = (name: keyof typeof ADAMW_CONTROL): number =>
      CONTROL_WORD - SCALE_WORD + ADAMW_CONTROL[name];
    words[0] = scale;
    words[at("learningRate")] = learningRate;
    words[at("maxNorm")] = this.#options.maxGradNorm;
    // The losses' scale is in the gradients.
    words[at("gradientScale")] = 1;
    new Int32Array(words.buffer)[at("seed")] = seed;
    this.#words.write(words, SCALE_WORD * FLOAT_BYTES);
  }

  async run(result: Tensor): Promise<void> {
    const { loss, collectives } = this.#options;
    const control = this.#words.address + BigInt(CONTROL_WORD * FLOAT_BYTES);
    const stream = this.#stream;
    const kernels = this.#kernels;
    const own = this.#launches.filter(({ count }) => count > 0);
    for (const { pointers: { gradients }, partials, count, sums } of own) {
      kernels.sumOfSquares(stream, { gradients, partials }, count, sums);
    }
    collectives?.allGather(this.#partials, this.#sums);
    await collectives?.join();
    const partials = this.#partials.address;
    const told = { partials, control, loss: loss.address, result: result.address };
    kernels.decide(stream, told, this.#sums.reduce((sum, each) => sum + each, 0));
    for (const { pointers, count, decaying, first, gather } of this.#launches) {
      if (count > 0) kernels.update(stream, { ...pointers, control }, { count, decaying, first });
      // While a bucket's parameters go to the others, the next one's are updated.
      gather?.();
    }
  }

  resumeAt(step: number): void {
    const at = (CONTROL_WORD + ADAMW_CONTROL.step) * FLOAT_BYTES;
    this.#words.write(Uint32Array.of(step), at);
  }

  /** Releases the control buffer; the kernels stay their GPU's. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Sums of squares of a process's share of a bucket. */
function sumsOf(count: number): number {
  return Math.min(NORM_PARTIALS, Math.ceil(count / NORM_ELEMENTS));
}
