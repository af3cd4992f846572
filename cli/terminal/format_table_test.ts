import assert from "node:assert/strict";
import { formatTable } from "./format_table.ts";

const TABLE = [["name", "size", ""], ["a", "12345", "x"], ["longer", "6", "yy"]];

Deno.test("formatTable() lets cells begin below each other", () => {
  assert.deepEqual(formatTable(TABLE), [
    "name    size",
    "a       12345  x",
    "longer  6      yy",
  ]);
});

Deno.test("formatTable() lets cells behind the first columns end below each other", () => {
  assert.deepEqual(formatTable(TABLE, { left: 1 }), [
    "name     size",
    "a       12345   x",
    "longer      6  yy",
  ]);
  assert.deepEqual(formatTable([["a", "bb"], ["cc", "d"]], { left: 0 }), [" a  bb", "cc   d"]);
});
