import assert from "node:assert/strict";
import { assertClose } from "./assert_close.ts";

Deno.test("assertClose() returns the largest errors and the worst index", () => {
  const closeness = assertClose([1, 2.5, 100], [1, 2, 101], { relative: 0.3, label: "x" });
  assert.deepEqual(closeness, { maxAbsolute: 1, maxRelative: 0.25, worstIndex: 1 });
  // Of two that are as far off the first one.
  assert.equal(assertClose([1, 3, 3], [1, 2, 2], { absolute: 1, label: "x" }).worstIndex, 1);
  assert.deepEqual(assertClose([], [], { label: "x" }), {
    maxAbsolute: 0,
    maxRelative: 0,
    worstIndex: -1,
  });
});

Deno.test("assertClose() reports label, index, values and both errors", () => {
  assert.throws(() => assertClose([1, 2, 3.5], [1, 2.25, 3], { absolute: 0.1, label: "dW" }), {
    name: "Error",
    message: "Cannot accept dW: 2 of 3 elements differ too much, worst at index 2: actual 3.5, " +
      "expected 3, absolute error 0.5, relative error 0.16666666666666666 (allowed: absolute 0.1, " +
      "relative 0, relativeToMax 0 of 3)",
  });
});

Deno.test("assertClose() fails on NaN on either side, whatever the tolerance", () => {
  for (const [a, e] of [[NaN, 1], [1, NaN], [NaN, NaN]]) {
    assert.throws(
      () => assertClose([0, a], [0, e], { absolute: 1e300, label: "x" }),
      /worst at index 1.*absolute error Infinity/,
    );
  }
});

Deno.test("assertClose() takes equal infinities and no others", () => {
  assertClose([Infinity, -Infinity], [Infinity, -Infinity], { label: "x" });
  for (const [a, e] of [[Infinity, -Infinity], [Infinity, 1], [1, Infinity], [1e308, -Infinity]]) {
    const options = { absolute: 1, relative: 1, relativeToMax: 1, label: "x" };
    assert.throws(() => assertClose([a], [e], options), /differ too much/);
  }
});

Deno.test("assertClose() without tolerance wants equality, and 0 is relative to nothing", () => {
  assertClose([1, -0], [1, 0], { label: "x" });
  assert.throws(() => assertClose([1e-9], [0], { relative: 1, label: "x" }), /error Infinity \(/);
});

Deno.test("assertClose() measures relativeToMax against the largest expected value", () => {
  assertClose([0.5, 100], [0, 100], { relativeToMax: 0.01, label: "x" });
  assert.throws(() => assertClose([1.5, 100], [0, 100], { relativeToMax: 0.01, label: "x" }));
});

Deno.test("assertClose() refuses unequal lengths and bad tolerances", () => {
  assert.throws(() => assertClose([1], [1, 2], { label: "x" }), {
    message: "Cannot accept x: it has 1 elements, expected 2",
  });
  for (const absolute of [NaN, -1, Infinity]) {
    assert.throws(() => assertClose([1], [1], { absolute, label: "x" }), RangeError);
  }
});

Deno.test("assertClose() adds all three tolerances, and takes an error as large as they are", () => {
  const options = { absolute: 1, relative: 0.5, relativeToMax: 0.25, label: "x" };
  // 1 + 0.25·16 + 0.5·4 = 7.
  assert.deepEqual(assertClose([11, 16], [4, 16], options), {
    maxAbsolute: 7,
    maxRelative: 1.75,
    worstIndex: 0,
  });
  assert.throws(() => assertClose([11.5, 16], [4, 16], options), {
    message:
      "Cannot accept x: 1 of 2 elements differ too much, worst at index 0: actual 11.5, expected 4, absolute " +
      "error 7.5, relative error 1.875 (allowed: absolute 1, relative 0.5, relativeToMax 0.25 of 16)",
  });
  // The largest finite one counts, whatever its sign.
  assertClose([1, Infinity], [-3, Infinity], { relativeToMax: 4 / 3 + 1e-9, label: "x" });
  for (const name of ["absolute", "relative", "relativeToMax"]) {
    assert.throws(() => assertClose([1], [1], { [name]: -1, label: "x" }), {
      message: `Cannot compare x: ${name} -1 is no tolerance. Give a finite number from 0 on`,
    });
  }
});

Deno.test("assertClose() tells the largest errors of all elements, of 0 that was missed an infinite one", () => {
  const options = { absolute: 5, label: "x" };
  assert.deepEqual(assertClose([0, 12, 2], [0, 8, 1], options), {
    maxAbsolute: 4,
    maxRelative: 1,
    worstIndex: 1,
  });
  assert.equal(assertClose([1, 1], [0, 1], options).maxRelative, Infinity);
});
