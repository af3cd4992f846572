import assert from "node:assert/strict";
import { broadcast, type Dim, evaluateDim, evaluateShape, product, sameShape } from "./dim.ts";

Deno.test("product() has one normal form: the number first, then the symbols sorted", () => {
  const cases: [Dim[], Dim][] = [
    [[], 1],
    [[2, 3], 6],
    [["rows"], "rows"],
    [["rows", "length"], "length*rows"],
    [["length", "rows"], "length*rows"],
    [["rows", 2, "length", 3], "6*length*rows"],
    [["2*rows", "3*length"], "6*length*rows"],
    [["rows", "rows"], "rows*rows"],
    [["rows", 1], "rows"],
    [["1*rows"], "rows"],
    [["rows*2"], "2*rows"],
    [["rows", 0], 0],
    [["2*3"], 6],
  ];
  for (const [dims, expected] of cases) assert.equal(product(...dims), expected, dims.join(" · "));
});

Deno.test("evaluateDim() multiplies what the symbols stand for", () => {
  assert.equal(evaluateDim("6*length*rows", { rows: 2, length: 5 }), 60);
  assert.equal(evaluateDim("rows*rows", { rows: 3 }), 9);
  assert.equal(evaluateDim(7, {}), 7);
  assert.deepEqual(evaluateShape(["rows", 4, "2*rows"], { rows: 3 }), [3, 4, 6]);
});

Deno.test("evaluateDim() names a symbol without a value", () => {
  assert.throws(() => evaluateDim("length*rows", { rows: 2 }), {
    name: "ReferenceError",
    message: 'Cannot evaluate dimension length*rows: no value for "length"',
  });
});

Deno.test("sameShape() compares rank and every dimension", () => {
  assert.ok(sameShape(["rows", 2], ["rows", 2]));
  assert.ok(!sameShape(["rows", 2], ["rows"]));
  assert.ok(!sameShape(["rows", 2], ["rows", 3]));
  assert.ok(!sameShape(["rows"], ["length"]));
});

Deno.test("broadcast() stretches ones and aligns shapes at their ends", () => {
  assert.deepEqual(broadcast(["rows", 1, 4], [3, 1]), ["rows", 3, 4]);
  assert.deepEqual(broadcast([], ["length*rows", 2]), ["length*rows", 2]);
  assert.deepEqual(broadcast([1], [1]), [1]);
  assert.deepEqual(broadcast([4], ["rows", 1]), ["rows", 4]);
});

Deno.test("broadcast() refuses sizes that differ, known or not", () => {
  assert.throws(() => broadcast([2, 3], [2, 4]), {
    name: "RangeError",
    message: "Cannot broadcast shapes [2,3] and [2,4]: 3 against 4",
  });
  assert.throws(() => broadcast(["rows"], ["length"]), /rows against length/);
  assert.throws(() => broadcast(["rows"], [2]), /rows against 2/);
});
