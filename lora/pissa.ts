/**
 * PiSSA: an adapter starts from the largest singular values of its layers' weights, in place of zeros. Meng et
 * al. 2024, https://arxiv.org/abs/2404.02948; PEFT's init_lora_weights "pissa".
 *
 * With W = U·S·Vᵀ and scale s, `A₀ = √(S/s)·Vᵀ` and `B₀ = U·√(S/s)` of the first r; what is trained are A and B
 * of `W − s·B₀·A₀ + s·B·A`. Here that is an adapter of twice the rank and the same scale on W itself, as PEFT
 * converts one: `[A; A₀]` and `[B, −B₀]`, whose second halves are frozen. So what a checkpoint holds is an
 * adapter as any other, and the base stays as it is.
 *
 * In: settings, and an adapter on a loaded model. Out: its weights, and what keeps their second halves.
 */

import { layerName } from "../model/parameters.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import type { Runtime } from "../ort/runtime/runtime.ts";
import { loraA, loraB } from "./block_adapter.ts";
import { largestSingularVectors } from "./largest_singular_vectors.ts";
import type { AdaptedModel } from "./load_adapter.ts";
import type { LoraOptions } from "./lora_options.ts";
import { loraTargets } from "./lora_targets.ts";

/**
 * The settings of the adapter that is saved: twice the rank, of the same scale.
 *
 * @throws {RangeError} where the two are not the same model
 */
export function pissaSettings(lora: LoraOptions): LoraOptions {
  const { rank, alpha, dropout, rslora, dora, rankPattern, alphaPattern } = lora;
  if (dropout > 0) {
    throw new RangeError(
      `Cannot start from PiSSA with dropout ${dropout}: it would zero inputs of the weights themselves; pass ` +
        "--lora-dropout 0",
    );
  }
  if (dora || rslora) {
    throw new RangeError(
      `Cannot start ${dora ? "DoRA" : "rsLoRA"} from PiSSA: leave out ${
        dora ? "--use-dora" : "--use-rslora"
      }, or --init-lora-weights`,
    );
  }
  const twice = (pattern: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(pattern).map(([name, value]) => [name, 2 * value]));
  return {
    ...lora,
    rank: 2 * rank,
    alpha: 2 * alpha,
    ...rankPattern ? { rankPattern: twice(rankPattern) } : {},
    ...alphaPattern ? { alphaPattern: twice(alphaPattern) } : {},
  };
}

/** A layer's matrices in memory, of twice the rank r and more where another block's layer has more. */
interface Halves {
  readonly layer: string;
  readonly rank: number;
  readonly scale: number;
}

/** How far the singular values are: they take seconds for each of some hundred matrices. */
export interface PissaProgress {
  /** Matrices that are done. */
  readonly done: number;
  /** Matrices of the adapter. */
  readonly total: number;
}

/** The second halves of an adapter's matrices, which do not change. In the host's memory. */
export class PissaHalves {
  readonly #adapted: AdaptedModel;
  readonly #halves: readonly Halves[];
  readonly #kept = new Map<string, Float32Array>();

  /** @param config of the base model */
  constructor(config: ModelConfig, adapted: AdaptedModel) {
    this.#adapted = adapted;
    this.#halves = loraTargets(config, adapted.lora).map(({ layer, name, rank, scale }) => ({
      layer: layerName(layer, name),
      rank: rank / 2,
      scale,
    }));
  }

  /** Numbers of each matrix that are trained, by name. */
  get sizes(): ReadonlyMap<string, number> {
    return new Map(this.#halves.flatMap(({ layer, rank }) => {
      const [a, b] = [loraA(layer), loraB(layer)].map((name) => this.#adapted.trained.tensor(name));
      return [[loraA(layer), rank * a.shape[1]], [loraB(layer), rank * b.shape[0]]];
    }));
  }

  /** Fills the adapter from the weights of the base. */
  async initialize(
    runtime: Runtime,
    base: ParameterStore,
    { onProgress, signal }: {
      /** Told before each matrix and after the last one how many are done. @default nobody is */
      readonly onProgress?: (progress: PissaProgress) => void;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<void> {
    for (const [done, { layer, rank, scale }] of this.#halves.entries()) {
      onProgress?.({ done, total: this.#halves.length });
      const { trained } = this.#adapted;
      const [a, b] = [trained.tensor(loraA(layer)), trained.tensor(loraB(layer))];
      const [width, inputs] = a.shape;
      const [outputs] = b.shape;
      const weight = base.tensor(`${layer}.weight`);
      const found = await largestSingularVectors(runtime, weight, rank, signal);
      const [ofA, ofB] = [a.float32().fill(0), b.float32().fill(0)];
      for (const [i, { value, left, right }] of found.entries()) {
        const root = Math.sqrt(value / scale);
        for (let column = 0; column < inputs; column++) {
          ofA[i * inputs + column] = ofA[(rank + i) * inputs + column] = root * right[column];
        }
        for (let row = 0; row < outputs; row++) {
          ofB[row * width + i] = root * left[row];
          ofB[row * width + rank + i] = -ofB[row * width + i];
        }
      }
    }
    onProgress?.({ done: this.#halves.length, total: this.#halves.length });
    this.keep();
  }

  /** Takes the halves that the adapter has now for those that stay. */
  keep(): void {
    for (const each of this.#each(this.#adapted.trained)) this.#kept.set(each.name, each.part());
  }

  /** Puts them back, after an update. */
  restore(): void {
    for (const { name, fill } of this.#each(this.#adapted.trained)) fill(this.#kept.get(name)!);
  }

  /** Leaves no gradient of them. */
  clear(gradients: ParameterStore): void {
    for (const { fill } of this.#each(gradients)) fill(undefined);
  }

  /** The frozen part of each matrix of a store: rows of A, and columns of B. */
  *#each(store: ParameterStore): Generator<{
    readonly name: string;
    readonly part: () => Float32Array;
    readonly fill: (values: Float32Array | undefined) => void;
  }> {
    for (const { layer, rank } of this.#halves) {
      for (const name of [loraA(layer), loraB(layer)]) {
        const { shape: [rows, columns] } = store.tensor(name);
        const values = store.tensor(name).float32();
        const ofA = name === loraA(layer);
        const [run, step, count] = ofA ? [rank * columns, 0, 1] : [rank, columns, rows];
        const start = ofA ? rank * columns : rank;
        yield {
          name,
          part() {
            const kept = new Float32Array(run * count);
            for (let i = 0; i < count; i++) {
              const from = start + i * step;
              kept.set(values.subarray(from, from + run), i * run);
            }
            return kept;
          },
          fill(from) {
            for (let i = 0; i < count; i++) {
              const place = values.subarray(start + i * step, start + i * step + run);
              if (from) place.set(from.subarray(i * run, (i + 1) * run));
              else place.fill(0);
            }
          },
        };
      }
    }
  }
}
