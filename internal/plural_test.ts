import assert from "node:assert/strict";
import { plural } from "./plural.ts";

Deno.test("plural() has one form for one, another for all other counts", () => {
  assert.deepEqual([0, 1, 2, 21].map((count) => `${count} ${plural(count, "row")}`), [
    "0 rows",
    "1 row",
    "2 rows",
    "21 rows",
  ]);
  assert.deepEqual([1, 2].map((count) => plural(count, "is", "are")), ["is", "are"]);
});
