import assert from "node:assert/strict";
import process from "node:process";
import { openObjects } from "../../tests/support/open_objects.ts";
import { draws } from "../../tests/support/random.ts";
import { PACKED_LINEAR, PACKED_LINEAR_GRADIENT } from "../../ort/graph/kernel_ops.ts";
import { KERNEL_DOMAIN } from "../../ort/graph/ir.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { MatrixProducts, type PackedMatrix } from "./matrix_products.ts";

const runtime = new Runtime({ threads: 2 });

const BLOCK = 32;

/** A matrix of whole numbers in blocks, as MatMulNBits reads it, and what it stands for. */
function packed(
  bits: 4 | 8,
  [outputs, inputs]: readonly [number, number],
  scaleOf = (at: number): number => 0.01 * (1 + at),
): PackedMatrix & { readonly dense: Float64Array; readonly numbers: Tensor } {
  const blocks = Math.ceil(inputs / BLOCK);
  const draw = draws(outputs * bits);
  const bytes = new Uint8Array(outputs * blocks * BLOCK * bits / 8);
  const scales = Float32Array.from({ length: outputs * blocks }, (_, at) => scaleOf(at));
  const dense = new Float64Array(outputs * inputs);
  const zero = bits === 4 ? 8 : 128;
  for (let output = 0; output < outputs; output++) {
    for (let i = 0; i < blocks * BLOCK; i++) {
      const place = output * blocks * BLOCK + i;
      const number = i < inputs ? Math.floor(draw(0, 2 * zero)) : zero;
      // Of two numbers in a byte the lower half is the first.
      if (bits === 8) bytes[place] = number;
      else bytes[place >> 1] |= number << (place % 2 === 0 ? 0 : 4);
      if (i < inputs) {
        dense[output * inputs + i] = (number - zero) * scales[Math.floor(place / BLOCK)];
      }
    }
  }
  // A view, as those of a Scratch are: ONNX Runtime takes no memory of its own for a matrix.
  const numbers = Tensor.from(runtime, "uint8", [bytes.length], bytes)
    .view(0, [outputs, blocks, BLOCK * bits / 8]);
  return { shape: [outputs, inputs], bits, block: BLOCK, numbers, scales, dense };
}

/** Whole numbers, of which each block's largest is 127: rounded to 8 bits they are as they were. */
function wholeNumbers(rows: number, columns: number): Float32Array<ArrayBuffer> {
  const draw = draws(7);
  return Float32Array.from(
    { length: rows * columns },
    (_, i) => i % columns % BLOCK === 0 ? 127 : Math.floor(draw(-127, 128)),
  );
}

function assertProduct(
  y: Tensor,
  { x, matrix: { dense, shape: [outputs, inputs] }, label }: {
    readonly x: Float32Array;
    readonly matrix: ReturnType<typeof packed>;
    readonly label: string;
  },
): void {
  const rows = x.length / inputs;
  const expected = Array.from({ length: rows * outputs }, (_, at) => {
    const [row, output] = [Math.floor(at / outputs), at % outputs];
    let sum = 0;
    for (let i = 0; i < inputs; i++) sum += x[row * inputs + i] * dense[output * inputs + i];
    return sum;
  });
  // Sums are float32's.
  assertClose(y.float32(), expected, { relativeToMax: 2e-6, label });
}

for (const bits of [4, 8] as const) {
  Deno.test(`products of ${bits} bits are those of the matrix's numbers, whatever becomes of these`, () => {
    using products = new MatrixProducts(runtime);
    // The last block of a row is a part, forwards and backwards.
    const [forward, backward] = [packed(bits, [48, 40]), packed(bits, [40, 48])];
    const other = packed(bits, [3, 40]);
    products.add("w", "forward", forward);
    products.add("w", "backward", backward);
    products.add("v", "forward", other);
    const before = packed(bits, [48, 40]).numbers.bytes();
    assert.deepEqual(forward.numbers.bytes(), before);
    for (const { numbers, scales } of [forward, backward, other]) {
      numbers.bytes().fill(0);
      scales.fill(NaN);
    }
    const x = wholeNumbers(2, 40);
    using narrow = Tensor.from(runtime, "float32", [2, 40], x);
    using y = Tensor.allocate(runtime, "float32", [2, 48]);
    products.run("w", "forward", { x: narrow, y });
    assertProduct(y, { x, matrix: forward, label: "forward" });
    // In whatever shape it was made.
    const dy = wholeNumbers(6, 48);
    using wide = Tensor.from(runtime, "float32", [2, 3, 48], dy);
    using dx = Tensor.allocate(runtime, "float32", [6, 40]);
    products.run("w", "backward", { x: wide, y: dx });
    assertProduct(dx, { x: dy, matrix: backward, label: "backward" });
    using z = Tensor.allocate(runtime, "float32", [2, 3]);
    products.run("v", "forward", { x: narrow, y: z });
    assertProduct(z, { x, matrix: other, label: "another matrix" });
  });
}

