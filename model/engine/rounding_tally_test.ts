import assert from "node:assert/strict";
import { float32ToBfloat16 } from "../../ort/tensor/half.ts";
import { RoundingTally } from "./rounding_tally.ts";

function single(values: readonly number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Float32Array.from(values).buffer);
}

function half(values: readonly number[]): Uint8Array<ArrayBuffer> {
  const bits = new Uint16Array(values.length);
  float32ToBfloat16(Float32Array.from(values), bits);
  return new Uint8Array(bits.buffer);
}

Deno.test("a tally of nothing has no result", () => {
  assert.equal(new RoundingTally().result(), undefined);
});

Deno.test("a tally counts what changed and what became 0, and names the matrix with the largest error", () => {
  const tally = new RoundingTally();
  tally.compare("a", "float32", {
    before: Float32Array.of(3, 4, 1),
    after: Float32Array.of(3, 3, 0),
  });
  tally.compare("b", "bfloat16", {
    before: Float32Array.of(2, 0, -1),
    after: Float32Array.of(2, 0, -1),
  });
  tally.compare("c", "float32", {
    before: Float32Array.of(2, -3, 6),
    after: Float32Array.of(0, -3, 4),
  });
  assert.deepEqual(tally.result(), {
    from: ["float32", "bfloat16"],
    ...{ weights: 9, changed: 4, zeroed: 2 },
    // √(4 + 4) ÷ √(4 + 9 + 36), where a's is √2 ÷ √26.
    worst: { name: "c", error: Math.sqrt(8 / 49) },
  });
  // More of a matrix counts with what came before.
  tally.compare("a", "float32", { before: Float32Array.of(1, 1), after: Float32Array.of(4, 1) });
  assert.deepEqual(tally.result(), {
    from: ["float32", "bfloat16"],
    ...{ weights: 11, changed: 5, zeroed: 2 },
    worst: { name: "a", error: Math.sqrt(11 / 28) },
  });
});

Deno.test("the first of matrices without error stands for all", () => {
  const tally = new RoundingTally();
  for (const name of ["a", "b"]) {
    tally.compare(name, "float16", { before: new Float32Array(2), after: new Float32Array(2) });
  }
  assert.deepEqual(tally.result(), {
    from: ["float16"],
    ...{ weights: 4, changed: 0, zeroed: 0, worst: { name: "a", error: 0 } },
  });
});

Deno.test("bytes of two types are compared piece by piece, those of one type not at all", () => {
  const tally = new RoundingTally();
  // More than two pieces of 2^14. Behind the first one number in eight is no bfloat16.
  const values = Array.from(
    { length: 2 * (1 << 14) + 3 },
    (_, i) => i > (1 << 14) + 2 && i % 8 === 5 ? 1 + 2 ** -9 : 1,
  );
  tally.add("w", { bytes: single(values), dtype: "float32" }, {
    ...{ bytes: half(values), dtype: "bfloat16" },
  });
  const changed = values.filter((each) => each !== 1).length;
  const squares = values.reduce((sum, each) => sum + each * each, 0);
  const { worst, ...counts } = tally.result()!;
  assert.deepEqual(counts, { from: ["float32"], weights: values.length, changed, zeroed: 0 });
  assert.equal(worst.name, "w");
  assert.ok(Math.abs(worst.error / Math.sqrt(changed * 2 ** -18 / squares) - 1) < 1e-12);
  // A piece more of it.
  tally.add("w", { bytes: single([1, 1 + 2 ** -9]), dtype: "float32" }, {
    ...{ bytes: half([1, 1]), dtype: "bfloat16" },
  });
  assert.deepEqual(
    [tally.result()!.weights, tally.result()!.changed],
    [values.length + 2, changed + 1],
  );

  const same = new RoundingTally();
  same.add("w", { bytes: half([1, 2, 3]), dtype: "bfloat16" }, {
    ...{ bytes: half([4, 5, 6]), dtype: "bfloat16" },
  });
  assert.deepEqual(same.result(), {
    from: ["bfloat16"],
    ...{ weights: 3, changed: 0, zeroed: 0, worst: { name: "w", error: 0 } },
  });
});
