import assert from "node:assert/strict";
import { cpu, parseDevice } from "../ort/runtime/device.ts";
import { computePrecision, resolvePrecision, TRAINING_PRECISIONS } from "./training_precision.ts";

Deno.test("a device has its own precision, and CUDA takes any", () => {
  const cuda = parseDevice("cuda:0");
  assert.equal(resolvePrecision(cpu, undefined), "fp32");
  assert.equal(resolvePrecision(cuda, undefined), "bf16");
  for (const precision of TRAINING_PRECISIONS) {
    assert.equal(resolvePrecision(cuda, precision), precision);
  }
});

Deno.test("bfloat16 on the CPU is refused with what to do", () => {
  for (const precision of ["bf16", "bf16-pure"] as const) {
    assert.throws(() => resolvePrecision(cpu, precision), {
      name: "RangeError",
      message:
        `Cannot train in ${precision} on cpu: ONNX Runtime has no bfloat16 arithmetic there; ` +
        "pass --precision fp32, or --device cuda",
    });
  }
});

Deno.test("only fp32 runs the model in float32", () => {
  assert.deepEqual(TRAINING_PRECISIONS.map(computePrecision), ["float32", "bfloat16", "bfloat16"]);
});
