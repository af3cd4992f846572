import assert from "node:assert/strict";
import { parseDevice } from "../../ort/runtime/device.ts";
import { assertDistributed } from "./assert_distributed.ts";

Deno.test("assertDistributed() refuses several processes on devices that have nothing to sum with", () => {
  for (const device of ["cpu", "cuda", "cuda:1"]) {
    for (const size of [1, 2, 3]) assertDistributed(parseDevice(device), { size });
  }
  assertDistributed(parseDevice("webgpu"), { size: 1 });
  assert.throws(() => assertDistributed(parseDevice("webgpu"), { size: 2 }), {
    name: "RangeError",
    message:
      "Cannot train with 2 processes on webgpu: such devices have nothing to sum gradients " +
      "with; pass --device cpu or cuda, or start one process",
  });
});
