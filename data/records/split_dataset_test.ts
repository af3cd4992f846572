import assert from "node:assert/strict";
import { splitDataset } from "./split_dataset.ts";

Deno.test("splitDataset() shuffles and cuts as Python does", () => {
  // random.seed(42); rows = list(range(10)); random.shuffle(rows)
  const order = [7, 3, 2, 8, 5, 6, 9, 4, 0, 1];
  for (const options of [undefined, {}, { trainRatio: 0.9 }, { seed: 42 }]) {
    assert.deepEqual(splitDataset(10, options), {
      train: order.slice(0, 9),
      validation: order.slice(9),
    });
  }
  assert.deepEqual(splitDataset(10, { trainRatio: 0.59 }), {
    train: order.slice(0, 5),
    validation: order.slice(5),
  });
  // random.seed(7)
  assert.deepEqual(splitDataset(10, { seed: 7, trainRatio: 0.5 }).train, [8, 3, 1, 4, 7]);
  const one = splitDataset(2, { trainRatio: 0.5 });
  assert.deepEqual([one.train.length, one.validation.length], [1, 1]);
});

Deno.test("splitDataset() refuses ratios and rows that leave a part empty", () => {
  for (const ratio of [0, 1, -0.1, 1.1, NaN]) {
    assert.throws(() => splitDataset(10, { trainRatio: ratio }), {
      name: "RangeError",
      message:
        `Cannot split 10 rows: the ratio ${ratio} is not between 0 and 1. Choose one such as 0.9`,
    });
  }
  const cases = [
    [1, 0.9, "1 row by 0.9: 0 would be for training and 1 for validation"],
    [3, 0.3, "3 rows by 0.3: 0 would be for training and 3 for validation"],
    [0, 0.5, "0 rows by 0.5: 0 would be for training and 0 for validation"],
  ] as const;
  for (const [rows, trainRatio, problem] of cases) {
    assert.throws(() => splitDataset(rows, { trainRatio }), {
      name: "RangeError",
      message: `Cannot split ${problem}. Add rows or choose another ratio`,
    });
  }
  for (const rows of [2, 3, 4, 2407]) {
    const { train, validation } = splitDataset(rows, { trainRatio: 1 - 2 ** -53 });
    assert.deepEqual([train.length, validation.length], [rows - 1, 1]);
  }
});
