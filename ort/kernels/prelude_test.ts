import assert from "node:assert/strict";
import { DeviceArray, testGpu, toBfloat16 } from "../../tests/support/test_gpu.ts";
import { PRELUDE } from "./prelude.ts";

const host = await testGpu();
const ignore = !host;

const USES = {
  name: "prelude_uses",
  code: PRELUDE + String.raw`
extern "C" __global__ void copies(const bf16* halves, const float* floats, float* toFloats, bf16* toHalves) {
  if (threadIdx.x > 0) return;
  float values[8];
  load8(halves, values);
  store8(values, toFloats);
  load8(floats, values);
  store8(values, toHalves);
  load8(floats + 4, values);
  store8(values, toFloats + 8);
}
extern "C" __global__ void singles(const bf16* halves, const float* floats, float* toFloats, bf16* toHalves,
                                   i32* least) {
  if (threadIdx.x > 0) return;
  fromFloat(toFloat(halves[1]), toFloats[0]);
  fromFloat(toFloat(floats[1]), toFloats[1]);
  fromFloat(toFloat(floats[2]), toHalves[0]);
  least[0] = smaller(3, 5), least[1] = smaller(5, -3), least[2] = smaller(4, 4);
}
extern "C" __global__ void groups(const float* from, float* sums, float* tops, u32 lanes) {
  sums[threadIdx.x] = groupSum(from[threadIdx.x], lanes);
  tops[threadIdx.x] = groupMax(from[threadIdx.x], lanes);
}
`,
};

Deno.test({
  name: "eight neighbours are loaded and stored in their order, rounded to nearest even",
  ignore,
  async fn() {
    const module = await host!.gpu.load(USES);
    const numbers = [1, -2, 3.5, 0, -0.25, 2 ** 99, 7, 8];
    // 1 + 2^-8 and 1 + 3·2^-8 lie between two halves, of which the even ones are 1 and 1 + 2^-6.
    const odd = [1 + 2 ** -8, 1 + 3 * 2 ** -8, -5, 6, 7, 9, 10, 11, 12, 13, 14, 15];
    const halves = new DeviceArray(toBfloat16(numbers));
    const floats = new DeviceArray(Float32Array.from(odd));
    const toFloats = new DeviceArray(new Float32Array(16));
    const toHalves = new DeviceArray(new Uint16Array(8));
    const all = [halves, floats, toFloats, toHalves].map(({ address }) => address);
    module.kernel("copies", ["pointer", "pointer", "pointer", "pointer"])
      .launch({ stream: host!.stream, grid: [1], block: 32 }, all);
    assert.deepEqual([...toFloats.data], [...numbers, ...odd.slice(4)]);
    assert.deepEqual(
      [...toHalves.data],
      [...toBfloat16([1, 1 + 2 ** -6, -5, 6, 7, 9, 10, 11])],
    );
    const least = new DeviceArray(new Int32Array(3));
    module.kernel("singles", ["pointer", "pointer", "pointer", "pointer", "pointer"])
      .launch({ stream: host!.stream, grid: [1], block: 32 }, [...all, least.address]);
    assert.deepEqual([...toFloats.data.subarray(0, 2)], [-2, Math.fround(odd[1])]);
    assert.equal(toHalves.data[0], toBfloat16([-5])[0]);
    assert.deepEqual([...least.data], [3, -3, 4]);
    for (const each of [halves, floats, toFloats, toHalves, least]) each.assertGuards();
  },
});

Deno.test({
  name: "sums and maxima go over groups of neighbouring lanes, into every one",
  ignore,
  async fn() {
    const kernel = (await host!.gpu.load(USES)).kernel("groups", [
      "pointer",
      "pointer",
      "pointer",
      "u32",
    ]);
    const numbers = Float32Array.from({ length: 32 }, (_, i) => (5 * i) % 13 - 6);
    const from = new DeviceArray(numbers);
    for (const lanes of [1, 2, 4, 8, 32]) {
      const [sums, tops] = [0, 1].map(() => new DeviceArray(new Float32Array(32)));
      const values = [from.address, sums.address, tops.address, lanes];
      kernel.launch({ stream: host!.stream, grid: [1], block: 32 }, values);
      const groupOf = (i: number) => numbers.subarray(i - i % lanes, i - i % lanes + lanes);
      assert.deepEqual(
        [...sums.data],
        Array.from(numbers, (_, i) => groupOf(i).reduce((sum, each) => sum + each, 0)),
      );
      assert.deepEqual([...tops.data], Array.from(numbers, (_, i) => Math.max(...groupOf(i))));
    }
  },
});
