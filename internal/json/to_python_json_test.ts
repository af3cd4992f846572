import assert from "node:assert/strict";
import { formatPythonJson, PythonNumber } from "./python_json.ts";
import { toPythonJson } from "./to_python_json.ts";

Deno.test("toPythonJson() takes all that JSON has, objects of any reader, and what is converted already", () => {
  const bare = Object.assign(Object.create(null), { a: 1, b: undefined });
  const cases: readonly (readonly [unknown, string])[] = [
    [null, "null"],
    [true, "true"],
    ["é", '"é"'],
    [2 ** 53, "9007199254740992.0"],
    [2 ** 53 - 1, "9007199254740991"],
    [10n ** 20n, "100000000000000000000"],
    [-0.5, "-0.5"],
    [new PythonNumber("1.50"), "1.50"],
    [new Map([["k", null]]), '{"k": null}'],
    [{ a: [], b: {} }, '{"a": [], "b": {}}'],
    [bare, '{"a": 1}'],
  ];
  for (const [value, text] of cases) assert.equal(formatPythonJson(toPythonJson(value)), text);
});

Deno.test("toPythonJson() refuses what JSON does not have", () => {
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /^TypeError: Cannot convert a undefined to JSON/],
    [() => 1, /^TypeError: Cannot convert a function to JSON/],
    [Symbol("a"), /^TypeError: Cannot convert a symbol to JSON/],
    [new Date(0), /^TypeError: Cannot convert a object to JSON/],
    [[new Uint8Array(1)], /^TypeError: Cannot convert a object to JSON/],
    ["\ud800", /^TypeError: Cannot convert a text with a lone surrogate/],
    [{ "\udc00": 1 }, /^TypeError: Cannot convert a text with a lone surrogate/],
  ];
  for (const [value, message] of refused) assert.throws(() => toPythonJson(value), message);
  const nested = (depth: number): unknown => depth === 0 ? 1 : [nested(depth - 1)];
  const objects = (depth: number): unknown => depth === 0 ? 1 : { a: objects(depth - 1) };
  for (const make of [nested, objects]) {
    toPythonJson(make(100));
    assert.throws(
      () => toPythonJson(make(101)),
      new RangeError("Cannot convert what nests deeper than 100"),
    );
  }
});
