import assert from "node:assert/strict";
import {
  assertKernel,
  DeviceArray,
  elements,
  HARDWARE_SLACK,
  testGpu,
  toNumbers,
} from "../../tests/support/test_gpu.ts";
import { draws } from "../../tests/support/random.ts";
import { CrossEntropyKernel } from "./cross_entropy_kernels.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;
const FACTOR = 0.125;

/** Loss and gradient in float64. */
function reference(
  logits: ArrayLike<number>,
  targets: readonly number[],
  { vocabulary, stride }: { vocabulary: number; stride: number },
): { losses: number[]; gradient: number[] } {
  const gradient = Array.from(logits);
  const losses = targets.map((target, row) => {
    const x = Array.from({ length: vocabulary }, (_, i) => logits[row * stride + i]);
    const max = Math.max(...x);
    const sum = x.reduce((sum, each) => sum + Math.exp(each - max), 0);
    x.forEach((each, i) => {
      const p = Math.exp(each - max) / sum - (i === target ? 1 : 0);
      gradient[row * stride + i] = target < 0 ? 0 : p * FACTOR;
    });
    return target < 0 ? 0 : Math.log(sum) + max - x[target];
  });
  return { losses, gradient };
}

for (const type of ["float32", "bfloat16"] as const) {
  // Vocabularies: in eights; with a tail and aligned rows; with rows that are not aligned.
  for (const [vocabulary, stride] of [[9216, 9216], [261, 264], [261, 261]]) {
    Deno.test({
      name: `cross-entropy of ${type} logits, ${vocabulary} of ${stride}, is float64's in place`,
      ignore,
      async fn() {
        const kernel = await CrossEntropyKernel.load(host!.gpu, type);
        const draw = draws(1);
        const targets = [0, vocabulary - 1, -100, 17];
        const rows = targets.length;
        // A wide range, and a row far from zero, where only the subtracted maximum helps.
        const values = Float32Array.from(
          { length: rows * stride },
          (_, i) => draw(-12, 12) + (i >= 3 * stride ? 300 : 0),
        );
        // What no token may be: all that some threads look at, and the ends of a row.
        for (const row of [1, 3]) {
          const barred = values.subarray(row * stride, row * stride + vocabulary);
          barred.fill(-Infinity, row === 1 ? 0 : 18, vocabulary - (row === 1 ? 1 : 0));
        }
        for (const wide of [false, true]) {
          const logits = elements(type, values);
          const expected = reference(toNumbers(logits.data), targets, { vocabulary, stride });
          const losses = new DeviceArray(new Float32Array(rows).fill(NaN));
          const ids = new DeviceArray(
            wide ? BigInt64Array.from(targets, BigInt) : Int32Array.from(targets),
          );
          const factor = new DeviceArray(Float32Array.of(FACTOR));
          const pointers = {
            logits: logits.address,
            targets: ids.address,
            factor: factor.address,
            losses: losses.address,
          };
          const sizes = { rows, vocabulary, stride, targets: wide ? "int64" : "int32" } as const;
          host!.setOrder(wide ? 9 : 1);
          const before = logits.data.slice();
          kernel.launch(STREAM, pointers, { ...sizes, gradient: false });
          assert.deepEqual(logits.data, before);
          // Measured 1.0e-6, on losses up to 24.
          assertKernel(losses.data, expected.losses, {
            absolute: 5e-6 * HARDWARE_SLACK,
            label: "losses",
          });
          kernel.launch(STREAM, pointers, sizes);
          assertKernel(losses.data, expected.losses, {
            absolute: 5e-6 * HARDWARE_SLACK,
            label: "losses",
          });
          // Half a unit in the last place of bfloat16 is 2⁻⁸ of the value; float32 measured 2.7e-6.
          const relative = type === "bfloat16" ? 2 ** -8 + 1e-5 : 1e-5;
          assertKernel(toNumbers(logits.data), expected.gradient, {
            relative,
            absolute: 1e-9,
            label: "gradient",
          });
          logits.assertGuards();
          losses.assertGuards();
        }
      },
    });
  }
}

Deno.test({
  name: "cross-entropy refuses rows that overlap and logits that are not aligned",
  ignore,
  async fn() {
    const kernel = await CrossEntropyKernel.load(host!.gpu, "float32");
    const pointers = { logits: 16n, targets: 16n, factor: 16n, losses: 16n };
    const sizes = { rows: 1, vocabulary: 8, targets: "int32" } as const;
    assert.throws(() => kernel.launch(0n, pointers, { ...sizes, stride: 7 }), /rows 7 apart/);
    assert.throws(() => kernel.launch(0n, { ...pointers, logits: 8n }, sizes), /aligned/);
  },
});
