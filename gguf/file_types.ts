/**
 * What a GGUF file of a given kind stores each tensor as: llama.cpp's mixes.
 *
 * In: a kind of file such as `q4_k_m`, and a tensor's name and shape. Out: its type. The rules are those of
 * llama.cpp's `llama_tensor_get_type` without an importance matrix, for models without experts.
 *
 * @module
 */

import { bitsOf, GGML_TYPES } from "./ggml_type.ts";
import type { WrittenType } from "./quantize_rows.ts";

/** The kinds of files that are written. */
export type GgufFileType = "f32" | "f16" | "bf16" | "q8_0" | "q6_k" | "q5_k_m" | "q4_k_m" | "q4_0";

/** A kind of file. */
export interface GgufFileTypeInfo {
  /** The number of `general.file_type`. */
  readonly number: number;
  /** What most matrices are stored as. */
  readonly type: WrittenType;
  /** Whether values and the way down from the MLP have six bits in a part of the layers. */
  readonly mixed: boolean;
}

/** The table. */
export const GGUF_FILE_TYPES: Readonly<Record<GgufFileType, GgufFileTypeInfo>> = {
  f32: { number: 0, type: "f32", mixed: false },
  f16: { number: 1, type: "f16", mixed: false },
  bf16: { number: 32, type: "bf16", mixed: false },
  q8_0: { number: 7, type: "q8_0", mixed: false },
  q6_k: { number: 18, type: "q6_k", mixed: false },
  q5_k_m: { number: 17, type: "q5_k", mixed: true },
  q4_k_m: { number: 15, type: "q4_k", mixed: true },
  q4_0: { number: 2, type: "q4_0", mixed: false },
};

/** A tensor that is to be stored. */
export interface NamedShape {
  /** GGUF's name of it. */
  readonly name: string;
  /** Its sizes, outermost first. */
  readonly shape: readonly number[];
}

/** What takes the place of a type of 256 numbers a block, where a row has no whole ones. */
const FALLBACKS: Readonly<Partial<Record<WrittenType, WrittenType>>> = {
  q4_k: "q5_0",
  q5_k: "q5_1",
  q6_k: "q8_0",
};

/** Parts that get more bits in some layers; values count with queries, keys and values in one matrix. */
const MORE_BITS = [["attn_v.weight", "attn_qkv.weight"], ["ffn_down.weight"]];

/** Matrices that are small and matter: convolutions of state-space layers, what chooses experts. */
const KEPT = ["ssm_conv1d.weight", "ffn_gate_inp.weight"];

/**
 * The type of each tensor of a file, by name.
 *
 * @param tensors all of the file
 *
 * @example
 * ```ts
 * import { tensorTypes } from "@ortune/ortune/gguf";
 * import assert from "node:assert/strict";
 *
 * const types = tensorTypes("q4_k_m", [
 *   { name: "token_embd.weight", shape: [1024, 256] },
 *   { name: "blk.0.attn_norm.weight", shape: [256] },
 *   { name: "blk.0.attn_q.weight", shape: [256, 256] },
 *   { name: "blk.0.ffn_down.weight", shape: [256, 288] },
 * ]);
 * // The embedding is the head as well; 288 numbers are no whole blocks of 256.
 * assert.deepEqual([...types.values()], ["q6_k", "f32", "q4_k", "q8_0"]);
 * ```
 */
export function tensorTypes(
  fileType: GgufFileType,
  tensors: readonly NamedShape[],
): ReadonlyMap<string, WrittenType> {
  const { type, mixed } = GGUF_FILE_TYPES[fileType];
  const isHead = tensors.some(({ name }) => name === "output.weight")
    ? "output.weight"
    : "token_embd.weight";
  // Layers without a part, such as hybrid models have, are not counted.
  const sixBits = new Set(mixed ? MORE_BITS.flatMap((parts) => moreBits(tensors, parts)) : []);
  return new Map(tensors.map(({ name, shape }) => {
    const columns = shape.at(-1)!;
    if (!isQuantized(name, shape)) return [name, "f32"];
    if (name === isHead && bitsOf(type) < 8) {
      // No whole blocks: eight bits for the head, whatever the others fall back to.
      const wanted = columns % GGML_TYPES[type].block === 0 ? "q6_k" : "q8_0";
      return [name, fitting(wanted, columns)];
    }
    return [name, fitting(sixBits.has(name) ? "q6_k" : type, columns)];
  }));
}

/** Matrices whose rows a product reads; norms, biases and what is small stay in float32. */
function isQuantized(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && shape.slice(0, -1).some((size) => size > 1) &&
    name.endsWith("weight") && !name.endsWith("_norm.weight") &&
    !KEPT.some((part) => name.endsWith(part));
}

/** Those of some parts' matrices that get more bits: the first and last eighth, and each third between. */
function moreBits(tensors: readonly NamedShape[], parts: readonly string[]): string[] {
  const names = tensors.map(({ name }) => name)
    .filter((name) => parts.some((part) => name.endsWith(`.${part}`)))
    .sort((a, b) => layerOf(a) - layerOf(b));
  const eighth = Math.floor(names.length / 8);
  return names.filter((_, layer) =>
    layer < eighth || layer >= Math.floor(7 * names.length / 8) || (layer - eighth) % 3 === 2
  );
}

function layerOf(name: string): number {
  return Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
}

/** The type, or what llama.cpp takes in its place for rows that are no whole blocks. */
function fitting(type: WrittenType, columns: number): WrittenType {
  if (columns % GGML_TYPES[type].block === 0) return type;
  const other = FALLBACKS[type];
  return other !== undefined && columns % GGML_TYPES[other].block === 0 ? other : "f16";
}
