import assert from "node:assert/strict";
import { withEosTokenIds } from "./eos_token_ids.ts";

Deno.test("withEosTokenIds() puts what was taught in front, and leaves what has it all", () => {
  const cases:
    readonly (readonly [value: unknown, taught: readonly number[], expected: unknown])[] = [
      [undefined, [], undefined],
      [null, [], null],
      [undefined, [7], 7],
      [null, [0], 0],
      [undefined, [7, 8], [7, 8]],
      [7, [7], 7],
      [[7], [7], [7]],
      [[7, 8], [8], [7, 8]],
      [7, [8], [8, 7]],
      [[7, 8], [9, 7], [9, 7, 8]],
      [[], [5], 5],
      [0, [1], [1, 0]],
    ];
  for (const [value, taught, expected] of cases) {
    assert.deepEqual(withEosTokenIds(value, taught), expected);
  }
});
