/** How a frozen base is kept. In: what was asked for, and a device. Out: a row of the table of what there is. */

import { BASE_STORAGES, type BaseDtype, type BaseStorage } from "../model/base_storage.ts";
import {
  BASE_BLOCK_SIZES,
  BASE_COMPUTES,
  type BaseCompute,
  type Quantization,
} from "../model/quantization.ts";
import { type Device, deviceName, deviceTraits } from "../ort/runtime/device.ts";
import { findPart } from "./find_part.ts";

/** What may be asked of a frozen base. */
export interface BaseOptions {
  /** What its matrices are kept in. @default fp32; on CUDA what `precision` computes in */
  readonly baseDtype?: BaseDtype;
  /** In 8 and 4 bits: how many numbers share a scale. @default 128 */
  readonly baseBlockSize?: number;
  /** In 8 and 4 bits: what products with them are computed in. @default int8 on the CPU, fp32 elsewhere */
  readonly baseCompute?: BaseCompute;
}

/**
 * The storage asked for, or none but the precision.
 *
 * @example
 * ```ts
 * import { cpu, parseDevice } from "@ortune/ortune";
 * import { resolveBaseStorage } from "./resolve_base_storage.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(resolveBaseStorage(cpu, { baseDtype: "fp16" }).matrices, "float16");
 * assert.equal(resolveBaseStorage(cpu, {}).matrices, undefined);
 * assert.deepEqual(
 *   resolveBaseStorage(cpu, { baseDtype: "int4", baseBlockSize: 32 }).quantization,
 *   { bits: 4, block: 32, compute: "int8" },
 * );
 * assert.equal(
 *   resolveBaseStorage(parseDevice("webgpu"), { baseDtype: "int8" }).quantization?.compute,
 *   "fp32",
 * );
 * assert.throws(() => resolveBaseStorage(parseDevice("cuda"), { baseDtype: "fp16" }), RangeError);
 * ```
 *
 * @param dora whether row magnitudes are trained too, which need the rows of the base's matrices
 * @throws {RangeError} where there is none of that name, the device keeps the base otherwise, or what is
 *   asked for does not go together
 */
export function resolveBaseStorage(
  device: Device,
  { baseDtype, baseBlockSize: block, baseCompute: compute }: BaseOptions,
  { dora = false }: { readonly dora?: boolean } = {},
): BaseStorage {
  const storage = findPart<BaseStorage>("base dtype", BASE_STORAGES, baseDtype ?? "fp32");
  const on = deviceName(device);
  const { quantization } = storage;
  if (baseDtype !== undefined && !quantization && deviceTraits(device).bfloat16) {
    throw new RangeError(
      `Cannot keep the base in ${baseDtype} on ${on}: there it is kept in what --precision ` +
        "computes in, by default bf16, which takes as much memory as fp16; leave out --base-dtype",
    );
  }
  if (!quantization) {
    const given = block !== undefined ? "--base-block-size" : compute && "--base-compute";
    if (!given) return storage;
    throw new RangeError(
      `Cannot use ${given} with a base in ${storage.name}: it is for --base-dtype int8 and int4`,
    );
  }
  if (block !== undefined && !BASE_BLOCK_SIZES.includes(block)) {
    throw new RangeError(
      `Cannot share a scale among ${block} numbers: --base-block-size is one of ${
        BASE_BLOCK_SIZES.join(", ")
      }`,
    );
  }
  if (compute !== undefined && !BASE_COMPUTES.includes(compute)) {
    throw new RangeError(
      `Cannot compute in ${compute}: --base-compute is one of ${BASE_COMPUTES.join(", ")}`,
    );
  }
  const { hostMemory } = deviceTraits(device);
  if (compute === "int8" && !hostMemory) {
    throw new RangeError(
      `Cannot compute in int8 on ${on}: whether products round their inputs to 8 bits would be up to ` +
        "its kernels; leave out --base-compute, and none does",
    );
  }
  const chosen: Quantization = {
    ...quantization,
    ...block === undefined ? {} : { block },
    ...compute === undefined ? {} : { compute },
    ...hostMemory ? {} : { compute: "fp32", layout: "blocks" },
  };
  if (dora && chosen.compute === "int8") {
    throw new RangeError(
      "Cannot train with DoRA on a base that computes in int8: it needs the norms of the rows of the " +
        "base's matrices, which are there in float32 alone; take --base-compute fp32",
    );
  }
  return { ...storage, quantization: chosen };
}
