/** A trainer without a model, for tests of the loop: answers what it is told to. */

import type { Example } from "../../data/examples/example.ts";
import { parseConfig } from "../../model/config.ts";
import { quickstartConfig } from "../../examples/quickstart/quickstart_model.ts";
import type { WrittenFile } from "../../ort/tensor/safetensors_writer.ts";
import type { SaveOptions, Trainer, TrainStepResult } from "../../train/trainer.ts";

/** What a stub answers, and what it was asked. */
export interface TrainerStub extends Trainer {
  /** The learning rate of each update that was tried. */
  readonly learningRates: readonly number[];
  /** The folders that weights were loaded from at the end. */
  readonly loaded: readonly string[];
  /** First token of each example that was trained on, a list an update. */
  readonly seen: readonly (readonly number[])[];
}

/** How a stub answers. */
export interface TrainerStubOptions {
  /** The result of the n-th try, from 0; @default loss 1, norm 1 */
  readonly result?: (attempt: number) => Partial<TrainStepResult>;
  /** The loss of each supervised token, by its target and the updates made; @default 1 */
  readonly tokenLoss?: (target: number, step: number) => number;
}

/** Makes a stub. */
export function trainerStub(
  { result = () => ({}), tokenLoss = () => 1 }: TrainerStubOptions = {},
): TrainerStub {
  const learningRates: number[] = [];
  const loaded: string[] = [];
  const seen: number[][] = [];
  let step = 0;
  const none = (): never => {
    throw new Error("The stub has no weights");
  };
  return {
    method: "full",
    config: parseConfig(quickstartConfig),
    get step(): number {
      return step;
    },
    trainableParameters: 10,
    learningRates,
    loaded,
    seen,
    trainStep(batches, { learningRate, onBatch }): Promise<TrainStepResult> {
      const made = { loss: 1, gradNorm: 1, skipped: false, ...result(learningRates.length) };
      learningRates.push(learningRate);
      seen.push(batches.map(({ inputIds }) => Number(inputIds[0])));
      batches.forEach((_, i) => onBatch?.(i + 1));
      if (!made.skipped) step++;
      return Promise.resolve(made);
    },
    evaluate({ targets }) {
      const tokens = Int32Array.from(targets.keys()).filter((token) => targets[token] >= 0);
      const losses = Float32Array.from(tokens, (token) => tokenLoss(targets[token], step));
      return Promise.resolve({ tokens, losses });
    },
    weights: {
      has: () => false,
      names: () => [],
      info: none,
      read: none,
      tensor: none,
      stacked: none,
    },
    save: (directory, options) => saveStub(directory, step, options),
    load(directory) {
      loaded.push(directory);
      return Promise.resolve();
    },
    resume(_directory, at) {
      step = at;
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Writes what a stub writes after so many updates. */
export async function saveStub(
  directory: string,
  step: number,
  { modelOnly = false }: SaveOptions = {},
): Promise<readonly WrittenFile[]> {
  const names = ["model.safetensors", ...modelOnly ? [] : ["optimizer.state"]];
  for (const name of names) {
    await Deno.writeTextFile(`${directory}/${name}`, `after ${step} updates`);
  }
  return [];
}

/** An example whose tokens are `first`, then the targets. */
export function stubExample(first: number, targets: readonly number[] = [1]): Example {
  return {
    inputIds: Int32Array.of(first, ...targets),
    labels: Int32Array.of(-100, ...targets),
    promptLength: 1,
    truncatedTokens: 0,
    supervised: targets.length,
    terminated: true,
  };
}
