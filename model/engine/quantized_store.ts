/**
 * A model's weights with its matrices in 8 or 4 bits.
 *
 * In: the parameters' specs and a storage. Out: a store of norms, biases, and the numbers and scales of
 * matrices that graphs dequantize; beside it the products of the others.
 */

import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Precision } from "../precision.ts";
import { type BaseStorage, storedSpecs, storedTypes } from "../base_storage.ts";
import type { ParameterSpec } from "../parts/parameter_spec.ts";
import { scalesName } from "../quantization.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { MatrixProducts } from "./matrix_products.ts";
import { layoutParameters, ParameterStore } from "./parameter_store.ts";

/** How a model's matrices are kept, where their types do not show it. */
export interface BaseMatrices {
  /** How they are stored. @default as the types of its tensors show */
  readonly storage?: BaseStorage;
  /** Products with matrices that no tensor holds. @default there are none */
  readonly products?: MatrixProducts;
}

/** The store; the products are released with it. */
export class QuantizedStore extends ParameterStore implements BaseMatrices {
  readonly storage: BaseStorage;
  readonly products: MatrixProducts | undefined;

  constructor(
    runtime: Runtime,
    specs: readonly ParameterSpec[],
    { dtype, storage }: { readonly dtype: Precision; readonly storage: BaseStorage },
  ) {
    super(runtime, layoutParameters(storedSpecs(specs, storage)), {
      dtype,
      dtypes: storedTypes(specs, storage),
    });
    this.storage = storage;
    if (storage.quantization?.compute === "int8") this.products = new MatrixProducts(runtime);
  }

  override [Symbol.dispose](): void {
    this.products?.[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

/**
 * The tensors that a graph takes for a parameter.
 *
 * @param input the parameter's name in the graph
 * @param name its full name
 */
export function boundParameter(
  weights: BaseMatrices & { has?(name: string): boolean; tensor(name: string): Tensor },
  input: string,
  name: string,
): TensorMap {
  if (!weights.storage?.quantization) return { [input]: weights.tensor(name) };
  const names = [[input, name], [scalesName(input), scalesName(name)]];
  return Object.fromEntries(
    names.filter(([, full]) => weights.has?.(full) ?? true).map((
      [to, full],
    ) => [to, weights.tensor(full)]),
  );
}
