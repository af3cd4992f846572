/**
 * Several stores as one: an adapter's weights over the model's. In: stores, the first ones first.
 * Out: a source and a tensor by name, without a copy.
 */

import type { BaseMatrices } from "./quantized_store.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { missingTensorError } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { ParameterStore } from "./parameter_store.ts";

/** Weights by name, to be read or bound. */
export type NamedWeights = TensorSource & BaseMatrices & {
  /** Whether there is a tensor of that name. */
  has(name: string): boolean;
  tensor(name: string): Tensor;
  /** As {@linkcode ParameterStore.stacked}. */
  stacked(names: readonly string[]): Tensor;
};

/** One set of names over several stores, of which the last is the base. */
export function layeredWeights(
  stores: readonly (ParameterStore & BaseMatrices)[],
): NamedWeights {
  const owners = new Map(
    stores.toReversed().flatMap((store) => store.names().map((name) => [name, store])),
  );
  const owner = (name: string): ParameterStore => {
    const store = owners.get(name);
    if (!store) throw missingTensorError(name, [...owners.keys()], "the model and its adapter");
    return store;
  };
  const { storage, products } = stores.at(-1)!;
  return {
    storage,
    products,
    has: (name: string): boolean => owners.has(name),
    names: (): readonly string[] => [...owners.keys()],
    info: (name: string): TensorInfo => owner(name).info(name),
    read: (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      owner(name).read(name, into, offset),
    tensor: (name: string): Tensor => owner(name).tensor(name),
    stacked: (names: readonly string[]): Tensor => owner(names[0]).stacked(names),
  };
}
