import assert from "node:assert/strict";
import { cpu, deviceName, deviceTraits, parseDevice, sameDevice } from "./device.ts";

Deno.test("parseDevice() reads what deviceName() writes", () => {
  for (const name of ["cpu", "cuda:0", "cuda:12", "webgpu"]) {
    assert.equal(deviceName(parseDevice(name)), name);
  }
  assert.deepEqual(parseDevice("cuda"), { kind: "cuda", index: 0 });
});

Deno.test("parseDevice() refuses any other word", () => {
  for (const text of ["", "gpu", "cuda:", "cuda:-1", "cuda:1234", "CPU", "cpu:0", "webgpu:0"]) {
    assert.throws(() => parseDevice(text), {
      name: "RangeError",
      message: `Cannot use device "${text}": expected cpu, cuda, cuda:N or webgpu`,
    });
  }
});

Deno.test("sameDevice() tells the processor and each GPU apart", () => {
  const devices = ["cpu", "cuda:0", "cuda:1", "webgpu"].map(parseDevice);
  for (const a of devices) {
    for (const b of devices) assert.equal(sameDevice(a, b), a === b);
  }
  assert.ok(sameDevice(cpu, parseDevice("cpu")));
  assert.ok(sameDevice(parseDevice("cuda"), parseDevice("cuda:0")));
});

Deno.test("deviceTraits() says where tensors lie, what there is arithmetic for, and what is not", () => {
  const host = {
    hostMemory: true,
    bfloat16: false,
    everyOperation: true,
    fusedAttention: true,
    viewsAtOffset: true,
    attentionInChunks: false,
    checkedFirst: false,
    tellsMemory: true,
  };
  assert.deepEqual(deviceTraits(cpu), host);
  assert.deepEqual(deviceTraits(parseDevice("cuda:1")), {
    ...host,
    hostMemory: false,
    bfloat16: true,
  });
  // Each of them is the other way round on WebGPU, but for bfloat16.
  const other = Object.fromEntries(Object.entries(host).map(([name, value]) => [name, !value]));
  assert.deepEqual(deviceTraits(parseDevice("webgpu")), { ...other, bfloat16: false });
});
