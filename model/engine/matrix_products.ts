/**
 * Products with a frozen base's matrices in 8 and 4 bits: whole numbers times whole numbers.
 *
 * In: numbers and scales of a matrix, and a direction. Out: y = x·Wᵀ on tensors. Each matrix is a constant of a
 * session of its own, since ONNX Runtime brings only constants into the order that its kernel wants;
 * and as it then lets go of what it was given, that order is the only copy.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { PACKED_LINEAR_GRADIENT } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Binding, Session } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import type { QuantizedBlocks } from "../../ort/tensor/quantize_blocks.ts";
import { blocksOf, type ProductDirection } from "../quantization.ts";
import type { LaunchNode } from "./subgraph_sessions.ts";

// The kernel rounds activations to 8 bits as well.
const INTEGER_PRODUCTS = 4;

/** A matrix in whole blocks. */
export interface PackedMatrix extends QuantizedBlocks {
  /** [outputs, inputs] of the product: of the transposed matrix those are exchanged. */
  readonly shape: readonly [outputs: number, inputs: number];
  readonly bits: 4 | 8;
  readonly block: number;
}

/** All products of a base, by matrix and direction. */
export class MatrixProducts implements Disposable {
  readonly #runtime: Runtime;
  readonly #products = new Map<string, { readonly session: Session; readonly binding: Binding }>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Takes a matrix; its arrays may be used again. */
  add(name: string, direction: ProductDirection, matrix: PackedMatrix): void {
    const graph = productGraph(matrix);
    const session = new Session(this.#runtime, writeOnnx(graph), { name: `${name} ${direction}` });
    this.#products.set(keyOf(name, direction), { session, binding: new Binding(session) });
  }

  /** x [N, inputs], in whatever shape it was made, → y [N, outputs] */
  run(
    name: string,
    direction: ProductDirection,
    { x, y }: { readonly x: Tensor; readonly y: Tensor },
  ): void {
    const product = this.#products.get(keyOf(name, direction));
    if (!product) {
      throw new Error(`Cannot take the ${direction} product of ${name}: it is not there`);
    }
    // Memory is handed over as it was before it was reshaped.
    using rows = x.view(0, [y.shape[0], elementCount(x.shape) / y.shape[0]]);
    product.binding.input("x", rows);
    product.binding.output("y", y);
    product.binding.run();
  }

  /**
   * Runs the products among a graph's operations.
   *
   * @param nameOf the matrix's full name of its name in the graph
   */
  launcher(nameOf: (name: string) => string): LaunchNode {
    return ({ op, attributes }, [x], [y]) => {
      const direction = op === PACKED_LINEAR_GRADIENT ? "backward" : "forward";
      this.run(nameOf(attributes.matrix as string), direction, { x: x!, y });
    };
  }

  [Symbol.dispose](): void {
    for (const { session, binding } of this.#products.values()) {
      binding[Symbol.dispose]();
      session[Symbol.dispose]();
    }
    this.#products.clear();
  }
}

function keyOf(name: string, direction: ProductDirection): string {
  return `${direction} ${name}`;
}

function productGraph(
  { shape: [outputs, inputs], bits, block, data, scales }: PackedMatrix,
): Graph {
  const b = new GraphBuilder("product");
  const blocks = blocksOf(inputs, block);
  const x = b.input("x", "float32", ["n", inputs]);
  const numbers = b.input("numbers", "uint8", [outputs, blocks, block * bits / 8]);
  const factors = b.input("scales", "float32", [outputs, blocks]);
  const weights = { data: numbers, scales: factors, block, bits };
  b.output("y", ops.matMulNBits(b, x, weights, { accuracyLevel: INTEGER_PRODUCTS }));
  return {
    ...b.build(),
    inputs: [x],
    constants: [
      { value: numbers, data },
      { value: factors, data: new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength) },
    ],
  };
}
