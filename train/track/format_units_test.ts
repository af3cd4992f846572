import assert from "node:assert/strict";
import {
  byteUnit,
  formatBytes,
  formatCount,
  formatDuration,
  formatLearningRate,
  formatLoss,
  formatRate,
} from "./format_units.ts";

const tables: { name: string; format: (value: number) => string; rows: [number, string][] }[] = [
  {
    name: "formatDuration() writes h:mm:ss",
    format: formatDuration,
    rows: [
      [0, "0:00:00"],
      [59.4, "0:00:59"],
      [59.6, "0:01:00"],
      [3725, "1:02:05"],
      [3599.9, "1:00:00"],
      [100 * 3600, "100:00:00"],
      [NaN, "-:--:--"],
      [Infinity, "-:--:--"],
      [-1, "-:--:--"],
    ],
  },
  {
    name: "formatCount() groups small counts and scales large ones",
    format: formatCount,
    rows: [
      [0, "0"],
      [999, "999"],
      [1000, "1,000"],
      [99_999, "99,999"],
      [100_000, "100k"],
      [999_600, "1.00M"],
      [596_049_920, "596M"],
      [1_720_574_976, "1.72B"],
      [2e15, "2000T"],
      [-12_345, "-12,345"],
      [NaN, "NaN"],
      [-Infinity, "-inf"],
    ],
  },
  {
    name: "formatBytes() uses binary units",
    format: formatBytes,
    rows: [
      [0, "0 B"],
      [1023, "1023 B"],
      [1024, "1.00 KiB"],
      [1024 ** 2 - 1, "1.00 MiB"],
      [1_192_099_840, "1.11 GiB"],
      [Infinity, "inf"],
    ],
  },
  {
    name: "formatLoss() keeps the digits that say something",
    format: formatLoss,
    rows: [
      [1.23456, "1.2346"],
      [0, "0.0000"],
      [12.5, "12.5000"],
      [151936, "1.519e+5"],
      [1234.56, "1234.6"],
      [0.0000123, "1.23e-5"],
      [NaN, "NaN"],
      [Infinity, "inf"],
    ],
  },
  {
    name: "formatLearningRate() writes an exponent",
    format: formatLearningRate,
    rows: [[0.0001, "1.00e-4"], [0, "0"], [2.5e-6, "2.50e-6"], [NaN, "NaN"]],
  },
  {
    name: "formatRate() keeps decimals of slow rates",
    format: (value) => formatRate(value),
    rows: [[1234.5, "1,235 tok/s"], [0.25, "0.25 tok/s"], [0, "0 tok/s"], [Infinity, "inf tok/s"]],
  },
];

for (const { name, format, rows } of tables) {
  Deno.test(name, () => {
    for (const [value, text] of rows) assert.equal(format(value), text, String(value));
  });
}

Deno.test("byteUnit() is the unit that formatBytes() writes", () => {
  assert.deepEqual(byteUnit(1000), { name: "B", size: 1 });
  assert.deepEqual(byteUnit(1500), { name: "KiB", size: 1024 });
  assert.deepEqual(byteUnit(9.6 * 2 ** 30), { name: "GiB", size: 2 ** 30 });
});

Deno.test("formatRate() counts in the unit it is given", () => {
  assert.equal(formatRate(3, "step"), "3.00 step/s");
});
