/**
 * A model's tensors as GGUF has them: names, shapes, and rows in llama.cpp's order.
 *
 * In: weights under Hugging Face's names. Out: what a writer asks for rows, [rows, columns] in float32; nothing is
 * read before it asks.
 *
 * @module
 */

import type { ModelConfig } from "../../model/config.ts";
import type { DeltaSizes } from "../../model/parts/layer_kind.ts";
import { modelParameters } from "../../model/parameters.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { ggufTensorName, type TensorChange } from "./tensor_names.ts";

/** A tensor of the file, before its type is chosen. */
export interface GgufTensorRows {
  /** `blk.0.attn_q.weight` */
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  /** Numbers of some rows: [rows · shape.at(-1)]. */
  readonly rows: (first: number, rows: number) => Promise<Float32Array>;
}

/** How the rows and numbers of a tensor come about. */
export interface Conversion {
  readonly shape: readonly number[];
  /** The row of Hugging Face's tensor that stands at a row of the file. @default the same */
  readonly rowOf?: (row: number) => number;
  /** The same for columns. @default the same */
  readonly columnOf?: (column: number) => number;
  /** @default the same */
  readonly number?: (value: number) => number;
}

/**
 * All tensors of a model, in the file's order.
 *
 * @param weights under the names of the config's parameters
 */
export function ggufTensors(config: ModelConfig, weights: TensorSource): GgufTensorRows[] {
  const tensors = modelParameters(config).flatMap(({ name: from }): GgufTensorRows[] =>
    ggufParts(config, from, weights.info(from).shape).map(({ name, conversion }) =>
      toRows(weights, { name, from }, conversion)
    )
  );
  const factors = ropeFactors(config);
  const head = config.tiedEmbeddings && config.modelType === "olmo2"
    // llama.cpp wants one there all the same.
    ? [{ ...tensors.find(({ name }) => name === "token_embd.weight")!, name: "output.weight" }]
    : [];
  return [...factors, ...tensors, ...head];
}

/** A tensor of the file that a model's tensor becomes, or a half of it. */
export interface GgufPart {
  /** Its name in the file. */
  readonly name: string;
  /** How its rows come about. */
  readonly conversion: Conversion;
}

/** What a model's tensor becomes in the file: one tensor, or two of its rows' halves. */
export function ggufParts(
  config: ModelConfig,
  name: string,
  shape: readonly number[],
): readonly GgufPart[] {
  const { names, change } = ggufTensorName(config.modelType, name);
  if (names.length === 1) return [{ name: names[0], conversion: convert(config, change, shape) }];
  const half = shape[0] / 2;
  return names.map((each, i) => ({
    name: each,
    conversion: { shape: [half, ...shape.slice(1)], rowOf: (row) => i * half + row },
  }));
}

/** What a change comes to for a tensor of a model. */
function convert(
  config: ModelConfig,
  change: TensorChange | undefined,
  shape: readonly number[],
): Conversion {
  switch (change) {
    case undefined:
      return { shape };
    case "pair-rows":
      return { shape, rowOf: pairedRow(config.headDim) };
    case "add-one":
      return { shape, number: (value) => value + 1 };
    case "decay-rate":
      return {
        shape,
        rowOf: tiled(deltaOf(config), 1, 0),
        number: (value) => -Math.exp(value),
      };
    case "tile-rows": {
      const delta = deltaOf(config);
      return { shape, rowOf: tiled(delta, shape[0] / delta.valueHeads, 0) };
    }
    case "tile-value-rows": {
      const delta = deltaOf(config);
      const begin = 2 * delta.keyHeads * delta.keyDim;
      return {
        shape: shape.length === 3 ? [shape[0], shape[2]] : shape,
        rowOf: tiled(delta, delta.valueDim, begin),
      };
    }
    case "tile-columns":
      return { shape, columnOf: tiled(deltaOf(config), deltaOf(config).valueDim, 0) };
    default:
      throw new Error(`Cannot convert a tensor: unknown change ${change satisfies never}`);
  }
}

