import assert from "node:assert/strict";
import { hostGpu } from "../../tests/support/test_gpu.ts";
import { CudaDriver } from "./driver.ts";
import { Gpu, kernelsAvailable } from "./gpu.ts";
import { swigluSource } from "./swiglu_kernels.ts";

const host = await hostGpu();
const ignore = !host;

Deno.test("kernelsAvailable() tells that there is no driver", () => {
  const { available, reason } = kernelsAvailable({ driverLibrary: "/nowhere/libcuda.so.1" });
  assert.equal(available, false);
  assert.match(reason!, /Cannot open the CUDA driver: .*\/nowhere\/libcuda\.so\.1/);
});

Deno.test({
  name: "kernelsAvailable() tells that there is no NVRTC, and lets go of the device",
  ignore,
  fn() {
    const held = host!.retained();
    const { available, reason } = kernelsAvailable({
      driverLibrary: host!.driverLibrary,
      nvrtcLibrary: "/nowhere/libnvrtc.so.13",
    });
    assert.equal(available, false);
    assert.match(reason!, /Cannot open NVRTC: .*\/nowhere\/libnvrtc\.so\.13/);
    assert.equal(host!.retained(), held);
  },
});

Deno.test({
  name: "a source is compiled once, for the device's architecture, and again after a failure",
  ignore,
  async fn() {
    const asked: string[] = [];
    let fails = true;
    using gpu = new Gpu(
      new CudaDriver({ library: host!.driverLibrary }),
      async (source, architecture) => {
        asked.push(`${source.name} ${architecture}`);
        if (fails) throw new Error("no compiler today");
        return await host!.compile(source, architecture);
      },
    );
    const source = swigluSource("float32");
    await assert.rejects(gpu.load(source), /no compiler today/);
    fails = false;
    const [one, two] = await Promise.all([gpu.load(source), gpu.load(swigluSource("float32"))]);
    assert.equal(one, two);
    assert.deepEqual(asked, ["swiglu_float32 sm_90", "swiglu_float32 sm_90"]);
  },
});
