/**
 * Several sources of tensors as one. In: sources, the first ones first. Out: a source over all of
 * their names.
 */

import { missingTensorError } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";

/** One set of names over several sources. */
export function layeredSource(sources: readonly TensorSource[]): TensorSource {
  const owners = new Map(
    sources.toReversed().flatMap((source) => source.names().map((name) => [name, source])),
  );
  const owner = (name: string): TensorSource => {
    const source = owners.get(name);
    if (!source) throw missingTensorError(name, [...owners.keys()], "the checkpoint");
    return source;
  };
  return {
    names: (): readonly string[] => [...owners.keys()],
    info: (name: string): TensorInfo => owner(name).info(name),
    read: (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      owner(name).read(name, into, offset),
  };
}
