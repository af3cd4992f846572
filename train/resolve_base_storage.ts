/** How a frozen base is kept. In: what was asked for, and a device. Out: a row of the table of what there is. */

import { BASE_STORAGES, type BaseDtype, type BaseStorage } from "../model/base_storage.ts";
import { type Device, deviceName, deviceTraits } from "../ort/runtime/device.ts";
import { findPart } from "./find_part.ts";

/**
 * The storage asked for, or none but the precision.
 *
 * @example
 * ```ts
 * import { cpu, parseDevice } from "@ortune/ortune";
 * import { resolveBaseStorage } from "./resolve_base_storage.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(resolveBaseStorage(cpu, "fp16").matrices, "float16");
 * assert.equal(resolveBaseStorage(cpu, undefined).matrices, undefined);
 * assert.throws(() => resolveBaseStorage(parseDevice("cuda"), "fp16"), RangeError);
 * ```
 *
 * @throws {RangeError} where there is none of that name, or the device keeps the base otherwise
 */
export function resolveBaseStorage(device: Device, asked: BaseDtype | undefined): BaseStorage {
  const storage = findPart<BaseStorage>("base dtype", BASE_STORAGES, asked ?? "fp32");
  if (asked === undefined || !deviceTraits(device).bfloat16) return storage;
  throw new RangeError(
    `Cannot keep the base in ${asked} on ${
      deviceName(device)
    }: there it is kept in what --precision ` +
      "computes in, by default bf16, which takes as much memory as fp16; leave out --base-dtype",
  );
}
