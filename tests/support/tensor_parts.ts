/** Tensors of which each process holds pieces in turn. In: a number of processes. Out: what each holds, and the whole. */

import { tensorBytes, type TensorInfo } from "../../ort/tensor/tensor_source.ts";
import type { TensorParts } from "../../train/distributed/tensor_parts.ts";

/** Three tensors of three types. */
export const INFOS: Readonly<Record<string, TensorInfo>> = {
  b: { dtype: "bfloat16", shape: [3, 5] },
  a: { dtype: "float32", shape: [100] },
  c: { dtype: "uint8", shape: [4] },
};

/** Their bytes, by name. */
export const WHOLE: ReadonlyMap<string, TensorInfo & { readonly data: Uint8Array<ArrayBuffer> }> =
  new Map(
    Object.entries(INFOS).map(([name, info]) => [name, {
      ...info,
      data: Uint8Array.from({ length: tensorBytes(info) }, (_, i) => i * 7 + name.charCodeAt(0)),
    }]),
  );

/** Bytes of a piece; they go to the processes in turn. */
export const PIECE = 10;

/** What each of several processes holds. */
export function partsOf(size: number): TensorParts {
  return {
    names: () => Object.keys(INFOS),
    info: (name) => INFOS[name],
    partOf: (name, rank) => {
      const bytes = tensorBytes(INFOS[name]);
      return Array.from({ length: Math.ceil(bytes / PIECE) }, (_, i) => i)
        .filter((i) => i % size === rank)
        .map((i) => ({ start: i * PIECE, length: Math.min(PIECE, bytes - i * PIECE) }));
    },
    readOwn: (name, into, offset) =>
      into.set(WHOLE.get(name)!.data.subarray(offset, offset + into.length)),
  };
}
