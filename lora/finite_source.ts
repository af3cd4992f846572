/** Weights that are all numbers. In: a source. Out: the same, whose reads fail at NaN and infinity. */

import { byteWidth, type DType } from "../tensor/dtype.ts";
import { quoteName } from "../tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../tensor/tensor_source.ts";

/** The bits of an exponent, which are all set in what is no number. */
const EXPONENT: Partial<Record<DType, number>> = {
  ...{ float32: 0x7f800000, float16: 0x7c00, bfloat16: 0x7f80 },
};

/** @param from what holds the tensors, for errors */
export function finiteSource(source: TensorSource, from: string): TensorSource {
  return {
    names: (): readonly string[] => source.names(),
    info: (name: string): TensorInfo => source.info(name),
    async read(name: string, into: Uint8Array, offset = 0): Promise<void> {
      await source.read(name, into, offset);
      const { dtype } = source.info(name);
      const exponent = EXPONENT[dtype];
      if (exponent === undefined) return;
      const width = byteWidth(dtype);
      const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
      // A read may begin inside of a number.
      for (let at = (width - offset % width) % width; at + width <= into.byteLength; at += width) {
        const bits = width === 4 ? view.getUint32(at, true) : view.getUint16(at, true);
        if ((bits & exponent) !== exponent) continue;
        throw new RangeError(
          `Cannot load weights from ${from}: ${quoteName(name)} holds NaN or infinity at element ` +
            `${(offset + at) / width}; its training went wrong, take an earlier checkpoint`,
        );
      }
    },
  };
}
