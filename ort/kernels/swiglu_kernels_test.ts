import assert from "node:assert/strict";
import { assertKernel, elements, testGpu, toNumbers } from "../../tests/support/test_gpu.ts";
import { draws } from "../../tests/support/random.ts";
import { SwigluKernels } from "./swiglu_kernels.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;
const [ROWS, WIDTH] = [37, 72];

for (const type of ["float32", "bfloat16"] as const) {
  Deno.test({
    name: `SwiGLU of ${type} and its gradients are float64's, side by side and in place`,
    ignore,
    async fn() {
      const kernels = await SwigluKernels.load(host!.gpu, type);
      const draw = draws(1);
      const random = (length: number, scale: number): Float32Array =>
        Float32Array.from({ length }, () => scale * draw());
      // Gate and up as halves of one product; gates far out on both sides.
      const stride = 2 * WIDTH;
      const both = elements(type, random(ROWS * stride, 20));
      const dProduct = elements(type, random(ROWS * WIDTH, 1));
      const product = elements(type, new Float32Array(ROWS * WIDTH).fill(NaN));
      const up = BigInt(WIDTH * both.data.BYTES_PER_ELEMENT);
      const [values, upstream] = [both, dProduct].map(({ data }) => toNumbers(data));
      const expected = { product: [] as number[], both: new Float64Array(ROWS * stride) };
      for (let row = 0; row < ROWS; row++) {
        for (let i = 0; i < WIDTH; i++) {
          const [g, u] = [values[row * stride + i], values[row * stride + WIDTH + i]];
          const d = upstream[row * WIDTH + i];
          const s = 1 / (1 + Math.exp(-g));
          expected.product.push(g * s * u);
          expected.both[row * stride + i] = d * u * s * (1 + g * (1 - s));
          expected.both[row * stride + WIDTH + i] = d * g * s;
        }
      }
      const relative = type === "bfloat16" ? 2 ** -8 + 1e-5 : 1e-5;
      const close = (label: string, actual: ArrayLike<number>, to: ArrayLike<number>): void =>
        assertKernel(actual, to, { relative, absolute: 1e-6, label });
      const sizes = { rows: ROWS, width: WIDTH, stride };
      const inputs = { gate: both.address, up: both.address + up };
      kernels.forward(STREAM, { ...inputs, product: product.address }, sizes);
      close("product", toNumbers(product.data), expected.product);

      const gradients = elements(type, new Float32Array(ROWS * stride).fill(NaN));
      for (const { address } of [gradients, both]) {
        kernels.backward(STREAM, {
          ...inputs,
          dProduct: dProduct.address,
          dGate: address,
          dUp: address + up,
        }, sizes);
      }
      close("gradients", toNumbers(gradients.data), expected.both);
      assert.deepEqual(both.data, gradients.data);
      for (const each of [both, dProduct, product, gradients]) each.assertGuards();
    },
  });
}

Deno.test({
  name: "SwiGLU refuses rows that its loads do not fit",
  ignore,
  async fn() {
    const kernels = await SwigluKernels.load(host!.gpu, "float32");
    const pointers = { gate: 16n, up: 16n, product: 16n };
    assert.throws(() => kernels.forward(0n, pointers, { rows: 1, width: 12 }), /multiples of 8/);
    assert.throws(
      () => kernels.forward(0n, pointers, { rows: 1, width: 8, stride: 12 }),
      /multiples of 8/,
    );
  },
});
