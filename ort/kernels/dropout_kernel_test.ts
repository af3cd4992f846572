import assert from "node:assert/strict";
import { DeviceArray, elements, testGpu, toNumbers } from "../../tests/support/test_gpu.ts";
import { draws, factorOf } from "../../tests/support/random.ts";
import { DropoutKernel } from "./dropout_kernel.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;

const odds = (length: number): Int32Array<ArrayBuffer> =>
  Int32Array.from({ length }, (_, i) => 2 * i + 1);

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
        // A product of odd numbers, so that one can be the threshold itself, which is dropped.
        const above = (Math.round(0.3 * 2 ** 32) - 2 ** 31 - 1) | 1;
        factors.columns[0] = factorOf(above, factors.rows[0]);
        assert.equal(Math.imul(factors.rows[0], factors.columns[0]), above);
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
  name: "dropout keeps NaN and infinities as CUDA rounds them to bfloat16",
  ignore,
  async fn() {
    const kernel = await DropoutKernel.load(host!.gpu, "bfloat16");
    const bits = Uint16Array.of(0x7fc0, 0xffc1, 0x7f81, 0x7f80, 0xff80, 0x8000, 0x3f80, 1);
    const x = new DeviceArray(bits);
    const y = new DeviceArray(new Uint16Array(8));
    const [rows, columns] = [new DeviceArray(Int32Array.of(1)), new DeviceArray(odds(8))];
    const pointers = { rows: rows.address, columns: columns.address };
    const sizes = { rows: 1, width: 8, above: -(2 ** 31) };
    kernel.launch(STREAM, { ...pointers, x: x.address, y: y.address }, sizes);
    // Every NaN becomes the one that PTX's cvt has.
    const expected = [0x7fff, 0x7fff, 0x7fff, ...bits.subarray(3)];
    assert.deepEqual([...y.data], expected);
  },
});

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
