import assert from "node:assert/strict";
import { assertSupported, cpu, deviceName, parseDevice } from "./device.ts";

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

Deno.test("assertSupported() says which device to use instead", () => {
  assertSupported(cpu);
  assert.throws(() => assertSupported({ kind: "cuda", index: 1 }), {
    name: "RangeError",
    message: "Cannot use device cuda:1: this version of ortune runs on the cpu only; leave " +
      "--device out or pass --device cpu",
  });
});
