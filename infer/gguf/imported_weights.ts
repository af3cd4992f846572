/**
 * A GGUF's tensors as Hugging Face names, orders and stores them.
 *
 * In: an open file and the config that was made of it. Out: a source of float weights; numbers are dequantized
 * and turned back when they are read, some rows at a time.
 *
 * @module
 */

import type { GgmlType, GgufFile } from "../../gguf/mod.ts";
import type { ModelConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../ort/tensor/half.ts";
import {
  checkTensorRange,
  missingTensorError,
  quoteNames,
} from "../../ort/tensor/tensor_errors.ts";
import { tensorBytes, type TensorInfo, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { ggufTensorName, type TensorChange } from "./tensor_names.ts";

/** What imported weights are stored as. */
export type ImportedDtype = "float32" | "bfloat16" | "float16";

/** Tensors that are settings and not weights: config.json has what they say. */
const SETTINGS: ReadonlySet<string> = new Set([
  "rope_freqs.weight",
  "rope_factors_long.weight",
  "rope_factors_short.weight",
]);

/** A tensor as it will be written. */
interface Imported {
  readonly info: TensorInfo;
  /** GGUF's name. */
  readonly from: string;
  readonly change?: TensorChange;
}

/** The weights, and what they were stored as. */
export interface ImportedWeights {
  /** Under Hugging Face's names. */
  readonly source: TensorSource;
  /** How many numbers there are of each type. */
  readonly types: ReadonlyMap<GgmlType, number>;
}

/**
 * The weights of a model.
 *
 * @throws {RangeError} naming all tensors that are missing, of another shape, or without a place in the model
 */
export function importedWeights(
  file: GgufFile,
  config: ModelConfig,
  dtype: ImportedDtype,
): ImportedWeights {
  const tensors = new Map<string, Imported>();
  const types = new Map<GgmlType, number>();
  const left = new Set([...file.tensors.keys()].filter((name) => !SETTINGS.has(name)));
  const problems: string[] = [];
  for (const { name, shape } of modelParameters(config)) {
    const { names: [from], change } = ggufTensorName(config.modelType, name);
    const found = file.tensors.get(from);
    left.delete(from);
    if (found === undefined) problems.push(`it has no ${from}`);
    else if (found.shape.join() !== shape.join()) {
      problems.push(`${from} is [${found.shape.join(", ")}], expected [${shape.join(", ")}]`);
    } else {
      const numbers = shape.reduce((product, size) => product * size, 1);
      types.set(found.type, (types.get(found.type) ?? 0) + numbers);
      tensors.set(name, { info: { dtype, shape }, from, ...change && { change } });
    }
  }
  if (left.size > 0) {
    problems.push(`${config.modelType} has no place for ${quoteNames([...left], 5)}`);
  }
  if (problems.length > 0) {
    const [shown, more] = [problems.slice(0, 5).join("; "), problems.length - 5];
    throw new RangeError(
      `Cannot import ${file.path}: ${shown}${
        more > 0 ? `; and ${more} more` : ""
      }; the model is of ` +
        "another kind than its general.architecture says",
    );
  }
  return { source: toSource(file, config, tensors), types };
}

function toSource(
  file: GgufFile,
  config: ModelConfig,
  tensors: ReadonlyMap<string, Imported>,
): TensorSource {
  const find = (name: string): Imported => {
    const tensor = tensors.get(name);
    if (tensor) return tensor;
    throw missingTensorError(name, [...tensors.keys()], file.path);
  };
  return {
    names: () => [...tensors.keys()],
    info: (name) => find(name).info,
    read: async (name, into, offset = 0) => {
      const { info, from, change } = find(name);
      const { shape, dtype } = info;
      checkTensorRange(name, tensorBytes(info), into, offset);
      const [columns, width] = [shape.at(-1)!, byteWidth(dtype)];
      const [begin, end] = [offset, offset + into.byteLength].map((byte) => byte / width);
      const first = Math.floor(begin / columns);
      const rows = Math.ceil(end / columns) - first;
      const numbers = await readRows(file, from, { first, rows, change, headDim: config.headDim });
      const bytes = store(numbers, dtype as ImportedDtype, name);
      const skipped = offset - first * columns * width;
      into.set(bytes.subarray(skipped, skipped + into.byteLength));
    },
  };
}

/** Rows as Hugging Face orders them. */
async function readRows(
  file: GgufFile,
  from: string,
  { first, rows, change, headDim }: {
    readonly first: number;
    readonly rows: number;
    readonly change?: TensorChange;
    readonly headDim: number;
  },
): Promise<Float32Array> {
  switch (change) {
    case undefined:
      return await file.readRows(from, first, rows);
    case "add-one": {
      const numbers = await file.readRows(from, first, rows);
      return numbers.map((value) => value - 1);
    }
    case "pair-rows":
      return await readPairedRows(file, from, { first, rows, headDim });
    default:
      throw new Error(`Cannot import ${from}: ${change} is not undone`);
  }
}

/** Pairs that are turned together lie side by side in llama.cpp's files, half a head apart in Hugging Face's. */
async function readPairedRows(
  file: GgufFile,
  from: string,
  { first, rows, headDim }: {
    readonly first: number;
    readonly rows: number;
    readonly headDim: number;
  },
): Promise<Float32Array> {
  const { shape } = file.tensor(from);
  // A bias has no rows: its numbers are moved about.
  const isVector = shape.length === 1;
  const [width, all] = isVector ? [1, shape[0]] : [shape[1], shape[0]];
  const [begin, end] = isVector ? [0, all] : [first, first + rows];
  const low = begin - begin % headDim;
  const high = Math.min(all, Math.ceil(end / headDim) * headDim);
  const heads = await (isVector ? file.readRows(from, 0, 1) : file.readRows(from, low, high - low));
  const out = new Float32Array((end - begin) * width);
  for (let row = begin; row < end; row++) {
    const within = row % headDim;
    const half = headDim / 2;
    const paired = within < half ? 2 * within : 2 * (within - half) + 1;
    const at = (row - within + paired - low) * width;
    out.set(heads.subarray(at, at + width), (row - begin) * width);
  }
  return out;
}

function store(numbers: Float32Array, dtype: ImportedDtype, name: string): Uint8Array {
  if (dtype === "float32") {
    return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  }
  const halves = new Uint16Array(numbers.length);
  if (dtype === "bfloat16") float32ToBfloat16(numbers, halves);
  else {
    float32ToFloat16(numbers, halves);
    const beyond = halves.findIndex((bits) => (bits & 0x7fff) >= 0x7c00);
    if (beyond >= 0) {
      throw new RangeError(
        `Cannot import ${name} as float16: it holds ${numbers[beyond]}; take bf16 or fp32`,
      );
    }
  }
  return new Uint8Array(halves.buffer);
}