Deno.test("a matrix of which rows or all are zero is as any other", () => {
  using products = new MatrixProducts(runtime);
  const x = wholeNumbers(1, 64);
  using narrow = Tensor.from(runtime, "float32", [1, 64], x);
  using y = Tensor.allocate(runtime, "float32", [1, 5]);
  // Blocks of which the first four, all but the last, and all are 0.
  for (const zeros of [4, 9, 10]) {
    const matrix = packed(4, [5, 64], (at) => at < zeros ? 0 : 0.5);
    products.add(`${zeros}`, "forward", matrix);
    matrix.numbers.bytes().fill(0);
    matrix.scales.fill(1);
    y.float32().fill(NaN);
    products.run(`${zeros}`, "forward", { x: narrow, y });
    if (zeros === 10) assert.deepEqual([...y.float32()], [0, 0, 0, 0, 0]);
    else assertProduct(y, { x, matrix, label: `${zeros} blocks of zeros` });
  }
});

Deno.test("activations are rounded to 8 bits, block by block", () => {
  using products = new MatrixProducts(runtime);
  const matrix = packed(8, [3, 40]);
  products.add("w", "forward", matrix);
  // Of a block whose largest is 127 steps what is under half a step is nothing.
  const x = wholeNumbers(1, 40);
  using narrow = Tensor.from(
    runtime,
    "float32",
    [1, 40],
    x.map((each, i) => i % 5 ? each : each + 0.4),
  );
  narrow.float32()[0] = narrow.float32()[32] = 127;
  using y = Tensor.allocate(runtime, "float32", [1, 3]);
  products.run("w", "forward", { x: narrow, y });
  assertProduct(y, { x, matrix, label: "rounded" });
});

Deno.test("a matrix is a session, which has its numbers or keeps a copy, and all are released", () => {
  using own = new Runtime({ threads: 1 });
  const open = openObjects(own);
  const products = new MatrixProducts(own);
  const matrix = (zeros: number) => packed(4, [5, 64], (at) => at < zeros ? 0 : 0.5);
  products.add("none", "forward", matrix(10));
  // Where nothing shows whose numbers they are, there is a copy, and a view of it.
  assert.deepEqual(open(), { sessions: 1, bindings: 1, tensors: 2 });
  // Others are in the kernel's own order, on this processor.
  if (process.arch === "x64") {
    for (const zeros of [0, 4, 9]) products.add(`${zeros}`, "forward", matrix(zeros));
    assert.deepEqual(open(), { sessions: 4, bindings: 4, tensors: 2 });
  }
  products[Symbol.dispose]();
  assert.deepEqual(open(), { sessions: 0, bindings: 0, tensors: 0 });
});

Deno.test("a graph's operations run the product of their matrix's full name and their direction", () => {
  using products = new MatrixProducts(runtime);
  const [forward, backward] = [packed(8, [3, 40]), packed(8, [40, 3])];
  products.add("model.layers.1.w", "forward", forward);
  products.add("model.layers.1.w", "backward", backward);
  const launch = products.launcher((name) => `model.layers.1.${name}`);
  const node = (op: string) =>
    ({ op, domain: KERNEL_DOMAIN, inputs: [], outputs: [], attributes: { matrix: "w" } }) as const;
  const x = wholeNumbers(2, 40);
  using input = Tensor.from(runtime, "float32", [2, 40], x);
  using y = Tensor.allocate(runtime, "float32", [2, 3]);
  launch(node(PACKED_LINEAR), [input], [y]);
  assertProduct(y, { x, matrix: forward, label: "forward" });
  const dy = Float32Array.of(127, -5, 90, 0, 127, 3);
  using gradient = Tensor.from(runtime, "float32", [2, 3], dy);
  using dx = Tensor.allocate(runtime, "float32", [2, 40]);
  launch(node(PACKED_LINEAR_GRADIENT), [gradient], [dx]);
  assertProduct(dx, { x: dy, matrix: backward, label: "backward" });
});

Deno.test("a product that was not added, or is gone, is named", () => {
  const products = new MatrixProducts(runtime);
  products.add("w", "forward", packed(8, [3, 40]));
  using x = Tensor.from(runtime, "float32", [1, 40], wholeNumbers(1, 40));
  using y = Tensor.allocate(runtime, "float32", [1, 3]);
  const missing = (name: string, direction: "forward" | "backward"): void =>
    assert.throws(() => products.run(name, direction, { x, y }), {
      message: `Cannot take the ${direction} product of ${name}: it is not there`,
    });
  missing("w", "backward");
  missing("v", "forward");
  products.run("w", "forward", { x, y });
  products[Symbol.dispose]();
  missing("w", "forward");
});
