import assert from "node:assert/strict";
import { FieldTable, listFields } from "./field_table.ts";

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
