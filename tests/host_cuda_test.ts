/** The host's stand-in for CUDA finds what it is there to find: races and copies not waited for. */

import assert from "node:assert/strict";
import { PRELUDE } from "../ort/kernels/prelude.ts";
import { DeviceArray, hostGpu } from "./support/test_gpu.ts";

const host = await hostGpu();
const ignore = !host;

const reversed = (barrier: string): string => `
extern "C" __global__ void reverse(u32* data) {
  __shared__ u32 all[128];
  all[threadIdx.x] = data[threadIdx.x];
  ${barrier}
  data[threadIdx.x] = all[127 - threadIdx.x];
}
`;

Deno.test({
  name: "the order of threads shows where a barrier is missing, and only there",
  ignore,
  async fn() {
    for (
      const [name, barrier, alike] of [["sound", "__syncthreads();", true], ["race", "", false]]
    ) {
      const module = await host!.gpu.load({
        name: String(name),
        code: PRELUDE + reversed(String(barrier)),
      });
      const kernel = module.kernel("reverse", ["pointer"]);
      const results = [0, 1, 2, 3].map((order) => {
        const data = new DeviceArray(Uint32Array.from({ length: 128 }, (_, i) => i));
        host!.setOrder(order);
        kernel.launch({ stream: 0n, grid: [1], block: 128 }, [data.address]);
        return data.data;
      });
      const expected = Uint32Array.from({ length: 128 }, (_, i) => 127 - i);
      const same = results.every((result) => result.every((each, i) => each === expected[i]));
      assert.equal(same, alike, String(name));
    }
  },
});

Deno.test({
  name: "shared memory holds NaN until an asynchronous copy has been waited for",
  ignore,
  async fn() {
    const module = await host!.gpu.load({
      name: "copies",
      code: PRELUDE + `
extern "C" __global__ void copies(const float* from, float* before, float* after) {
  DYNAMIC_SHARED(memory);
  float* own = reinterpret_cast<float*>(memory) + 8 * threadIdx.x;
  copyAsync16(own, from, true);
  commitCopies();
  copyAsync16(own + 4, from, false);
  commitCopies();
  before[threadIdx.x] = own[0];
  waitCopies<1>();
  after[threadIdx.x] = own[0] + (own[4] == own[4] ? 100 : 0);
  waitCopies<0>();
  after[threadIdx.x] += own[4];
}
`,
    });
    const from = new DeviceArray(Float32Array.of(5, 6, 7, 8));
    const [before, after] = [0, 0].map(() => new DeviceArray(new Float32Array(32)));
    module.kernel("copies", ["pointer", "pointer", "pointer"]).launch(
      { stream: 0n, grid: [1], block: 32, sharedBytes: 1024 },
      [from.address, before.address, after.address],
    );
    assert.ok(before.data.every(Number.isNaN), `${before.data}`);
    assert.deepEqual(after.data, new Float32Array(32).fill(5));
  },
});
