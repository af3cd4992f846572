/**
 * What all trainers share: gradients of several batches, clipping, AdamW, optimizer state on disk.
 * In: the weights that are trained, and how they are saved and loaded. Out: a `Trainer`.
 */

import type { Batch } from "../../data/batches/collator.ts";
import { ParameterStore } from "../../model/engine/parameter_store.ts";
import { type TokenLosses, TrainingEngine } from "../../model/engine/training_engine.ts";
import type { EngineAdapter } from "../../model/engine/engine_context.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { type HostCopy, hostCopy } from "../../ort/tensor/host_copy.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { writeSafetensors, type WrittenFile } from "../../ort/tensor/safetensors_writer.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { AdamW } from "../optimizers/adamw.ts";
import type { AdamWOptions, OptimizerKind } from "../optimizers/adamw_graph.ts";
import { DeviceOptimizer, MOST_PENDING } from "../optimizers/device_optimizer.ts";
import type { TrainingKernels } from "./training_kernels.ts";
import type { TrainingPrecision } from "./training_precision.ts";
import type { DeferredSteps, Trainer, TrainStepOptions, TrainStepResult } from "../trainer.ts";

const OPTIMIZER_FILE = "optimizer.safetensors";

/** How any trainer works. */
export interface TrainerOptions {
  /** Where the graphs run. */
  readonly runtime: Runtime;
  /** AdamW's constants; @default betas 0.9 and 0.999, epsilon 1e-8, no weight decay */
  readonly optimizer?: AdamWOptions;
  /** Global L2 norm that gradients are clipped to; 0 clips nothing. @default 1 */
  readonly maxGradNorm?: number;
  /** Supervised tokens whose logits are held at once. @default as `headChunkOf` says */
  readonly headChunk?: number;
  /** Recomputes each block in backward: slower, with less memory. @default true */
  readonly gradientCheckpointing?: boolean;
  /** Leaves padding out of what is computed, as the engine does. @default true */
  readonly skipPadding?: boolean;
  /** What the model runs in and the optimizer keeps. @default bf16 on CUDA, fp32 on the CPU */
  readonly precision?: TrainingPrecision;
  /**
   * Keeps all weights and moments in bfloat16, rounded stochastically: 8 bytes a parameter, where bf16
   * takes 16. It has no effect on an adapter.
   * @default false
   */
  readonly stochasticRounding?: boolean;
  /**
   * The same with moments in 8 bits: 6 bytes a parameter. Needs a `gpu`; it has no effect on an adapter.
   * @default false
   */
  readonly eightBitMoments?: boolean;
  /**
   * The runtime's device, opened for ortune's own kernels, which then take the place of graphs in the
   * optimizer and the loss. It stays the caller's, who disposes of it after the trainer.
   * @default none: graphs of ONNX Runtime's operators alone
   */
  readonly gpu?: Gpu;
  /**
   * Ids that replies are taught to end with: among `eos_token_id` in the config.json that is saved.
   * @default none but those of the base model
   */
  readonly eosTokenIds?: readonly number[];
  /**
   * Leaves the trained weights unset, where a checkpoint's are loaded by `resume` anyway.
   * @default false
   */
  readonly deferLoad?: boolean;
  /**
   * Leaves everything to graphs and reads results when asked, as where tensors are out of the host's
   * reach.
   * @default on a device
   */
  readonly graphsOnly?: boolean;
  /** Stops the load between two chunks. */
  readonly signal?: AbortSignal;
}

/** What one kind of training is made of. */
export interface TrainerParts {
  /** The kind, for events and checkpoints. */
  readonly method: Trainer["method"];
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** The weights that the optimizer updates. */
  readonly trained: ParameterStore;
  /** How many of their numbers there are but for filling. @default all */
  readonly trainableParameters?: number;
  /** A rounded copy of them that the graphs run on. @default none: the graphs run on `trained` */
  readonly rounded?: ParameterStore;
  /** What the optimizer keeps of the trained weights. @default "float32" */
  readonly kind?: OptimizerKind;
  /** Own kernels of that kind, used where everything is left to the device. @default none */
  readonly kernels?: TrainingKernels;
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
  /** Writes config and the given weights, those of `rounded` or `trained`, into a folder. */
  readonly save: (directory: string, weights: TensorSource) => Promise<readonly WrittenFile[]>;
  /** Called when an update has changed the trained weights. @default does nothing */
  readonly updated?: () => Promise<void>;
  /** Takes the trained weights from a folder. */
  readonly load: (directory: string) => Promise<void>;
}

