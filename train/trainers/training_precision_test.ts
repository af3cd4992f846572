import assert from "node:assert/strict";
import { cpu, parseDevice } from "../../ort/runtime/device.ts";
import {
  computePrecision,
  optimizerKind,
  resolvePrecision,
  TRAINING_PRECISIONS,
} from "./training_precision.ts";

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

Deno.test("only bf16 keeps a float32 copy of the weights that the model does not run on", () => {
  const kept = TRAINING_PRECISIONS.map((each) => [computePrecision(each), optimizerKind(each)]);
  assert.deepEqual(kept, [
    ["float32", "float32"],
    ["bfloat16", "adamw"],
    ["bfloat16", "bfloat16-pure"],
  ]);
});

Deno.test("stochastic rounding keeps bfloat16 alone, and is nothing in float32", () => {
  assert.equal(optimizerKind("bf16", { stochasticRounding: true }), "adamw-bf16");
  assert.throws(
    () => optimizerKind("fp32", { stochasticRounding: true }),
    /^RangeError: Cannot round stochastically in fp32/,
  );
});

Deno.test("8-bit moments belong to bfloat16 weights", () => {
  assert.equal(optimizerKind("bf16", { eightBitMoments: true }), "adamw-8bit");
  assert.equal(optimizerKind("bf16-pure", { eightBitMoments: true }), "adamw-8bit");
  assert.throws(
    () => optimizerKind("fp32", { eightBitMoments: true }),
    /^RangeError: Cannot keep 8-bit moments in fp32: .*--device cuda/,
  );
});
