/**
 * A source in float32, some of whose tensors are computed, whole rows at a time.
 *
 * In: another source, which of its tensors are computed, and how. Out: the same names and shapes.
 */

import { elementCount } from "./dtype.ts";
import { checkTensorRange } from "./tensor_errors.ts";
import { readFloat32, type TensorInfo, type TensorSource } from "./tensor_source.ts";

const FLOAT_BYTES = 4;

/** What is computed. */
export interface FloatRows {
  /** Whether a tensor, which then has rows, is computed. */
  readonly computes: (name: string) => boolean;
  /** Rows of such a tensor, `[count, columns]`. */
  readonly rows: (name: string, first: number, count: number) => Promise<Float32Array>;
}

/** The source with its computed tensors in place of its own. */
export function floatRowsSource(base: TensorSource, { computes, rows }: FloatRows): TensorSource {
  return {
    names: (): readonly string[] => base.names(),
    info: (name: string): TensorInfo => ({ dtype: "float32", shape: base.info(name).shape }),
    async read(name: string, into: Uint8Array, offset = 0): Promise<void> {
      const { shape } = base.info(name);
      checkTensorRange(name, elementCount(shape) * FLOAT_BYTES, into, offset);
      // A chunk may begin and end inside of a row, and even of a number.
      const step = (computes(name) ? shape[1] : 1) * FLOAT_BYTES;
      const first = Math.floor(offset / step);
      const count = Math.ceil((offset + into.byteLength) / step) - first;
      const numbers = computes(name)
        ? await rows(name, first, count)
        : await readFloat32(base, name, { start: first, count });
      const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
      const skipped = offset - first * step;
      into.set(bytes.subarray(skipped, skipped + into.byteLength));
    },
  };
}