/** What a trainer writes into a checkpoint. */
interface Saved<Source extends TensorSource = TensorSource> {
  readonly weights: Source;
  readonly optimizer: Source;
}

/** A trainer of any kind. */
export class ModelTrainer implements Trainer {
  readonly method: Trainer["method"];
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  readonly weights: Trainer["weights"];
  readonly decodeGraph: Graph | undefined;
  readonly deferred: DeferredSteps | undefined;
  readonly #parts: TrainerParts;
  readonly #gradients: ParameterStore;
  readonly #optimizer: AdamW | DeviceOptimizer;
  readonly #engine: TrainingEngine;
  readonly #maxGradNorm: number;
  #step = 0;
  /** Kept from one snapshot to the next. */
  #copies: Saved<HostCopy> | undefined;

  /** Allocates gradients and optimizer state beside the given weights. */
  constructor(parts: TrainerParts, options: TrainerOptions) {
    const { runtime, maxGradNorm = 1, headChunk, gradientCheckpointing, optimizer } = options;
    const { graphsOnly = runtime.device.kind !== "cpu" } = options;
    const { cuda } = runtime;
    const { method, config, trained, rounded, weights, adapter, decodeGraph } = parts;
    this.method = method;
    this.config = config;
    this.weights = weights;
    this.decodeGraph = decodeGraph;
    this.#parts = parts;
    this.#gradients = new ParameterStore(runtime, trained.layout, {
      dtype: (rounded ?? trained).flat.dtype,
    });
    if (!graphsOnly) {
      this.#optimizer = new AdamW(runtime, trained, this.#gradients, optimizer);
    } else {
      const device = new DeviceOptimizer(runtime, {
        ...optimizer,
        parameters: trained,
        gradients: this.#gradients,
        copy: rounded,
        kind: parts.kind ?? "float32",
        maxGradNorm,
        kernels: parts.kernels?.optimizer,
      });
      this.#optimizer = device;
      this.deferred = {
        most: MOST_PENDING,
        launch: (batches, options) => this.#launch(device, batches, options),
        // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
        results: async () => this.#results(device),
        snapshot: () => this.#snapshot(),
        ...cuda ? { memoryBytes: () => cuda.memory().usedPeak } : {},
      };
    }
    this.#engine = new TrainingEngine(runtime, config, weights, this.#gradients, {
      headChunk,
      gradientCheckpointing,
      skipPadding: options.skipPadding,
      adapter,
      graphsOnly,
      kernels: graphsOnly ? parts.kernels?.engine : undefined,
    });
    this.#maxGradNorm = maxGradNorm;
  }

  get step(): number {
    return this.#step;
  }

  get trainableParameters(): number {
    const { trained: { layout: { specs } }, trainableParameters } = this.#parts;
    return trainableParameters ?? specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  }

  async trainStep(
    batches: readonly Batch[],
    options: TrainStepOptions,
  ): Promise<TrainStepResult> {
    const optimizer = this.#optimizer;
    if (optimizer instanceof AdamW) return await this.#stepOnHost(optimizer, batches, options);
    await this.#launch(optimizer, batches, options);
    return this.#results(optimizer).at(-1)!;
  }

  async #stepOnHost(
    optimizer: AdamW,
    batches: readonly Batch[],
    { learningRate, signal, onBatch }: TrainStepOptions,
  ): Promise<TrainStepResult> {
    const supervised = countSupervised(batches);
    // As a loss that is not finite: there is nothing to divide by.
    if (supervised === 0) return { loss: NaN, gradNorm: NaN, skipped: true };
    let total = 0;
    let first = true;
    for (const [i, batch] of batches.entries()) {
      // Of rows without an answer left: they add nothing to the update.
      if (batch.supervised === 0) continue;
      const { losses } = await this.#engine.forwardBackward(batch, {
        scale: 1 / supervised,
        first,
        dropoutSeed: this.#dropoutSeed(i),
        signal,
      });
      first = false;
      for (const loss of losses) total += loss;
      onBatch?.(i + 1);
    }
    const loss = total / supervised;
    const gradNorm = await optimizer.gradientNorm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      return { loss, gradNorm, skipped: true };
    }
    // torch.nn.utils.clip_grad_norm_: the 1e-6 is part of it.
    const clip = this.#maxGradNorm > 0 ? Math.min(1, this.#maxGradNorm / (gradNorm + 1e-6)) : 1;
    await optimizer.update({ learningRate, clip, step: this.#step + 1 });
    await this.#parts.updated?.();
    this.#step++;
    return { loss, gradNorm, skipped: false };
  }

  /** The same, queued on the device. */
  async #launch(
    optimizer: DeviceOptimizer,
    batches: readonly Batch[],
    { learningRate, signal, onBatch }: TrainStepOptions,
  ): Promise<void> {
    const supervised = countSupervised(batches);
    if (supervised === 0) {
      throw new RangeError(
        `Cannot make an update of ${batches.length} batches: no row in them has an answer left within ` +
          "the longest length; raise it, or drop such rows",
      );
    }
    const scale = 1 / supervised;
    optimizer.begin({ learningRate, scale, seed: this.#dropoutSeed(0) });
    let first = true;
    for (const [i, batch] of batches.entries()) {
      if (batch.supervised === 0) continue;
      const dropoutSeed = this.#dropoutSeed(i);
      const { losses } = await this.#engine.launch(batch, { scale, first, dropoutSeed, signal });
      optimizer.addLosses(losses, first);
      first = false;
      onBatch?.(i + 1);
    }
    await optimizer.update();
    await this.#parts.updated?.();
    this.#step++;
  }

  #results(optimizer: DeviceOptimizer): readonly TrainStepResult[] {
    const results = optimizer.results();
    this.#step -= results.filter(({ skipped }) => skipped).length;
    return results;
  }

  /** A seed of its own for every batch of the run, the same again when it is resumed. */
  #dropoutSeed(batch: number): string {
    return `${this.#parts.seed ?? 0}.${this.#step}.${batch}`;
  }

  evaluate(batch: Batch, signal?: AbortSignal): Promise<TokenLosses> {
    return this.#engine.evaluate(batch, signal);
  }

  get #saved(): Saved {
    const { rounded, trained } = this.#parts;
    return { weights: rounded ?? trained, optimizer: this.#optimizer.state() };
  }

  save(directory: string): Promise<readonly WrittenFile[]> {
    return this.#write(directory, this.#saved);
  }

  /** Reading makes the host wait for all that was launched, so both copies are of one update. */
  async #snapshot(): Promise<Pick<Trainer, "save">> {
    const { weights, optimizer } = this.#saved;
    const copies = this.#copies ??= {
      weights: hostCopy(weights),
      optimizer: hostCopy(optimizer),
    };
    await copies.weights.fill();
    await copies.optimizer.fill();
    return { save: (directory) => this.#write(directory, copies) };
  }

  async #write(
    directory: string,
    { weights, optimizer }: Saved,
  ): Promise<readonly WrittenFile[]> {
    const written = await this.#parts.save(directory, weights);
    const state = await writeSafetensors(`${directory}/${OPTIMIZER_FILE}`, optimizer);
    return [...written, { name: OPTIMIZER_FILE, ...state }];
  }

  async load(directory: string): Promise<void> {
    await this.#parts.load(directory);
    if (this.#optimizer instanceof DeviceOptimizer) this.#optimizer.refreshCopy();
  }

  async resume(directory: string, step: number): Promise<void> {
    await this.load(directory);
    await using state = await openSafetensors(`${directory}/${OPTIMIZER_FILE}`);
    await this.#optimizer.load(state);
    if (this.#optimizer instanceof DeviceOptimizer) this.#optimizer.resumeAt(step);
    this.#step = step;
  }

  /** Releases the engine, the optimizer, gradients and what the parts own. */
  // deno-lint-ignore require-await -- the interface leaves room for trainers that must wait
  async [Symbol.asyncDispose](): Promise<void> {
    this.#engine[Symbol.dispose]();
    this.#optimizer[Symbol.dispose]();
    this.#gradients[Symbol.dispose]();
    for (const resource of this.#parts.owned) resource[Symbol.dispose]();
  }
}

function countSupervised(batches: readonly Batch[]): number {
  return batches.reduce((sum, batch) => sum + batch.supervised, 0);
}
