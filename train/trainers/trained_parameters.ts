/**
 * What is trained: all weights of a model, or an adapter's on frozen ones.
 *
 * In: a model folder, by `createFullTrainer` or `createLoraTrainer`. Out: the store that an optimizer
 * updates, the weights that the model runs on, and how a checkpoint holds them.
 *
 * @module
 */

import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { EngineAdapter } from "../../model/engine/engine_context.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { DecodeBlockOptions } from "../../model/graphs/decode_graphs.ts";
import type { WrittenFile } from "../../ort/tensor/safetensors_writer.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { Trainer } from "../trainer.ts";

/** The parameters of one kind of training. */
export interface TrainedParameters extends Disposable {
  /** The kind, as events and files name it; nothing is decided by it. */
  readonly method: Trainer["method"];
  /** Sizes and flags of the model. */
  readonly config: ModelConfig;
  /** The parameters that the optimizer updates. */
  readonly store: ParameterStore;
  /**
   * How many numbers of each parameter are trained, by name, but for those that only fill it up.
   * @default all
   */
  readonly sizes?: ReadonlyMap<string, number>;
  /** Factors on the learning rate of parameters by name. @default 1 for all */
  readonly rates?: ReadonlyMap<string, number>;
  /** A rounded copy of the store that the model runs on. @default none: it runs on the store */
  readonly rounded?: ParameterStore;
  /** The weights that generation and gradients run on. */
  readonly weights: Trainer["weights"];
  /** The first layer that is trained, where only layers from there on are. @default all weights are */
  readonly firstTrained?: number;
  /** The adapter that is trained, where the model's own weights are frozen. @default none */
  readonly adapter?: EngineAdapter;
  /** Makes a block's linear layers for generation. @default {the block's own} */
  readonly linear?: DecodeBlockOptions["linear"];
  /** Seed of dropout and of noise on embeddings. @default 0 */
  readonly seed?: number;
  /** Called when all gradients of an update are there, before it is made. @default does nothing */
  prepare?(gradients: ParameterStore): void;
  /** Called when an update has changed the store. @default does nothing */
  updated?(): Promise<void>;
  /** Writes what a checkpoint holds of them into a folder: the given weights, which are the model's. */
  save(directory: string, weights: TensorSource): Promise<readonly WrittenFile[]>;
  /**
   * Fills the store from a folder; the trainer rounds it into its copy.
   *
   * @param also takes the same weights as they are stored
   */
  load(directory: string, also?: (weights: TensorSource) => Promise<void>): Promise<void>;
}
