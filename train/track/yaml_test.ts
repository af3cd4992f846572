import assert from "node:assert/strict";
import { toYaml } from "./yaml.ts";

Deno.test("toYaml() writes what PyYAML reads back as it was", () => {
  const cases: [unknown, string][] = [
    [1e-7, "1.0e-7"],
    [-2e-9, "-2.0e-9"],
    [1.5e-7, "1.5e-7"],
    [1e21, "1.0e+21"],
    [0.0001, "0.0001"],
    [NaN, '"NaN"'],
    [-Infinity, '"-Infinity"'],
    [true, "true"],
    [null, "null"],
    [undefined, "null"],
    ["no", '"no"'],
    ['a: b\n#"c\\', '"a: b\\n#\\"c\\\\"'],
    ["头痛\u0085\u2028\ufeff\u007f\ud800", '"头痛\\u0085\\u2028\\ufeff\\u007f\ufffd"'],
    ["😀", '"😀"'],
    [[1, ["x"]], '[1, ["x"]]'],
    [{ "a b": { c: 1, d: undefined } }, '{"a b": {"c": 1}}'],
  ];
  for (const [value, text] of cases) assert.equal(toYaml(value), text);
});
