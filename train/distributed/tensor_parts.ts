/** Tensors of which each process holds a part. In: a name and a process. Out: which bytes are whose. */

import type { TensorInfo } from "../../ort/tensor/tensor_source.ts";
import type { Range } from "./buckets.ts";

/** What of some tensors this process holds, and who holds the rest; the same on all processes but for the bytes. */
export interface TensorParts {
  /** All names. */
  names(): readonly string[];
  /** Type and shape of a whole tensor. */
  info(name: string): TensorInfo;
  /** Bytes of a tensor that a process holds; those of all processes together are the whole tensor. */
  partOf(name: string, rank: number): readonly Range[];
  /** Fills `into` with bytes from `offset` on, which must be this process's. */
  readOwn(name: string, into: Uint8Array, offset: number): void;
}

/** Bytes of a tensor, and who holds them. */
export interface Segment extends Range {
  readonly rank: number;
}

/** All of a tensor's bytes from its first one on, each with its process. */
export function segmentsOf(
  parts: TensorParts,
  name: string,
  size: number,
): readonly Segment[] {
  return Array.from(
    { length: size },
    (_, rank) => parts.partOf(name, rank).map((range) => ({ ...range, rank })),
  ).flat().sort((a, b) => a.start - b.start);
}
