/** The host's stand-in for CUDA finds what it is there to find: races, copies not waited for, writes beyond memory. */

import assert from "node:assert/strict";
import { PRELUDE } from "../ort/kernels/prelude.ts";
import { repositoryPath, runScript } from "./support/run_script.ts";
import { DeviceArray, hostGpu } from "./support/test_gpu.ts";

const host = await hostGpu();
const ignore = !host;

const reversed = (barrier: string): string => `
extern "C" __global__ void reverse(u32* data) {
  SHARED(u32, all, [128]);
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

/** A kernel that writes a place of shared memory, of which a block has so many floats of either kind. */
const writing = (place: number): string => `
import { hostGpu } from "${repositoryPath("tests/support/test_gpu.ts")}";
import { PRELUDE } from "${repositoryPath("ort/kernels/prelude.ts")}";
const { gpu } = await hostGpu();
for (const memory of ["SHARED(float, own, [64]);", "DYNAMIC_SHARED(bytes); auto own = reinterpret_cast<float*>(bytes);"]) {
  const code = PRELUDE + 'extern "C" __global__ void writes(u32 at) { ' + memory + " own[at] = 0; }";
  const module = await gpu.load({ name: "writes", code });
  module.kernel("writes", ["u32"]).launch({ stream: 0n, grid: [1], block: 32, sharedBytes: 256 }, [${place}]);
  console.log(memory.slice(0, 6));
}
`;

Deno.test({
  name: "a write beyond the end of shared memory ends the process",
  ignore,
  async fn() {
    const inside = await runScript(writing(63), ["--allow-all"]);
    assert.deepEqual([inside.code, inside.stdout], [0, "SHARED\nDYNAMI"], inside.stderr);
    for (const place of [64, 319]) {
      const beyond = await runScript(writing(place), ["--allow-all"]);
      assert.notEqual(beyond.code, 0);
      assert.equal(beyond.stdout, "");
      assert.match(beyond.stderr, /host_cuda: a write beyond the end of shared memory/);
    }
  },
});
