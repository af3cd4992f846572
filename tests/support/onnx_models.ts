/** Small ONNX models as bytes, for tests below the engine. */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import * as ops from "../../ort/graph/ops.ts";

/** y = x·w + c with x [n, 2], w [2, 2] and c [2]; also answers x + x as `twice`. */
export function affineModel(): Uint8Array<ArrayBuffer> {
  const b = new GraphBuilder("affine");
  const x = b.input("x", "float32", ["n", 2]);
  const w = b.input("w", "float32", [2, 2]);
  b.output("y", ops.gemm(b, x, w, { c: b.input("c", "float32", [2]) }));
  b.output("twice", ops.add(b, x, x));
  return writeOnnx(b.build());
}

/** y = x·x elementwise and z = x·w, with x [n, n] and w [n, n]. */
export function productsModel(): Uint8Array<ArrayBuffer> {
  const b = new GraphBuilder("products");
  const x = b.input("x", "float32", ["n", "n"]);
  const w = b.input("w", "float32", ["n", "n"]);
  b.output("scaled", ops.mul(b, x, w));
  b.output("product", ops.gemm(b, x, w));
  return writeOnnx(b.build());
}

/** A model with an operation that does not exist. */
export function unknownOpModel(): Uint8Array<ArrayBuffer> {
  const b = new GraphBuilder("unknown");
  const x = b.input("x", "float32", [2]);
  b.output("y", b.node("NoSuchOp", [x], [x])[0]);
  return writeOnnx(b.build());
}
