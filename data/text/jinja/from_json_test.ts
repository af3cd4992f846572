import assert from "node:assert/strict";
import { PythonNumber } from "../../../internal/json/python_json.ts";
import { measureJson } from "./from_json.ts";

Deno.test("measureJson() counts characters, those of keys too, and 8 for each value", () => {
  const cases: [unknown, number][] = [
    ["", 8],
    ["abc", 11],
    [1, 8],
    [null, 8],
    [true, 8],
    [undefined, 8],
    [[], 8],
    [["ab", 1], 8 + 10 + 8],
    [{}, 8],
    [{ abc: "de", f: [1] }, 8 + 3 + 10 + 1 + 8 + 8],
    [new Map<unknown, unknown>([["abc", "de"], [12, null]]), 8 + 3 + 10 + 2 + 8],
    [new PythonNumber("1.50"), 8 + 4 + 12],
  ];
  for (const [value, expected] of cases) {
    assert.equal(measureJson(value), expected, JSON.stringify(value));
  }
});
