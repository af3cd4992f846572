import assert from "node:assert/strict";
import {
  assertKernel,
  DeviceArray,
  elements,
  testGpu,
  toNumbers,
} from "../../tests/support/test_gpu.ts";
import { draws } from "../../tests/support/random.ts";
import { PARTIAL_BLOCKS } from "./column_sums.ts";
import { RmsNormGradientKernel } from "./rms_norm_kernels.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;
const EPSILON = 1e-6;

/** Gradients in float64 of rows [rows, width], and what they need of the norm. */
function reference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  dy: ArrayLike<number>,
  past: ArrayLike<number>,
): { dx: Float64Array; dWeight: Float64Array; invStd: Float64Array } {
  const width = weight.length;
  const rows = x.length / width;
  const dx = new Float64Array(x.length);
  const [dWeight, invStd] = [new Float64Array(width), new Float64Array(rows)];
  for (let row = 0; row < rows; row++) {
    const at = (i: number): number => row * width + i;
    let [squares, product] = [0, 0];
    for (let i = 0; i < width; i++) squares += x[at(i)] ** 2;
    const inverse = invStd[row] = 1 / Math.sqrt(squares / width + EPSILON);
    for (let i = 0; i < width; i++) {
      dWeight[i] += dy[at(i)] * x[at(i)] * inverse;
      product += dy[at(i)] * weight[i] * x[at(i)] * inverse;
    }
    for (let i = 0; i < width; i++) {
      const normed = x[at(i)] * inverse;
      dx[at(i)] = inverse * (dy[at(i)] * weight[i] - normed * product / width) + past[at(i)];
    }
  }
  return { dx, dWeight, invStd };
}

// Widths of whole groups of lanes and not, of less than a warp a row, of fewer warps a block.
for (
  const [rows, width] of [[40, 64], [37, 128], [5, 576], [1037, 8], [700, 256], [3, 9216]] as const
) {
  for (const type of ["float32", "bfloat16"] as const) {
    Deno.test({
      name: `RMSNorm's gradients of ${type} [${rows}, ${width}] are float64's`,
      ignore,
      async fn() {
        const kernel = await RmsNormGradientKernel.load(host!.gpu, {
          elements: type,
          weights: type,
          weightGradients: type,
        });
        const draw = draws(width);
        const random = (length: number, scale = 1): Float32Array =>
          Float32Array.from({ length }, () => scale * draw());
        const count = rows * width;
        const [x, dy, past] = [3, 1, 0.5].map((scale) => elements(type, random(count, scale)));
        const weight = elements(type, random(width));
        const blank = (length: number): DeviceArray<Float32Array | Uint16Array> =>
          elements(type, new Float32Array(length).fill(NaN));
        const expected = reference(
          toNumbers(x.data),
          toNumbers(weight.data),
          toNumbers(dy.data),
          toNumbers(past.data),
        );
        // Half a unit in the last place of bfloat16 is 2⁻⁸ of the value, on top of float32's.
        const relative = type === "bfloat16" ? 2 ** -8 + 1e-5 : 2e-6;
        const close = (
          label: string,
          actual: DeviceArray<Float32Array | Uint16Array>,
          to: Float64Array,
        ) => assertKernel(toNumbers(actual.data), to, { relative, relativeToMax: 1e-6, label });

        host!.setOrder(rows);
        const invStd = new DeviceArray(Float32Array.from(expected.invStd));
        const dWeight = elements(type, random(width));
        const before = Float64Array.from(toNumbers(dWeight.data));
        const partials = new DeviceArray(new Float32Array(PARTIAL_BLOCKS * width).fill(NaN));
        const pointers = {
          x: x.address,
          dy: dy.address,
          weight: weight.address,
          invStd: invStd.address,
          past: past.address,
          weightGradient: { partials: partials.address, dWeight: dWeight.address },
        };
        const dx = blank(count);
        kernel.launch(STREAM, { ...pointers, dx: dx.address }, {
          rows,
          width,
          accumulate: true,
        });
        close("dx", dx, expected.dx);
        close("dWeight, added", dWeight, expected.dWeight.map((each, i) => each + before[i]));
        host!.setOrder(1);
        const original = dy.data.slice();
        kernel.launch(STREAM, { ...pointers, dx: dy.address }, { rows, width });
        assert.deepEqual(dy.data, dx.data);
        close("dWeight", dWeight, expected.dWeight);
        const { weightGradient: _, ...frozen } = pointers;
        const alone = blank(count);
        dy.data.set(original as never);
        kernel.launch(STREAM, { ...frozen, dx: alone.address }, { rows, width });
        assert.deepEqual(alone.data, dx.data);
        for (const each of [x, dx, dy, past, invStd, dWeight, partials]) {
          each.assertGuards();
        }
      },
    });
  }
}

Deno.test({
  name:
    "RMSNorm's gradient leaves out what does not reach past the norm, and odd widths are refused",
  ignore,
  async fn() {
    const format = { elements: "float32", weights: "float32", weightGradients: "float32" } as const;
    const kernel = await RmsNormGradientKernel.load(host!.gpu, format);
    // A gradient along x itself changes no direction of it: dx is 0 but for epsilon's share.
    const x = elements("float32", [1, 2, 3, 4, 5, 6, 7, 8]);
    const weight = elements("float32", new Float32Array(8).fill(1));
    const invStd = elements("float32", [1 / Math.sqrt(204 / 8)]);
    const [dx, dWeight, partials] = [8, 8, 8 * PARTIAL_BLOCKS].map((length) =>
      elements("float32", new Float32Array(length).fill(NaN))
    );
    const pointers = {
      x: x.address,
      dy: x.address,
      weight: weight.address,
      invStd: invStd.address,
      dx: dx.address,
      weightGradient: { partials: partials.address, dWeight: dWeight.address },
    };
    kernel.launch(STREAM, pointers, { rows: 1, width: 8 });
    // Measured 9.4e-8.
    assertKernel(dx.data, new Float32Array(8), { absolute: 1e-6, label: "dx" });
    for (const width of [0, 12]) {
      assert.throws(() => kernel.launch(STREAM, pointers, { rows: 1, width }), /multiple of 8/);
    }
    assert.throws(
      () => kernel.launch(STREAM, pointers, { rows: 1, width: 24832 }),
      /rows of 24832 exceed 24576/,
    );
  },
});
