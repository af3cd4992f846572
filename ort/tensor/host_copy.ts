/**
 * A copy of tensors in the host's memory, to be written while the tensors themselves change.
 *
 * In: a source. Out: a source of the same names, whose bytes are those of the last `fill`.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";
import { tensorBytes, tensorSourceFromMap } from "./tensor_source.ts";
import type { TensorData, TensorSource } from "./tensor_source.ts";

/** Tensors copied to the host's memory. */
export interface HostCopy extends TensorSource {
  /** Takes the bytes as they are now over those of the last time. */
  fill(): Promise<void>;
}

/**
 * Takes memory for all tensors of a source. It is used again with every fill, so that no two copies
 * are ever held.
 *
 * @example
 * ```ts
 * import { readAll, tensorSourceFromMap } from "@ortune/ortune/safetensors";
 * import { hostCopy } from "./host_copy.ts";
 * import assert from "node:assert/strict";
 *
 * const data = Uint8Array.of(7, 8);
 * const copy = hostCopy(
 *   tensorSourceFromMap(new Map([["a", { dtype: "uint8", shape: [2], data }]])),
 * );
 * await copy.fill();
 * data[0] = 0;
 * assert.deepEqual([...await readAll(copy, "a")], [7, 8]);
 * ```
 *
 * @throws {Error} where there is not enough memory
 */
export function hostCopy(source: TensorSource): HostCopy {
  const infos = source.names().map((name) => [name, source.info(name)] as const);
  const bytes = infos.reduce((sum, [, info]) => sum + tensorBytes(info), 0);
  let tensors: ReadonlyMap<string, TensorData>;
  try {
    tensors = new Map(
      infos.map(([name, info]) => [name, { ...info, data: new Uint8Array(tensorBytes(info)) }]),
    );
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(
      `Cannot copy ${bytes} bytes of tensors to the host's memory: ${message}. Free memory`,
      { cause },
    );
  }
  return {
    ...tensorSourceFromMap(tensors),
    async fill(): Promise<void> {
      for (const [name, { data }] of tensors) {
        // Gigabytes take seconds: signals and timers get a turn.
        await setImmediate();
        await source.read(name, data);
      }
    },
  };
}
