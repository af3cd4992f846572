import assert from "node:assert/strict";
import { describeJsonFault } from "./describe_json_fault.ts";

const cases: [string, string][] = [
  [
    '{"a":NaN}',
    'at character 6 after "{\\"a\\":": got "NaN}"; JSON has no such number: write null',
  ],
  ['{"a":-Infinity}', "JSON has no such number: write null"],
  ["{'a': 'b'}", "this is how Python prints, not JSON: write rows with json.dumps"],
  ['{"a": None}', "this is how Python prints, not JSON: write rows with json.dumps"],
  ['{"a": True}', "this is how Python prints"],
  ['{"a":1,}', "remove the comma before it"],
  ['{"a":[1, 2, ]}', "remove the comma before it"],
  ['{"a":1,,"b":2}', "remove one comma"],
  ['\ufeff{"a":1}', 'got "\\ufeff{\\"a\\":1}"; a byte order mark, as joined files have: remove it'],
  ['{"a":1} // note', "JSON has no comments: remove it"],
  ["{“a”:1}", 'typographic quotes: write "'],
  ['{"a":undefined}', "write null"],
  ["{a:1}", "put the name in double quotes"],
  ['{"a":"tab\there"}', "a tab inside a string is written \\t"],
  ['{"a":1}{"a":2}', "a second value: write one a line"],
  ['{"a":1 "b":2}', "put a comma before it"],
  ['{"a":"b', "the string is not closed"],
  ['{"a":1', "got the end of the line; it was cut"],
  ["hello", 'expected a value, found "h"'],
  ['{"a":01}', "this is no JSON number"],
];

for (const [text, words] of cases) {
  Deno.test(`describeJsonFault() names the fault of ${JSON.stringify(text)}`, () => {
    const message = describeJsonFault(text);
    assert.match(message, /^invalid JSON at character \d+/);
    assert.ok(message.includes(words), message);
  });
}

Deno.test("describeJsonFault() bounds what it shows, and deep text", () => {
  assert.ok(describeJsonFault(`{"a":"${"x".repeat(100_000)}`).length < 200);
  assert.match(describeJsonFault("[".repeat(100_000)), /nesting is deeper/);
});