function deltaOf({ layerKinds }: ModelConfig): DeltaSizes {
  return layerKinds.find(({ delta }) => delta)!.delta!;
}

/** Pairs that are turned together lie half a head apart in Hugging Face's files, side by side in llama.cpp's. */
function pairedRow(headDim: number): (row: number) => number {
  return (row) => {
    const within = row % headDim;
    return row - within + (within % 2) * (headDim / 2) + (within >> 1);
  };
}

/** Heads of values, `width` rows each from `begin` on: by heads of keys there, in turns of them here. */
function tiled(
  { keyHeads, valueHeads }: DeltaSizes,
  width: number,
  begin: number,
): (row: number) => number {
  const perKey = valueHeads / keyHeads;
  return (row) => {
    if (row < begin) return row;
    const [head, within] = [Math.floor((row - begin) / width), (row - begin) % width];
    const [turn, key] = [Math.floor(head / keyHeads), head % keyHeads];
    return begin + (key * perKey + turn) * width + within;
  };
}

/** A tensor of the file whose numbers are read from another of a source. */
export function toRows(
  weights: TensorSource,
  { name, from }: { readonly name: string; readonly from: string },
  { shape, rowOf, columnOf, number }: Conversion,
): GgufTensorRows {
  const isVector = shape.length === 1;
  // A vector's numbers are what is moved about, though the file has it as one row.
  const width = isVector ? 1 : shape.at(-1)!;
  const gather = async (first: number, count: number): Promise<Float32Array> => {
    if (!rowOf) {
      return await readFloat32(weights, from, { start: first * width, count: count * width });
    }
    const sources = Array.from({ length: count }, (_, i) => rowOf(first + i));
    const least = sources.reduce((a, b) => Math.min(a, b));
    const most = sources.reduce((a, b) => Math.max(a, b));
    const read = await readFloat32(weights, from, {
      start: least * width,
      count: (most + 1 - least) * width,
    });
    const out = new Float32Array(count * width);
    sources.forEach((source, i) => {
      const at = (source - least) * width;
      out.set(read.subarray(at, at + width), i * width);
    });
    return out;
  };
  return {
    name,
    shape,
    rows: async (first, count) => {
      const columns = shape.at(-1)!;
      let numbers = isVector ? await gather(0, columns) : await gather(first, count);
      if (columnOf) {
        const [before, after] = [numbers, new Float32Array(numbers.length)];
        for (let i = 0; i < after.length; i++) {
          const column = i % columns;
          after[i] = before[i - column + columnOf(column)];
        }
        numbers = after;
      }
      return number ? numbers.map(number) : numbers;
    },
  };
}

/** Factors that llama.cpp divides frequencies by, where scaling is no formula that it has. */
function ropeFactors({ layerKinds, raw }: ModelConfig): GgufTensorRows[] {
  const rope = layerKinds.find((kind) => kind.rope)?.rope;
  if (!rope?.scaling) return [];
  const { scaling, width, theta } = rope;
  const vector = (name: string, factors: readonly number[]): GgufTensorRows => ({
    name: `${name}.weight`,
    shape: [factors.length],
    rows: () => Promise.resolve(Float32Array.from(factors)),
  });
  if (scaling.type === "longrope") {
    const { long_factor: long } = (raw.rope_parameters ?? raw.rope_scaling) as {
      readonly long_factor: readonly number[];
    };
    return [
      vector("rope_factors_long", long),
      vector("rope_factors_short", scaling.shortFactors),
    ];
  }
  if (scaling.type !== "llama3") return [];
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const factors = Array.from({ length: width / 2 }, (_, i) => {
    const turns = originalMaxPositions * theta ** (-2 * i / width) / (2 * Math.PI);
    if (turns > highFreqFactor) return 1;
    if (turns < lowFreqFactor) return factor;
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
  return [vector("rope_freqs", factors)];
}
