/**
 * GGUF files, the format of llama.cpp and Ollama: read lazily, written whole, quantized on the way.
 *
 * ```ts
 * import { openGguf, tensorTypes, writeGguf } from "@ortune/ortune/gguf";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * const shape = [4, 256];
 * const types = tensorTypes("q4_k_m", [{ name: "blk.0.attn_q.weight", shape }]);
 * await writeGguf(`${folder}/a.gguf`, {
 *   metadata: new Map([["general.architecture", { type: "string", value: "llama" }]]),
 *   tensors: [...types].map(([name, type]) => ({
 *     name,
 *     shape,
 *     type,
 *     rows: (_first, rows) => Promise.resolve(new Float32Array(rows * 256).fill(1)),
 *   })),
 * });
 * {
 *   await using file = await openGguf(`${folder}/a.gguf`);
 *   assert.equal(file.tensor("blk.0.attn_q.weight").type, "q4_k");
 * }
 * await Deno.remove(folder, { recursive: true });
 * ```
 *
 * @module
 */

export { bitsOf, GGML_TYPES, ggmlBytes, type GgmlType, type GgmlTypeInfo } from "./ggml_type.ts";
export type {
  GgufArray,
  GgufBigType,
  GgufMetadata,
  GgufNumberType,
  GgufScalar,
  GgufValue,
} from "./gguf_value.ts";
export { GgufFile, openGguf } from "./read_gguf.ts";
export type { WrittenBytes } from "../ort/tensor/file_writer.ts";
export type { GgufTensor } from "./gguf_header.ts";
export { type GgufTensorToWrite, writeGguf, type WriteGgufOptions } from "./write_gguf.ts";
export {
  GGUF_FILE_TYPES,
  type GgufFileType,
  type GgufFileTypeInfo,
  type NamedShape,
  tensorTypes,
} from "./file_types.ts";
export { dequantizeRows } from "./dequantize_rows.ts";
export { quantizeRows, type WrittenType } from "./quantize_rows.ts";
