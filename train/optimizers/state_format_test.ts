import assert from "node:assert/strict";
import { PRECISION_FORMATS, STATE_TYPES, stateBytes } from "./state_format.ts";

Deno.test("stateBytes() is of the state's type, with a scale of 256 in 8 bits, and of a float32 master", () => {
  const bytes = (count: number) =>
    Object.keys(STATE_TYPES).map((format) => stateBytes(format as keyof typeof STATE_TYPES, count));
  assert.deepEqual(Object.keys(STATE_TYPES), [
    ...["float32", "master", "bfloat16", "bfloat16-stochastic", "bfloat16-8bit"],
  ]);
  assert.deepEqual(bytes(2), [8, 12, 4, 4, 2 * (1 + 4 / 256)]);
  assert.deepEqual(bytes(0.5), [2, 6, 1, 1, 0.5 * (1 + 4 / 256)]);
  assert.deepEqual(bytes(0), [0, 4, 0, 0, 0]);
});

Deno.test("a precision stores what torch stores: float32, masters, or bfloat16 alone", () => {
  assert.deepEqual(PRECISION_FORMATS, { fp32: "float32", bf16: "master", "bf16-pure": "bfloat16" });
});
