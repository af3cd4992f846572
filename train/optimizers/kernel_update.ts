/**
 * AdamW on a device in ortune's own kernels: three launches an update, whatever the size.
 *
 * In: parameters, gradients and moments of one layout. Out: parameters and moments in place.
 */

import {
  ADAMW_CONTROL,
  ADAMW_CONTROL_BYTES,
  AdamWKernels,
  NORM_PARTIALS,
} from "../../ort/kernels/adamw_kernels.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { streamOf } from "../../ort/runtime/stream_of.ts";
import { ADAMW_STATE, adamWConstants, type AdamWOptions } from "./adamw_graph.ts";
import type { DeviceUpdate, DeviceUpdateOptions, UpdateNumbers } from "./device_update.ts";
import { STATE_TYPES, type StateFormat } from "./state_format.ts";

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

/** The launches of an update and what they need besides. */
export class KernelUpdate implements DeviceUpdate {
  readonly scale: Tensor;
  readonly #kernels: AdamWKernels;
  readonly #options: DeviceUpdateOptions;
  readonly #stream: bigint;
  readonly #words: Tensor;
  readonly #partials: Tensor;

  /** @param kernels for the very format and constants */
  constructor(kernels: AdamWKernels, options: DeviceUpdateOptions) {
    const { runtime } = options;
    this.#kernels = kernels;
    this.#options = options;
    this.#stream = streamOf(runtime);
    const words = CONTROL_WORD + ADAMW_CONTROL_BYTES / FLOAT_BYTES;
    this.#words = Tensor.allocate(runtime, "float32", [words]);
    this.#words.zero();
    this.scale = this.#words.view(SCALE_WORD * FLOAT_BYTES, []);
    this.#partials = Tensor.allocate(runtime, "float32", [NORM_PARTIALS]);
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

  // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
  async run(result: Tensor): Promise<void> {
    const { parameters, gradients, copy, state, loss } = this.#options;
    const { length: count, decaying } = parameters.layout;
    const { m, v } = ADAMW_STATE;
    const control = this.#words.address + BigInt(CONTROL_WORD * FLOAT_BYTES);
    const partials = this.#partials.address;
    const stream = this.#stream;
    const kernels = this.#kernels;
    kernels.sumOfSquares(stream, { gradients: gradients.flat.address, partials }, count);
    const told = { partials, control, loss: loss.address, result: result.address };
    kernels.decide(stream, told, NORM_PARTIALS);
    kernels.update(stream, {
      parameters: (copy ?? parameters).flat.address,
      ...copy ? { master: parameters.flat.address } : {},
      gradients: gradients.flat.address,
      m: state.store(m).flat.address,
      v: state.store(v).flat.address,
      mScales: state.scales(m)?.address,
      vScales: state.scales(v)?.address,
      control,
    }, { count, decaying });
  }

  resumeAt(step: number): void {
    const at = (CONTROL_WORD + ADAMW_CONTROL.step) * FLOAT_BYTES;
    this.#words.write(Uint32Array.of(step), at);
  }

  /** Releases the control buffer; the kernels stay their GPU's. */
  [Symbol.dispose](): void {
    for (const tensor of [this.scale, this.#words, this.#partials]) tensor[Symbol.dispose]();
  }
}
