/** Opens a parity fixture made by `tests/fixtures/parity/make.py`. */

import type { LabelledGrid } from "../../model/engine/batch.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { loadWeights } from "../../model/engine/load_weights.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { openSafetensors, type SafetensorsFile } from "../../ort/tensor/safetensors_file.ts";
import { readAll, type TensorData, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";

const root = new URL("../fixtures/parity/", import.meta.url);

/** Path of a file of a fixture. */
export function fixturePath(path: string): string {
  return new URL(path, root).pathname;
}

/** A JSON file of a fixture. */
export async function readFixtureJson<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(fixturePath(path))) as T;
}

/** The models of the fixtures that have a file of this name, such as `series.json`. */
export async function withFixtureFile(file: string): Promise<readonly string[]> {
  const models: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(root)) {
    if (!isDirectory) continue;
    for await (const { name: found } of Deno.readDir(new URL(name, root))) {
      if (found === file) models.push(name);
    }
  }
  return models.sort();
}

/** A model of the fixtures with its weights loaded. */
export interface FixtureModel {
  readonly config: ModelConfig;
  readonly weights: ParameterStore;
  readonly expected: SafetensorsFile;
}

/** Loads a fixture model; `qwen3-vocab` makes its weights from the recipe. */
export async function loadFixtureModel(runtime: Runtime, name: string): Promise<FixtureModel> {
  const config = parseConfig(await readFixtureJson(`${name}/config.json`));
  const weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
  if (name === "qwen3-vocab") {
    await loadWeights(runtime, weights, tensorSourceFromMap(await recipeTensors(name)));
  } else {
    await using file = await openSafetensors(fixturePath(`${name}/model.safetensors`));
    await loadWeights(runtime, weights, file);
  }
  const expected = await openSafetensors(fixturePath(`${name}/expected.safetensors`));
  return { config, weights, expected };
}

interface Recipe {
  tensors: { name: string; shape: number[]; seed: number; scale: number; offset: number }[];
}

/** Weights too large to commit: u32 draws of an MT19937 stream a tensor, scaled in float32. */
export async function recipeTensors(name: string): Promise<Map<string, TensorData>> {
  const { tensors } = await readFixtureJson<Recipe>(`${name}/recipe.json`);
  return new Map(tensors.map(({ name, shape, seed, scale, offset }) => {
    const random = MersenneTwister.fromSeed(seed);
    const length = shape.reduce((product, size) => product * size, 1);
    const values = new Float32Array(length);
    const [factor, shift] = [Math.fround(scale), Math.fround(offset)];
    for (let i = 0; i < length; i++) {
      const uniform = Math.fround((random.nextUint32() >>> 8) * 2 ** -24 - 0.5);
      values[i] = Math.fround(uniform * factor) + shift;
    }
    return [name, { dtype: "float32", shape, data: new Uint8Array(values.buffer) }];
  }));
}

/** The fixture's right-padded batch as a grid. */
export async function expectedBatch(expected: SafetensorsFile): Promise<LabelledGrid> {
  const [rows, length] = expected.info("input_ids").shape;
  const ints = async (name: string) => new BigInt64Array((await readAll(expected, name)).buffer);
  const [inputIds, attention, labels] = [
    await ints("input_ids"),
    await ints("attention_mask"),
    await ints("labels"),
  ];
  const segmentIds = Int32Array.from(
    attention,
    (mask, i) => mask ? Math.floor(i / length) + 1 : 0,
  );
  const targets = Int32Array.from(
    labels,
    (_, i) => i % length === length - 1 ? -100 : Number(labels[i + 1]),
  );
  const positionIds = BigInt64Array.from(inputIds, (_, i) => BigInt(i % length));
  return { rows, length, inputIds, positionIds, segmentIds, targets };
}
