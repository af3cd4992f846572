import assert from "node:assert/strict";
import {
  byteUnit,
  formatBytes,
  formatCount,
  formatDate,
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
      [59.5, "0:01:00"],
      [35_999, "9:59:59"],
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
      [99_999.4, "99,999"],
      [99_999.5, "100k"],
      [-99_999.4, "-99,999"],
      [-99_999.5, "-100k"],
      [9.994e6, "9.99M"],
      [9.995e6, "10.0M"],
      [-9.996e6, "-10.0M"],
      [99.94e6, "99.9M"],
      [99.95e6, "100M"],
      [999.4e6, "999M"],
      [999.5e6, "1.00B"],
      [999.4e9, "999B"],
      [999.5e9, "1.00T"],
      [-999.5e9, "-1.00T"],
      [999.5e12, "1000T"],
      [Infinity, "inf"],
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
      [NaN, "NaN"],
      [1023.4, "1023 B"],
      [1023.5, "1.00 KiB"],
      [-1023.4, "-1023 B"],
      [-1023.5, "-1.00 KiB"],
      [10.25 * 1024, "10.3 KiB"],
      [1023.4 * 1024, "1023 KiB"],
      [1023.5 * 1024, "1.00 MiB"],
      [1023.5 * 1024 ** 3, "1.00 TiB"],
      [1024 ** 5, "1.00 PiB"],
      [1024 ** 6, "1024 PiB"],
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
      [0.000999, "9.99e-4"],
      [0.001, "0.0010"],
      [99.99, "99.9900"],
      [100, "100.00"],
      [9999.4, "9999.4"],
      [10_000, "1.000e+4"],
      [-1.23456, "-1.2346"],
      [-0.0005, "-5.00e-4"],
      [-100, "-100.00"],
      [-10_000, "-1.000e+4"],
      [-Infinity, "-inf"],
      [NaN, "NaN"],
      [Infinity, "inf"],
    ],
  },
  {
    name: "formatLearningRate() writes an exponent",
    format: formatLearningRate,
    rows: [[0.0001, "1.00e-4"], [0, "0"], [2.5e-6, "2.50e-6"], [NaN, "NaN"], [Infinity, "inf"]],
  },
  {
    name: "formatRate() keeps decimals of slow rates",
    format: (value) => formatRate(value),
    rows: [
      [1234.5, "1,235 tok/s"],
      [0.25, "0.25 tok/s"],
      [-0.25, "-0.25 tok/s"],
      [9.99, "9.99 tok/s"],
      [9.995, "10 tok/s"],
      [0, "0 tok/s"],
      [Infinity, "inf tok/s"],
    ],
  },
];

for (const { name, format, rows } of tables) {
  Deno.test(name, () => {
    for (const [value, text] of rows) assert.equal(format(value), text, String(value));
  });
}

Deno.test("formatDate() writes a moment to the minute, and nothing for what is none", () => {
  assert.equal(formatDate("2026-01-02T03:04:59.999Z"), "2026-01-02 03:04 UTC");
  assert.equal(formatDate("2026-01-02T03:04:05+02:00"), "2026-01-02 01:04 UTC");
  assert.equal(formatDate(new Date(Date.UTC(2026, 11, 31, 23, 59))), "2026-12-31 23:59 UTC");
  assert.equal(formatDate("soon"), "");
});

Deno.test("byteUnit() is the unit that formatBytes() writes", () => {
  assert.deepEqual(byteUnit(1000), { name: "B", size: 1 });
  assert.deepEqual(byteUnit(1500), { name: "KiB", size: 1024 });
  assert.deepEqual(byteUnit(0), { name: "B", size: 1 });
  assert.deepEqual(byteUnit(2 ** 50), { name: "PiB", size: 2 ** 50 });
  assert.deepEqual(byteUnit(NaN), { name: "B", size: 1 });
  assert.deepEqual(byteUnit(9.6 * 2 ** 30), { name: "GiB", size: 2 ** 30 });
});

Deno.test("formatRate() counts in the unit it is given", () => {
  assert.equal(formatRate(3, "step"), "3.00 step/s");
});
