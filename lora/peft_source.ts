/**
 * An adapter's tensors under PEFT's names. In: a source under Hugging Face's names, or a PEFT file.
 * Out: the other.
 *
 * @module
 */

import type { TensorInfo, TensorSource } from "../tensor/tensor_source.ts";

const PREFIX = "base_model.model.";

function renamed(
  source: TensorSource,
  { outer, inner }: { outer: (name: string) => string; inner: (name: string) => string },
): TensorSource {
  return {
    names: (): readonly string[] => source.names().map(outer),
    info: (name: string): TensorInfo => source.info(inner(name)),
    read: (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      source.read(inner(name), into, offset),
  };
}

const add = (name: string): string => PREFIX + name;
const strip = (name: string): string => name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;

/** `model.layers.0.…` as `base_model.model.model.layers.0.…`. */
export function toPeft(source: TensorSource): TensorSource {
  return renamed(source, { outer: add, inner: strip });
}

/** The other way round. */
export function fromPeft(source: TensorSource): TensorSource {
  return renamed(source, { outer: strip, inner: add });
}
