import assert from "node:assert/strict";
import { interleaveRows, type InterleaveRowsOptions } from "./interleave_rows.ts";

const mix = (lengths: readonly number[], options: InterleaveRowsOptions): string[] =>
  Array.from(interleaveRows(lengths, options), ({ source, row }) => `${source}:${row}`);

Deno.test("interleaveRows() takes rows as Hugging Face's interleave_datasets() does", () => {
  // numpy.random.default_rng(42).choice(2, p=[0.7, 0.3]): 1 0 1 0 0 1 …
  const expected = ["1:0", "0:0", "1:1", "0:1", "0:2", "1:2"];
  for (const seed of [42, undefined]) {
    for (const strategy of ["first_exhausted", undefined] as const) {
      const options = { probabilities: [0.7, 0.3], seed, strategy };
      assert.deepEqual(mix([5, 3], options), expected);
    }
  }
  assert.notDeepEqual(mix([5, 3], { probabilities: [0.7, 0.3], seed: 43 }), expected);
  assert.deepEqual(mix([2], { probabilities: [1] }), ["0:0", "0:1"]);
  assert.deepEqual(mix([1], { probabilities: [1] }), ["0:0"]);
});

Deno.test("interleaveRows() goes through smaller sources again until each is exhausted", () => {
  const probabilities = [0.5, 0.2, 0.3];
  const draws = mix([500, 500, 500], { probabilities, seed: 7 }).map((each) => Number(each[0]));
  const lengths = [4, 5, 2];
  const counts = [0, 0, 0];
  const expected: string[] = [];
  for (const source of draws) {
    expected.push(`${source}:${counts[source]++ % lengths[source]}`);
    if (counts.every((count, i) => count >= lengths[i])) break;
  }
  const options = { probabilities, seed: 7, strategy: "all_exhausted" } as const;
  assert.deepEqual(mix(lengths, options), expected);
  const first = draws.findIndex((_, at) =>
    lengths.some((length, i) =>
      draws.slice(0, at + 1).filter((each) => each === i).length === length
    )
  );
  assert.deepEqual(
    mix(lengths, { probabilities, seed: 7 }),
    expected.slice(0, first + 1),
  );
});

Deno.test("interleaveRows() weighs shares that add up to nearly 1 by their sum", () => {
  const exact = mix([300, 300], { probabilities: [0.5, 0.5] });
  assert.deepEqual(mix([300, 300], { probabilities: [0.5000004, 0.5000004] }), exact);
  const rare = mix([900, 900, 900], { probabilities: [0.1, 0.6, 0.3] });
  const shares = ["0", "1", "2"].map((source) =>
    rare.filter((each) => each[0] === source).length / rare.length
  );
  for (const [i, share] of [0.1, 0.6, 0.3].entries()) {
    assert.ok(Math.abs(shares[i] - share) < 0.03, `${shares}`);
  }
});

Deno.test("interleaveRows() refuses shares that are none, and sources without rows", () => {
  const cases: readonly (readonly [number[], number[]])[] = [
    [[5, 3], [1]],
    [[5], [0.5, 0.5]],
    [[5, 3], [1, 0]],
    [[5, 3], [1.5, -0.5]],
    [[5, 3], [0.5, 0.50001]],
    [[5, 3], [0.5, 0.49999]],
    [[5, 3], [0.5, 0.9]],
    [[5, 3], [NaN, 1]],
    [[5, 0], [0.5, 0.5]],
    [[], []],
  ];
  for (const [lengths, probabilities] of cases) {
    assert.throws(() => mix(lengths, { probabilities }), {
      name: "RangeError",
      message: `Cannot mix ${lengths.length} sources of ${lengths.join(", ")} rows by ${
        probabilities.join(", ")
      }: give one share above 0 for each source with rows, which add up to 1`,
    });
  }
});
