import assert from "node:assert/strict";
import { checkRoot, checkSummands } from "./check_arguments.ts";

Deno.test("checkSummands() takes numbers of 32 and 64 bits alone", () => {
  checkSummands("sum", new Float32Array(1));
  checkSummands("sum", new Float64Array(1));
  for (const values of [new Int32Array(1), new Uint8Array(1), [1], undefined]) {
    assert.throws(
      () => checkSummands("sum", values),
      new TypeError("Cannot sum: it sums a Float32Array or a Float64Array"),
    );
  }
});

Deno.test("checkRoot() takes one of the ranks", () => {
  for (const root of [0, 1, 2]) checkRoot(root, 3);
  for (const root of [-1, 3, 0.5, NaN]) {
    assert.throws(
      () => checkRoot(root, 3),
      new RangeError(`Cannot broadcast from rank ${root}: the ranks are 0 to 2`),
    );
  }
});
