import assert from "node:assert/strict";
import { familyConfig } from "../../tests/support/tiny_model.ts";
import { assertDevice, deviceKindsFor } from "./assert_device.ts";

Deno.test("layers that carry a state run on the CPU alone, all others on any device", () => {
  const [plain, delta] = [familyConfig("qwen3"), familyConfig("qwen3_5_text")];
  assert.deepEqual(deviceKindsFor(plain), ["cuda", "webgpu", "cpu"]);
  for (const kind of ["cuda", "webgpu", "cpu"] as const) assertDevice(plain, { kind });
  const kinds = deviceKindsFor(delta);
  assert.ok(kinds.includes("cpu") && !kinds.includes("webgpu"));
  assertDevice(delta, { kind: "cpu" });
  assert.throws(() => assertDevice(delta, { kind: "webgpu" }), {
    name: "RangeError",
    message:
      "Cannot run qwen3_5_text on webgpu: ONNX Runtime has no kernel there for Scan, by which " +
      "layers of linear_attention go from token to token; pass --device cpu",
  });
});
