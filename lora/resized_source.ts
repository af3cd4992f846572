/**
 * Matrices with rows and columns added or left out at their ends. In: a source and the shapes that are
 * wanted. Out: a source of these shapes, with zeros where the other has nothing.
 *
 * An adapter's weights have the largest rank of all blocks in memory, and their own on disk.
 */

import type { ParameterSpec } from "../model/parts/parameter_spec.ts";
import { byteWidth, elementCount } from "../ort/tensor/dtype.ts";
import { checkTensorRange, missingTensorError } from "../ort/tensor/tensor_errors.ts";
import { readAll, type TensorInfo, type TensorSource } from "../ort/tensor/tensor_source.ts";

/** The tensors of `specs`, in their order. */
export function resizedSource(
  source: TensorSource,
  specs: readonly Pick<ParameterSpec, "name" | "shape">[],
  { fillAbsent = false }: {
    /** Whether tensors that the source does not hold are all zeros. @default false: an error */
    readonly fillAbsent?: boolean;
  } = {},
): TensorSource {
  const held = new Set(source.names());
  const isHeld = (name: string): boolean => !fillAbsent || held.has(name);
  const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
  const info = (name: string): TensorInfo => {
    const shape = shapes.get(name);
    if (!shape) throw missingTensorError(name, [...shapes.keys()], "the adapter");
    return { dtype: isHeld(name) ? source.info(name).dtype : "float32", shape };
  };
  return {
    names: (): readonly string[] => [...shapes.keys()],
    info,
    async read(name: string, into: Uint8Array, offset = 0): Promise<void> {
      const { dtype, shape } = info(name);
      const from = isHeld(name) ? source.info(name).shape : undefined;
      if (from && from.join() === shape.join()) return await source.read(name, into, offset);
      const width = byteWidth(dtype);
      checkTensorRange(name, elementCount(shape) * width, into, offset);
      into.fill(0);
      if (!from) return;
      const bytes = await readAll(source, name);
      const [rows] = shape;
      const [rowBytes, heldBytes] = [shape, from].map(([, columns = 1]) => columns * width);
      const common = Math.min(rowBytes, heldBytes);
      // A read may begin and end inside of a row.
      const last = Math.min(rows, from[0], Math.ceil((offset + into.byteLength) / rowBytes));
      for (let row = Math.floor(offset / rowBytes); row < last; row++) {
        const begin = Math.max(0, offset - row * rowBytes);
        const end = Math.min(common, offset + into.byteLength - row * rowBytes);
        if (begin >= end) continue;
        const held = bytes.subarray(row * heldBytes + begin, row * heldBytes + end);
        into.set(held, row * rowBytes + begin - offset);
      }
    },
  };
}
