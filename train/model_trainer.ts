/**
 * What all trainers share: gradients of several batches, clipping, AdamW, optimizer state on disk.
 * In: the weights that are trained, and how they are saved and loaded. Out: a `Trainer`.
 */

import type { Batch } from "../data/collator.ts";
import { ParameterStore } from "../engine/parameter_store.ts";
import { type EngineAdapter, type TokenLosses, TrainingEngine } from "../engine/training_engine.ts";
import type { Graph } from "../graph/ir.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Runtime } from "../ort/runtime.ts";
import { elementCount } from "../tensor/dtype.ts";
import { openSafetensors } from "../tensor/safetensors_file.ts";
import { writeSafetensors, type WrittenFile } from "../tensor/safetensors_writer.ts";
import { AdamW } from "./adamw.ts";
import type { AdamWOptions } from "./adamw_graph.ts";
import type { Trainer, TrainStepOptions, TrainStepResult } from "./trainer.ts";

const OPTIMIZER_FILE = "optimizer.safetensors";

/** How any trainer works. */
export interface TrainerOptions {
  /** Where the graphs run. */
  readonly runtime: Runtime;
  /** AdamW's constants; @default betas 0.9 and 0.999, epsilon 1e-8, no weight decay */
  readonly optimizer?: AdamWOptions;
  /** Global L2 norm that gradients are clipped to; 0 clips nothing. @default 1 */
  readonly maxGradNorm?: number;
  /** Supervised tokens whose logits are held at once. @default 256 */
  readonly headChunk?: number;
  /** Recomputes each block in backward: slower, with less memory. @default true */
  readonly gradientCheckpointing?: boolean;
  /**
   * Leaves the trained weights unset, where a checkpoint's are loaded by `resume` anyway.
   * @default false
   */
  readonly deferLoad?: boolean;
  /** Stops the load between two chunks. */
  readonly signal?: AbortSignal;
}

/** What one kind of training is made of. */
export interface TrainerParts {
  /** The kind, for events and checkpoints. */
  readonly method: Trainer["method"];
  readonly config: ModelConfig;
  /** The weights that change. */
  readonly trained: ParameterStore;
  /** The weights that generation and gradients run on. */
  readonly weights: Trainer["weights"];
  /** The adapter that is trained, where the model's own weights are frozen. */
  readonly adapter?: EngineAdapter;
  /** The graph that generation runs, where it is not the plain one. */
  readonly decodeGraph?: Graph;
  /** Seed of dropout. @default 0 */
  readonly seed?: number;
  /** Released with the trainer. */
  readonly owned: readonly Disposable[];
  /** Writes config and trained weights into a folder. */
  readonly save: (directory: string) => Promise<readonly WrittenFile[]>;
  /** Called when an update has changed the trained weights. @default does nothing */
  readonly updated?: () => Promise<void>;
  /** Takes the trained weights from a folder. */
  readonly load: (directory: string) => Promise<void>;
}

/** A trainer of any kind. */
export class ModelTrainer implements Trainer {
  readonly method: Trainer["method"];
  readonly config: ModelConfig;
  readonly weights: Trainer["weights"];
  readonly decodeGraph: Graph | undefined;
  readonly #parts: TrainerParts;
  readonly #gradients: ParameterStore;
  readonly #optimizer: AdamW;
  readonly #engine: TrainingEngine;
  readonly #maxGradNorm: number;
  #step = 0;

  /** Allocates gradients and optimizer state beside the given weights. */
  constructor(parts: TrainerParts, options: TrainerOptions) {
    const { runtime, maxGradNorm = 1, headChunk, gradientCheckpointing, optimizer } = options;
    const { method, config, trained, weights, adapter, decodeGraph } = parts;
    this.method = method;
    this.config = config;
    this.weights = weights;
    this.decodeGraph = decodeGraph;
    this.#parts = parts;
    this.#gradients = new ParameterStore(runtime, trained.layout);
    this.#optimizer = new AdamW(runtime, trained, this.#gradients, optimizer);
    this.#engine = new TrainingEngine(runtime, config, weights, this.#gradients, {
      headChunk,
      gradientCheckpointing,
      adapter,
    });
    this.#maxGradNorm = maxGradNorm;
  }

  get step(): number {
    return this.#step;
  }

  get trainableParameters(): number {
    const { specs } = this.#parts.trained.layout;
    return specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  }

  async trainStep(
    batches: readonly Batch[],
    { learningRate, signal, onBatch }: TrainStepOptions,
  ): Promise<TrainStepResult> {
    const supervised = batches.reduce((sum, batch) => sum + batch.supervised, 0);
    let total = 0;
    for (const [i, batch] of batches.entries()) {
      const { losses } = await this.#engine.forwardBackward(batch, {
        scale: 1 / supervised,
        first: i === 0,
        dropoutSeed: this.#dropoutSeed(i),
        signal,
      });
      for (const loss of losses) total += loss;
      onBatch?.(i + 1);
    }
    const loss = total / supervised;
    const gradNorm = await this.#optimizer.gradientNorm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      return { loss, gradNorm, skipped: true };
    }
    // torch.nn.utils.clip_grad_norm_: the 1e-6 is part of it.
    const clip = this.#maxGradNorm > 0 ? Math.min(1, this.#maxGradNorm / (gradNorm + 1e-6)) : 1;
    await this.#optimizer.update({ learningRate, clip, step: this.#step + 1 });
    await this.#parts.updated?.();
    this.#step++;
    return { loss, gradNorm, skipped: false };
  }

  /** A seed of its own for every batch of the run, the same again when it is resumed. */
  #dropoutSeed(batch: number): string {
    return `${this.#parts.seed ?? 0}.${this.#step}.${batch}`;
  }

  evaluate(batch: Batch, signal?: AbortSignal): Promise<TokenLosses> {
    return this.#engine.evaluate(batch, signal);
  }

  async save(directory: string): Promise<readonly WrittenFile[]> {
    const written = await this.#parts.save(directory);
    const state = await writeSafetensors(`${directory}/${OPTIMIZER_FILE}`, this.#optimizer.state());
    return [...written, { name: OPTIMIZER_FILE, ...state }];
  }

  load(directory: string): Promise<void> {
    return this.#parts.load(directory);
  }

  async resume(directory: string, step: number): Promise<void> {
    await this.load(directory);
    await using state = await openSafetensors(`${directory}/${OPTIMIZER_FILE}`);
    await this.#optimizer.load(state);
    this.#step = step;
  }

  // deno-lint-ignore require-await -- the interface leaves room for trainers that must wait
  async [Symbol.asyncDispose](): Promise<void> {
    this.#engine[Symbol.dispose]();
    this.#optimizer[Symbol.dispose]();
    this.#gradients[Symbol.dispose]();
    for (const resource of this.#parts.owned) resource[Symbol.dispose]();
  }
}
