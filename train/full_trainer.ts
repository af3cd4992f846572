/**
 * Full fine-tuning: every parameter is trained, in float32, with AdamW.
 *
 * In: a model folder. Out: a `Trainer`.
 *
 * @module
 */

import type { Batch } from "../data/collator.ts";
import { loadWeights } from "../engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../engine/parameter_store.ts";
import { type TokenLosses, TrainingEngine } from "../engine/training_engine.ts";
import type { ModelConfig } from "../model/config.ts";
import { openModel, readConfig } from "../model/open_model.ts";
import { modelParameters } from "../model/parameters.ts";
import type { Runtime } from "../ort/runtime.ts";
import { elementCount } from "../tensor/dtype.ts";
import { openSafetensors } from "../tensor/safetensors_file.ts";
import {
  writeSafetensors,
  writeSafetensorsSharded,
  type WrittenFile,
} from "../tensor/safetensors_writer.ts";
import { AdamW } from "./adamw.ts";
import type { AdamWOptions } from "./adamw_graph.ts";
import { savedConfig } from "./saved_config.ts";
import type { Trainer, TrainStepOptions, TrainStepResult } from "./trainer.ts";

const OPTIMIZER_FILE = "optimizer.safetensors";

/** How a full trainer works. */
export interface FullTrainerOptions {
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
  /** Called with the bytes of weights loaded so far, and of all. */
  readonly onLoad?: (bytes: number, total: number) => void;
  /** Stops the load between two chunks. */
  readonly signal?: AbortSignal;
}

/**
 * Loads a model folder and makes it trainable.
 *
 * @example
 * ```ts
 * import {
 *   collate, createFullTrainer, joinExample, layoutParameters, modelParameters,
 *   ParameterStore, parseConfig, Runtime, TorchGenerator, writeSafetensors,
 * } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const json = { model_type: "qwen3", hidden_size: 16, intermediate_size: 32, vocab_size: 261,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, eos_token_id: 258 };
 * using runtime = new Runtime({ threads: 1 });
 * using random = new ParameterStore(runtime, layoutParameters(modelParameters(parseConfig(json))));
 * new TorchGenerator(42).normal(random.flat.float32(), 0, 0.1);
 * await writeFile(`${folder}/config.json`, JSON.stringify(json));
 * await writeSafetensors(`${folder}/model.safetensors`, random);
 *
 * await using trainer = await createFullTrainer(folder, { runtime });
 * const [prompt, reply] = [Int32Array.of(257, 72, 258), Int32Array.of(79, 75, 258)];
 * const example = joinExample(prompt, reply, { maxLength: 8, terminated: true });
 * const batch = collate([example], { padId: 256 });
 * const before = await trainer.trainStep([batch], { learningRate: 0.01 });
 * const after = await trainer.trainStep([batch], { learningRate: 0.01 });
 * assert.ok(after.loss < before.loss);
 * await rm(folder, { recursive: true });
 * ```
 */
export async function createFullTrainer(
  directory: string,
  options: FullTrainerOptions,
): Promise<Trainer> {
  const trainer = new FullTrainer(await readConfig(directory), options);
  try {
    await trainer.load(directory);
    return trainer;
  } catch (cause) {
    await trainer[Symbol.asyncDispose]();
    throw cause;
  }
}

class FullTrainer implements Trainer {
  readonly method = "full";
  readonly config: ModelConfig;
  readonly weights: ParameterStore;
  readonly #gradients: ParameterStore;
  readonly #optimizer: AdamW;
  readonly #engine: TrainingEngine;
  readonly #options: FullTrainerOptions;
  readonly #maxGradNorm: number;
  #step = 0;

  constructor(config: ModelConfig, options: FullTrainerOptions) {
    const { runtime, maxGradNorm = 1, headChunk, gradientCheckpointing, optimizer } = options;
    const layout = layoutParameters(modelParameters(config));
    this.config = config;
    this.weights = new ParameterStore(runtime, layout);
    this.#gradients = new ParameterStore(runtime, layout);
    this.#optimizer = new AdamW(runtime, this.weights, this.#gradients, optimizer);
    this.#engine = new TrainingEngine(runtime, config, this.weights, this.#gradients, {
      headChunk,
      gradientCheckpointing,
    });
    this.#maxGradNorm = maxGradNorm;
    this.#options = options;
  }

  get step(): number {
    return this.#step;
  }

  get trainableParameters(): number {
    return this.weights.layout.specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  }

  /** Takes the weights of a model folder. */
  async load(directory: string): Promise<void> {
    const { runtime, onLoad, signal } = this.#options;
    await using model = await openModel(directory);
    const total = 4 * this.trainableParameters;
    await loadWeights(runtime, this.weights, model.weights, {
      from: directory,
      onProgress: onLoad && ((bytes) => onLoad(bytes, total)),
      signal,
    });
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
    this.#step++;
    return { loss, gradNorm, skipped: false };
  }

  evaluate(batch: Batch, signal?: AbortSignal): Promise<TokenLosses> {
    return this.#engine.evaluate(batch, signal);
  }

  async save(directory: string): Promise<readonly WrittenFile[]> {
    await Deno.writeTextFile(`${directory}/config.json`, savedConfig(this.config));
    const written = await writeSafetensorsSharded(directory, this.weights);
    const state = await writeSafetensors(`${directory}/${OPTIMIZER_FILE}`, this.#optimizer.state());
    return [...written, { name: OPTIMIZER_FILE, ...state }];
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
    this.weights[Symbol.dispose]();
  }
}
