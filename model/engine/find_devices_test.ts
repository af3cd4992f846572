/** Which device `auto` is, and what it says of the others. */

import assert from "node:assert/strict";
import { cpu } from "../../ort/runtime/device.ts";
import { chooseAmong, chooseDevice, findDevices, type FoundDevice } from "./find_devices.ts";

const cuda: FoundDevice = { device: { kind: "cuda", index: 0 }, what: "80.0 GiB of memory" };
const noCuda: FoundDevice = { device: { kind: "cuda", index: 0 }, reason: "libcuda is missing" };
const webgpu: FoundDevice = { device: { kind: "webgpu" }, what: "GPU X, driver 1.2.3" };
const software: FoundDevice = { ...webgpu, passedOver: "it computes on the processor" };
const host: FoundDevice = { device: cpu, what: "8 threads" };

Deno.test("auto is the first that works and is not passed over, and says why not the others", () => {
  assert.deepEqual(chooseAmong([cuda, webgpu, host]), {
    device: cuda.device,
    line: "device: cuda:0 (80.0 GiB of memory)",
  });
  assert.deepEqual(chooseAmong([noCuda, webgpu, host]), {
    device: webgpu.device,
    line: "device: webgpu (GPU X, driver 1.2.3); not cuda:0: libcuda is missing",
  });
  assert.deepEqual(chooseAmong([noCuda, software, host]), {
    device: cpu,
    line:
      "device: cpu (8 threads); not cuda:0: libcuda is missing; not webgpu: it computes on the " +
      "processor",
  });
  // What its check found goes along, so that no run checks it again.
  const report = {
    ...{ driver: "GPU X, driver 1.2.3", software: false, writesInPlace: true },
    tellsNonFinite: true,
  };
  assert.equal(chooseAmong([noCuda, { ...webgpu, webgpu: report }, host]).webgpu, report);
  assert.throws(() => chooseAmong([noCuda]), {
    message: "Cannot find a device: not cuda:0: libcuda is missing",
  });
});

Deno.test("auto opens no device behind the one that it takes", () => {
  function* found(): Generator<FoundDevice> {
    yield webgpu;
    throw new Error("the cpu was opened");
  }
  assert.equal(chooseAmong(found()).device, webgpu.device);
});

Deno.test("a device that is named is taken without a look", () => {
  assert.deepEqual(chooseDevice("webgpu"), { device: { kind: "webgpu" } });
  assert.throws(() => chooseDevice("tpu"), RangeError);
});

Deno.test("the cpu is always there, and other kinds are left out where they are not wanted", () => {
  const [found, ...others] = findDevices({ kinds: ["cpu"], threads: 1 });
  assert.deepEqual([found, others], [{ device: cpu, what: "1 thread" }, []]);
});

Deno.test("a library that is none is the reason, whatever the device", () => {
  const found = [...findDevices({ libraryPath: "/nonexistent/libonnxruntime.so" })];
  assert.deepEqual(found.map(({ device }) => device), [
    { kind: "cuda", index: 0 },
    { kind: "webgpu" },
    cpu,
  ]);
  for (const { reason } of found) {
    assert.match(reason ?? "it was opened", /^Cannot [^/]*\/nonexistent/);
  }
});
