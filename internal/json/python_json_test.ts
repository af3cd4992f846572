import assert from "node:assert/strict";
import {
  formatFloat,
  formatPythonJson,
  parsePythonJson,
  PythonNumber,
  toPlainJson,
} from "./python_json.ts";

const number = (text: string) => new PythonNumber(text);

Deno.test("parsePythonJson() reads every kind of value, with blanks wherever they may be", () => {
  assert.deepEqual(
    parsePythonJson(
      ' \t\r\n{ "a" : [ 1 , -2.50 ] , "":{ } ,"1":[\n], "b":true,"c": false ,"d":null,"e":"x" } ',
    ),
    new Map<string, unknown>([
      ["a", [number("1"), number("-2.5")]],
      ["", new Map()],
      ["1", []],
      ["b", true],
      ["c", false],
      ["d", null],
      ["e", "x"],
    ]),
  );
  assert.equal(
    parsePythonJson('"a\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\ude00é😀\x7f"'),
    'a"\\/\b\f\n\r\té😀é😀\x7f',
  );
});

Deno.test("parsePythonJson() keeps numbers as Python has them", () => {
  // Results of json.dumps(json.loads(text)) of Python 3.13.
  for (
    const [text, expected] of [
      ["0", "0"],
      ["-0", "0"],
      ["-0.0", "-0.0"],
      ["4.0", "4.0"],
      ["12345678901234567890", "12345678901234567890"],
      ["-12345678901234567890", "-12345678901234567890"],
      ["1e5", "100000.0"],
      ["1E+2", "100.0"],
      ["1e-5", "1e-05"],
      ["1e16", "1e+16"],
      ["1.5e300", "1.5e+300"],
      ["1e400", "Infinity"],
      ["-1e400", "-Infinity"],
      ["1e-400", "0.0"],
      ["NaN", "NaN"],
      ["Infinity", "Infinity"],
      ["-Infinity", "-Infinity"],
    ]
  ) assert.deepEqual(parsePythonJson(text), number(expected), text);
});

Deno.test("parsePythonJson() says what is wrong, and at which character", () => {
  for (
    const [text, message] of [
      ["", "expected a value, got the end at character 1"],
      [" x", 'expected a value, got "x" at character 2'],
      ["[😀]", 'expected a value, got "😀" at character 2'],
      ["1 2", 'expected the end, got "2" at character 3'],
      ["01", 'expected the end, got "1" at character 2'],
      ["[1 2]", 'expected ",", got "2" at character 4'],
      ["[1", 'expected ",", got the end at character 3'],
      ["[1,]", 'expected a value, got "]" at character 4'],
      ['{"a" 1}', 'expected ":", got "1" at character 6'],
      ['{"a":1 2}', 'expected ",", got "2" at character 8'],
      ["{a:1}", 'expected a string, got "a" at character 2'],
      ['{"a":1,}', 'expected a string, got "}" at character 8'],
      ['{"a":1, "a":2}', 'the key "a" stands for the second time at character 9'],
      [
        `{"${"k".repeat(41)}":1,"${"k".repeat(41)}":2}`,
        `the key "${"k".repeat(40)}" stands for the second time at character 48`,
      ],
      [' "abc', "a string without its closing quote begins at character 2"],
      ['"a\nb"', "a control character stands unescaped in a string at character 3"],
      ['"a\\x"', "an unknown escape stands at character 3"],
      ['"a\\u12g4"', "an unknown escape stands at character 3"],
      ['"a\\U1234"', "an unknown escape stands at character 3"],
      ['"a\\', "an unknown escape stands at character 3"],
      [' "\\ud800"', "a string with a lone surrogate, which has no UTF-8, begins at character 2"],
      [
        `[${"1".repeat(4301)}]`,
        "an integer of more than 4300 digits begins at character 2",
      ],
      [
        `${"[".repeat(100)}{`,
        "nesting deeper than 100 begins at character 101",
      ],
      [`${"[".repeat(100)}[`, "nesting deeper than 100 begins at character 101"],
    ]
  ) assert.throws(() => parsePythonJson(text), { name: "SyntaxError", message }, text.slice(0, 50));
});

Deno.test("parsePythonJson() takes nesting and integers up to their limits", () => {
  const digits = "1".repeat(4300);
  assert.deepEqual(parsePythonJson(digits), number(digits));
  const deep = `${"[".repeat(99)}{}${"]".repeat(99)}`;
  assert.equal(formatPythonJson(parsePythonJson(deep)), deep);
  const objects = `${'{"a": '.repeat(100)}1${"}".repeat(100)}`;
  assert.equal(formatPythonJson(parsePythonJson(objects)), objects);
});

Deno.test("formatPythonJson() writes as json.dumps does", () => {
  const text = '{"a": [1, 2.5, "é\\n\\u0001\\"", true, null], "b": {}, "c": []}';
  assert.equal(formatPythonJson(parsePythonJson(text.replaceAll(" ", ""))), text);
});

Deno.test("formatFloat() is Python's repr()", () => {
  for (
    const [value, text] of [
      [0, "0.0"],
      [-0, "-0.0"],
      [NaN, "NaN"],
      [Infinity, "Infinity"],
      [-Infinity, "-Infinity"],
      [1, "1.0"],
      [-1.25, "-1.25"],
      [10, "10.0"],
      [123.456, "123.456"],
      [0.1, "0.1"],
      [-0.012, "-0.012"],
      [0.0001, "0.0001"],
      [0.00012, "0.00012"],
      [0.00001, "1e-05"],
      [-1.5e-7, "-1.5e-07"],
      [1e15, "1000000000000000.0"],
      [1234567890123456, "1234567890123456.0"],
      [9999999999999998, "9999999999999998.0"],
      [1e16, "1e+16"],
      [1.5e16, "1.5e+16"],
      [1e22, "1e+22"],
      [1e100, "1e+100"],
      [2 ** -1022, "2.2250738585072014e-308"],
      [1.7976931348623157e308, "1.7976931348623157e+308"],
      [12345.678e5, "1234567800.0"],
    ] as const
  ) assert.equal(formatFloat(value), text);
});

Deno.test("toPlainJson() makes numbers, arrays and objects without a prototype", () => {
  const plain = toPlainJson(parsePythonJson('{"__proto__": [1.5, {"a": "b"}], "c": null}'));
  assert.equal(Object.getPrototypeOf(plain), null);
  assert.equal(JSON.stringify(plain), '{"__proto__":[1.5,{"a":"b"}],"c":null}');
});
