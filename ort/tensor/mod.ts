/**
 * safetensors files, one or in shards, read lazily and written whole.
 *
 * ```ts
 * import { openSafetensors, tensorSourceFromMap, writeSafetensors } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 * import { mkdtemp, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * const path = `${folder}/a.safetensors`;
 * const data = new Uint8Array(Float32Array.of(1, 2).buffer);
 * await writeSafetensors(path, tensorSourceFromMap(new Map([["a", { dtype: "float32", shape: [2], data }]])));
 * await using file = await openSafetensors(path);
 * assert.deepEqual(file.info("a"), { dtype: "float32", shape: [2] });
 * await rm(folder, { recursive: true });
 * ```
 *
 * @module
 */

export {
  openSafetensors,
  type OpenSafetensorsOptions,
  SafetensorsFile,
} from "./safetensors_file.ts";
export { openSafetensorsFolder, type OpenSafetensorsFolderOptions } from "./safetensors_sharded.ts";
export {
  writeSafetensors,
  type WriteSafetensorsOptions,
  writeSafetensorsSharded,
  type WriteSafetensorsShardedOptions,
  type WrittenFile,
} from "./safetensors_writer.ts";
export type { WrittenBytes } from "./file_writer.ts";
export type {
  SafetensorsEntry,
  SafetensorsHeader,
  SafetensorsHeaderOptions,
} from "./safetensors_header.ts";
export {
  type ElementRange,
  readAll,
  readFloat32,
  tensorBytes,
  type TensorData,
  type TensorInfo,
  type TensorSource,
  tensorSourceFromMap,
} from "./tensor_source.ts";
export { byteWidth, type DType, elementCount } from "./dtype.ts";
export {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
  roundToBfloat16,
} from "./half.ts";
