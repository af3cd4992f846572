import assert from "node:assert/strict";
import { DeviceArray, elements, testGpu, toNumbers } from "../../tests/support/test_gpu.ts";
import { ColumnSumsKernel, PARTIAL_BLOCKS } from "./column_sums.ts";
import { elementName } from "./element.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;

for (const type of ["float32", "bfloat16"] as const) {
  Deno.test({
    name: `sums of columns are written to ${type}, or added to what is there`,
    ignore,
    async fn() {
      const kernel = await ColumnSumsKernel.load(host!.gpu, type);
      for (const [blocks, width, pitch] of [[1, 1, 1], [7, 33, 40], [8, 32, 32], [19, 70, 71]]) {
        // Small whole numbers, of which all sums are exact.
        const value = (row: number, column: number) => (3 * row + 5 * column) % 7 - 2;
        const numbers = Float32Array.from(
          { length: blocks * pitch },
          (_, i) => i % pitch < width ? value(Math.floor(i / pitch), i % pitch) : NaN,
        );
        const partials = new DeviceArray(numbers);
        const sums = Array.from({ length: width }, (_, column) => {
          let sum = 0;
          for (let row = 0; row < blocks; row++) sum += value(row, column);
          return sum;
        });
        for (const accumulate of [false, true]) {
          const to = elements(type, Float32Array.from(sums, (_, i) => accumulate ? i % 5 : NaN));
          const pointers = { partials: partials.address, to: to.address };
          kernel.launch(STREAM, pointers, { blocks, width, pitch, accumulate });
          assert.deepEqual(
            Array.from(toNumbers(to.data)),
            sums.map((sum, i) => sum + (accumulate ? i % 5 : 0)),
          );
          to.assertGuards();
        }
        partials.assertGuards();
      }
    },
  });
}

Deno.test({
  name: "rows of partial sums lie one after another unless they are told otherwise",
  ignore,
  async fn() {
    const kernel = await ColumnSumsKernel.load(host!.gpu, "float32");
    const partials = new DeviceArray(Float32Array.of(1, 2, 3, 10, 20, 30));
    const to = new DeviceArray(new Float32Array(3));
    const pointers = { partials: partials.address, to: to.address };
    kernel.launch(STREAM, pointers, { blocks: 2, width: 3, accumulate: false });
    assert.deepEqual([...to.data], [11, 22, 33]);
  },
});

Deno.test("all devices have the same number of partial sums, and types their names in C", () => {
  assert.equal(PARTIAL_BLOCKS, 256);
  assert.deepEqual(["float32", "bfloat16"].map((type) => elementName(type as "float32")), [
    "float",
    "bf16",
  ]);
});
