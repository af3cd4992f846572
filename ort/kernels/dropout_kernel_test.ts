import assert from "node:assert/strict";
import { DeviceArray, elements, testGpu, toNumbers } from "../../tests/support/test_gpu.ts";
import { draws } from "../../tests/support/random.ts";
import { DropoutKernel } from "./dropout_kernel.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;

for (const type of ["float32", "bfloat16"] as const) {
  for (const [rows, width] of [[5, 64], [3, 2056], [1, 8]]) {
    Deno.test({
      name: `dropout of ${type} [${rows}, ${width}] keeps what its hash says, and all else is 0`,
      ignore,
      async fn() {
        const kernel = await DropoutKernel.load(host!.gpu, type);
        const draw = draws(width);
        const odd = (length: number): Int32Array<ArrayBuffer> =>
          Int32Array.from({ length }, () => Math.floor(draw(-1, 1) * 2 ** 31) | 1);
        const factors = { rows: odd(rows), columns: odd(width) };
        const x = elements(type, Float32Array.from({ length: rows * width }, () => draw(1, 2)));
        const [y, inPlace] = [
          elements(type, new Float32Array(rows * width).fill(NaN)),
          elements(
            type,
            toNumbers(x.data),
          ),
        ];
        const [byRow, byColumn] = [factors.rows, factors.columns].map((each) =>
          new DeviceArray(each)
        );
        const above = Math.round(0.3 * 2 ** 32) - 2 ** 31 - 1;
        const expected = Array.from(toNumbers(x.data), (value, i) => {
          const product = Math.imul(
            factors.rows[Math.floor(i / width)],
            factors.columns[i % width],
          );
          return product > above ? value : 0;
        });
        const pointers = { rows: byRow.address, columns: byColumn.address };
        const sizes = { rows, width, above };
        kernel.launch(STREAM, { ...pointers, x: x.address, y: y.address }, sizes);
        assert.deepEqual(Array.from(toNumbers(y.data)), expected);
        if (width > 8) assert.ok(expected.includes(0) && expected.some((value) => value > 0));
        host!.setOrder(3);
        kernel.launch(STREAM, { ...pointers, x: inPlace.address, y: inPlace.address }, sizes);
        assert.deepEqual(Array.from(toNumbers(inPlace.data)), expected);
        for (const each of [x, y, inPlace, byRow, byColumn]) each.assertGuards();
      },
    });
  }
}

Deno.test({
  name: "dropout refuses rows that its loads do not fit",
  ignore,
  async fn() {
    const kernel = await DropoutKernel.load(host!.gpu, "float32");
    const pointers = { x: 16n, rows: 16n, columns: 16n, y: 16n };
    assert.throws(
      () => kernel.launch(0n, pointers, { rows: 1, width: 12, above: 0 }),
      /rows of 12: the width must be a multiple of 8/,
    );
  },
});
