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

Deno.test("describeJsonFault() shows 16 characters before the fault and 12 from it on", () => {
  for (
    const [text, message] of [
      ["NaN", 'at character 1: got "NaN"; JSON has no such number: write null'],
      [
        `["${"a".repeat(20)}", None, "bcdefghijklmn"]`,
        `at character 26 after "${
          "a".repeat(13)
        }\\", ": got "None, \\"bcdef"; this is how Python prints, not JSON: ` +
        "write rows with json.dumps",
      ],
      [
        '{"a":1',
        'at character 7 after "{\\"a\\":1": got the end of the line; it was cut, or goes on in the next line: ' +
        "write each row whole on one line",
      ],
      ["[1 ;]", 'at character 4 after "[1 ": expected "," or "]", found ";"'],
      ['["a', 'at character 2 after "[": the string is not closed, at "\\"a"'],
      ["[01]", 'at character 2 after "[": this is no JSON number, at "01]"'],
      ["[1] [2]", 'at character 5 after "[1] ": got "[2]"; a second value: write one a line'],
      [
        '{"a":1 "b":2}',
        'at character 8 after "{\\"a\\":1 ": got "\\"b\\":2}"; put a comma before it',
      ],
    ]
  ) assert.equal(describeJsonFault(text), `invalid JSON ${message}`);
});

Deno.test("describeJsonFault() shows the head of what is no fault to it", () => {
  assert.equal(describeJsonFault("[1]"), 'invalid JSON "[1]"');
  assert.equal(describeJsonFault(`["${"x".repeat(40)}"]`), `invalid JSON "[\\"${"x".repeat(26)}"`);
  // More than any reader takes is a fault.
  assert.equal(
    describeJsonFault("[".repeat(500) + "]".repeat(500)),
    `invalid JSON "${"[".repeat(28)}"`,
  );
  assert.match(
    describeJsonFault("[".repeat(501) + "]".repeat(501)),
    /^invalid JSON at character 501 .*nesting is deeper than 500/,
  );
  // Large collections and any numbers are JSON.
  assert.equal(
    describeJsonFault(`[-1.5e3${",1".repeat(70_000)}]`),
    `invalid JSON "[-1.5e3${",1".repeat(10)},"`,
  );
});
