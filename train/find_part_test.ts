import assert from "node:assert/strict";
import { findPart } from "./find_part.ts";

const table = { one: { id: 1 }, two: { id: 2 } };

Deno.test("findPart() finds a part by its name, and takes one that is given", () => {
  assert.equal(findPart("part", table, "two"), table.two);
  const own = { id: 3 };
  assert.equal(findPart("part", table, own), own);
});

Deno.test("findPart() says what the table has, and knows no name of every object", () => {
  for (const name of ["three", "toString", ""]) {
    assert.throws(() => findPart("part", table, name), {
      name: "RangeError",
      message: `Cannot find part ${JSON.stringify(name)}: there are one, two`,
    });
  }
  assert.throws(() => findPart("part", { one: table.one }, "two"), {
    message: 'Cannot find part "two": there is one',
  });
});
