/** Weights that are all numbers. In: a source. Out: the same, whose reads fail at NaN and infinity. */

import { byteWidth } from "../ort/tensor/dtype.ts";
import { findNonFinite } from "../ort/tensor/find_nonfinite.ts";
import { quoteName } from "../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../ort/tensor/tensor_source.ts";

/** @param from what holds the tensors, for errors */
export function finiteSource(source: TensorSource, from: string): TensorSource {
  return {
    names: (): readonly string[] => source.names(),
    info: (name: string): TensorInfo => source.info(name),
    async read(name: string, into: Uint8Array, offset = 0): Promise<void> {
      await source.read(name, into, offset);
      const { dtype } = source.info(name);
      const width = byteWidth(dtype);
      // A read may begin and end inside of a number.
      const start = (width - offset % width) % width;
      const found = findNonFinite(Uint8Array.from(into.subarray(start)), dtype);
      if (found === -1) return;
      throw new RangeError(
        `Cannot load weights from ${from}: ${quoteName(name)} holds NaN or infinity at element ` +
          `${
            (offset + start) / width + found
          }; its training went wrong, take an earlier checkpoint`,
      );
    },
  };
}
