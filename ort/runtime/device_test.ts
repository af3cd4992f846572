import assert from "node:assert/strict";
import { cpu, deviceName, deviceTraits, parseDevice, sameDevice } from "./device.ts";

Deno.test("parseDevice() reads what deviceName() writes", () => {
  for (const name of ["cpu", "cuda:0", "cuda:12"]) {
    assert.equal(deviceName(parseDevice(name)), name);
  }
  assert.deepEqual(parseDevice("cuda"), { kind: "cuda", index: 0 });
});

Deno.test("parseDevice() refuses any other word", () => {
  for (const text of ["", "gpu", "cuda:", "cuda:-1", "cuda:1234", "CPU", "cpu:0"]) {
    assert.throws(() => parseDevice(text), {
      name: "RangeError",
      message: `Cannot use device "${text}": expected cpu, cuda or cuda:N`,
    });
  }
});

Deno.test("sameDevice() tells the processor and each GPU apart", () => {
  const devices = ["cpu", "cuda:0", "cuda:1"].map(parseDevice);
  for (const a of devices) {
    for (const b of devices) assert.equal(sameDevice(a, b), a === b);
  }
  assert.ok(sameDevice(cpu, parseDevice("cpu")));
  assert.ok(sameDevice(parseDevice("cuda"), parseDevice("cuda:0")));
});

Deno.test("deviceTraits() says where tensors lie and whether there is arithmetic in bfloat16", () => {
  assert.deepEqual(deviceTraits(cpu), { hostMemory: true, bfloat16: false });
  assert.deepEqual(deviceTraits(parseDevice("cuda:1")), { hostMemory: false, bfloat16: true });
});
