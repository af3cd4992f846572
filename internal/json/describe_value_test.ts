import assert from "node:assert/strict";
import { describeValue, quoteHead } from "./describe_value.ts";
import { isCount } from "./is_count.ts";
import { isRecord } from "./is_record.ts";

Deno.test("describeValue() has words for every kind of value", () => {
  for (
    const [value, words] of [
      [undefined, "nothing"],
      [null, "null"],
      [[1, 2, 3], "array of 3"],
      [[], "array of 0"],
      ["", "an empty string"],
      ["a\nb", 'string "a\\nb"'],
      ["x".repeat(24), `string "${"x".repeat(24)}"`],
      ["x".repeat(25), `string "${"x".repeat(24)}…"`],
      [4, "number 4"],
      [NaN, "number NaN"],
      [false, "boolean false"],
      [new Uint8Array(5), "5 bytes"],
      [{ a: 1 }, "object"],
      [() => 1, "function"],
      [7n, "bigint"],
    ] as const
  ) assert.equal(describeValue(value), words);
  // No half of a character at its end.
  assert.equal(quoteHead(`${"x".repeat(23)}😀`), `"${"x".repeat(23)}\ufffd…"`);
});

Deno.test("isCount() takes whole numbers from 0 on that are exact", () => {
  for (const value of [0, 1, Number.MAX_SAFE_INTEGER]) assert.ok(isCount(value));
  for (const value of [-1, 0.5, NaN, 2 ** 53, "1", 1n, null, undefined]) {
    assert.ok(!isCount(value), String(value));
  }
});

Deno.test("isRecord() takes what has fields", () => {
  for (const value of [{}, { a: 1 }, Object.create(null)]) assert.ok(isRecord(value));
  for (const value of [null, undefined, [], "a", 1, () => 1]) assert.ok(!isRecord(value));
});
