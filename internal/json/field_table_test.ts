import assert from "node:assert/strict";
import { FieldTable, listFields, showValue } from "./field_table.ts";

const table = new FieldTable({
  honoured: ["size"],
  ignored: ["version"],
  refused: { bias: { unless: [false, "none"], remedy: "leave it out" } },
  warned: { pattern: { unless: [{}, []], remedy: "it is not applied" } },
});

Deno.test("FieldTable passes over what is honoured, ignored, null or asks for nothing", () => {
  const record = { size: 1, version: "x", bias: false, pattern: {}, other: null };
  assert.deepEqual(table.review(record), { refused: [], warned: [], unknown: [] });
  assert.deepEqual(table.review({ bias: "none", pattern: [] }).refused, []);
});

Deno.test("FieldTable names every other field with its value", () => {
  const review = table.review({ bias: true, pattern: { q_proj: 4 }, other: 1, size: 2 });
  assert.deepEqual(review, {
    refused: [{ field: "bias", message: "bias is true: leave it out" }],
    warned: [{ field: "pattern", message: 'pattern is {"q_proj":4}: it is not applied' }],
    unknown: ["other"],
  });
});

Deno.test("FieldTable knows no names that objects are born with", () => {
  assert.deepEqual(table.review({ constructor: 1, toString: 2, ["__proto__"]: 3 }).unknown, [
    "constructor",
    "toString",
    "__proto__",
  ]);
});

Deno.test("FieldTable shows no endless or deep value", () => {
  let deep: unknown = 1;
  for (let i = 0; i < 20000; i++) deep = [deep];
  assert.equal(table.review({ bias: deep }).refused[0].message, "bias is […]: leave it out");
  const [{ message }] = table.review({ bias: "x".repeat(1000) }).refused;
  assert.ok(message.length < 120);
});

Deno.test("FieldTable refuses a field in two lists", () => {
  assert.throws(() => new FieldTable({ honoured: ["a"], ignored: ["a"] }), TypeError);
});

Deno.test("listFields() cuts long names and many", () => {
  assert.equal(listFields(["a", "b", "c"], 2), "a, b and 1 more");
  assert.ok(listFields(["n".repeat(500)]).length < 80);
  assert.equal(listFields(["思考", "\x1b[2J", "a\nb"]), '思考, "\\u001b[2J", "a\\nb"');
});

Deno.test("FieldTable knows its fields in the order of its lists, and refuses one in any two", () => {
  assert.deepEqual(table.known, ["size", "version", "bias", "pattern"]);
  assert.deepEqual(["size", "pattern", "other", "toString"].map((each) => table.knows(each)), [
    true,
    true,
    false,
    false,
  ]);
  const rule = { a: { remedy: "no" } };
  for (
    const rules of [
      { honoured: ["a", "a"] },
      { honoured: ["a"], refused: rule },
      { honoured: ["a"], warned: rule },
      { honoured: [], refused: rule, warned: rule },
    ]
  ) {
    assert.throws(() => new FieldTable(rules), new TypeError("The field a is in two lists"));
  }
});

Deno.test("FieldTable compares values that ask for nothing as JSON", () => {
  const asks = (value: unknown, ...unless: unknown[]) =>
    new FieldTable({ honoured: [], refused: { a: { unless, remedy: "no" } } }).review({ a: value })
      .refused.length > 0;
  assert.deepEqual(
    [
      asks(undefined),
      asks(null),
      asks(0),
      asks(0, 0),
      asks({ b: [1] }, { b: [1] }),
      asks({ b: [1] }, { b: [2] }),
      asks({ b: [1] }, 1),
      asks("x", {}),
      asks({}, null),
      asks([], {}, []),
    ],
    [false, false, true, false, false, true, true, true, true, false],
  );
  let eight: unknown = 1;
  for (let i = 0; i < 8; i++) eight = [eight];
  assert.ok(!asks(eight, structuredClone(eight)));
  assert.ok(asks([eight], structuredClone([eight])));
});

Deno.test("showValue() shows 60 characters, and eight levels", () => {
  let seven: unknown = 1;
  for (let i = 0; i < 7; i++) seven = { a: seven };
  for (
    const [value, shown] of [
      [undefined, "missing"],
      [null, "null"],
      ["x".repeat(58), `"${"x".repeat(58)}"`],
      ["x".repeat(59), `"${"x".repeat(59)}…`],
      [Symbol("a"), "Symbol(a)"],
      [[seven], JSON.stringify([seven])],
      [[[seven]], "[…]"],
      [{ b: { c: seven } }, "{…}"],
    ] as const
  ) assert.equal(showValue(value), shown);
});

Deno.test("listFields() shows twelve names of 60 characters unless it is told otherwise", () => {
  const names = Array.from({ length: 14 }, (_, i) => `f${i}`);
  assert.equal(listFields(names.slice(0, 12)), names.slice(0, 12).join(", "));
  assert.equal(listFields(names), `${names.slice(0, 12).join(", ")} and 2 more`);
  assert.equal(listFields(["n".repeat(60)]), "n".repeat(60));
  assert.equal(listFields(["n".repeat(61)]), `${"n".repeat(60)}…`);
});
