/**
 * Products with a frozen base's matrices in 8 and 4 bits: whole numbers times whole numbers.
 *
 * In: numbers and scales of a matrix, and a direction. Out: y = x·Wᵀ on tensors. Each matrix is a constant of a
 * session of its own, since ONNX Runtime brings only constants into the order that its kernel wants. That
 * order is then the only copy: the numbers that it was made of may be overwritten.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import { PACKED_LINEAR_GRADIENT } from "../../ort/graph/kernel_ops.ts";
import * as ops from "../../ort/graph/ops.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Binding, Session } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { blocksOf, type ProductDirection } from "../quantization.ts";
import type { LaunchNode } from "./subgraph_sessions.ts";

// The kernel rounds activations to 8 bits as well.
const INTEGER_PRODUCTS = 4;
const NUMBERS = "numbers";

/** A matrix in whole blocks. */
export interface PackedMatrix {
  /** [outputs, inputs] of the product: of the transposed matrix those are exchanged. */
  readonly shape: readonly [outputs: number, inputs: number];
  /** Bits of a number. */
  readonly bits: 4 | 8;
  /** Numbers that share a scale. */
  readonly block: number;
  /** uint8 [outputs, blocks, block·bits/8] */
  readonly numbers: Tensor;
  /** [outputs·blocks] */
  readonly scales: Float32Array<ArrayBuffer>;
}

/** A matrix in a session. */
interface Product {
  readonly session: Session;
  readonly binding: Binding;
  /** The matrix's numbers where the session reads them; none where it has them in another order. */
  readonly numbers: readonly Tensor[];
}

/** All products of a base, by matrix and direction. */
export class MatrixProducts implements Disposable {
  readonly #runtime: Runtime;
  readonly #products = new Map<string, Product>();

  /** None yet. */
  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Takes a matrix; its numbers and scales may be written anew afterwards. */
  add(name: string, direction: ProductDirection, matrix: PackedMatrix): void {
    const model = productModel(matrix);
    const open = (numbers: Tensor): Session =>
      new Session(this.#runtime, model, {
        name: `${name} ${direction}`,
        initializers: { [NUMBERS]: numbers },
      });
    let session = open(matrix.numbers);
    const numbers: Tensor[] = [];
    if (!this.#hasOwn(session, matrix)) {
      session[Symbol.dispose]();
      const { shape } = matrix.numbers;
      const copy = Tensor.from(this.#runtime, "uint8", shape, matrix.numbers.bytes());
      // ONNX Runtime takes a matrix only from memory that it does not own, as a view's is.
      numbers.push(copy.view(0, shape), copy);
      session = open(numbers[0]);
    }
    this.#products.set(keyOf(name, direction), {
      session,
      binding: new Binding(session),
      numbers,
    });
  }

  /** Whether a session reads its own copy of a matrix: whether it goes on as before if a row is changed. */
  #hasOwn(session: Session, { shape: [outputs, inputs], numbers, scales }: PackedMatrix): boolean {
    const scaled = scales.findIndex((scale) => scale !== 0);
    if (scaled < 0) return false;
    const output = Math.floor(scaled * outputs / scales.length);
    using x = Tensor.from(
      this.#runtime,
      "float32",
      [1, inputs],
      Float32Array.from({ length: inputs }, (_, i) => 1 + i % 3),
    );
    using y = Tensor.allocate(this.#runtime, "float32", [1, outputs]);
    using binding = session.bind({ inputs: { x }, outputs: { y } });
    binding.run();
    const before = y.float32()[output];
    const width = numbers.byteLength / outputs;
    const row = numbers.bytes().subarray(output * width, (output + 1) * width);
    const flip = (): void => row.forEach((byte, i) => row[i] = byte ^ 0x55);
    flip();
    binding.run();
    flip();
    return y.float32()[output] === before;
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

  /** Releases all sessions. */
  [Symbol.dispose](): void {
    for (const { session, binding, numbers } of this.#products.values()) {
      binding[Symbol.dispose]();
      session[Symbol.dispose]();
      for (const each of numbers) each[Symbol.dispose]();
    }
    this.#products.clear();
  }
}

function keyOf(name: string, direction: ProductDirection): string {
  return `${direction} ${name}`;
}

/** The numbers come with the session, so that they are in no message that is parsed and copied. */
function productModel(
  { shape: [outputs, inputs], bits, block, numbers, scales }: PackedMatrix,
): Uint8Array<ArrayBuffer> {
  const b = new GraphBuilder("product");
  const x = b.input("x", "float32", ["n", inputs]);
  const data = b.input(NUMBERS, "uint8", numbers.shape);
  const factors = b.input("scales", "float32", [outputs, blocksOf(inputs, block)]);
  const weights = { data, scales: factors, block, bits };
  b.output("y", ops.matMulNBits(b, x, weights, { accuracyLevel: INTEGER_PRODUCTS }));
  const bytes = new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength);
  const graph = { ...b.build(), inputs: [x, data], constants: [{ value: factors, data: bytes }] };
  const place = { location: ".", offset: 0, length: numbers.byteLength };
  return writeOnnx(graph, { external: new Map([[NUMBERS, place]]) });
}
