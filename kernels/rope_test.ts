import assert from "node:assert/strict";
import {
  assertKernel,
  DeviceArray,
  elements,
  testGpu,
  toNumbers,
} from "../tests/support/test_gpu.ts";
import { draws } from "../tests/support/random.ts";
import { RopeKernel } from "./rope.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;

for (const type of ["float32", "bfloat16"] as const) {
  for (const [tokens, heads, headDim, gap] of [[7, 3, 64, 0], [5, 2, 128, 48], [9, 1, 16, 8]]) {
    Deno.test({
      name:
        `RoPE of ${type} [${tokens}, ${heads}, ${headDim}], gaps of ${gap}, turns and turns back`,
      ignore,
      async fn() {
        const kernel = await RopeKernel.load(host!.gpu, type);
        const draw = draws(headDim);
        const [half, stride] = [headDim / 2, heads * headDim + gap];
        const table = (f: (x: number) => number): DeviceArray<Float32Array> =>
          new DeviceArray(
            Float32Array.from(
              { length: 50 * half },
              (_, i) => f(Math.floor(i / half) * (i % half)),
            ),
          );
        const [cos, sin] = [table(Math.cos), table(Math.sin)];
        const places = Array.from({ length: tokens }, (_, i) => (i * 17) % 50);
        const values = Float32Array.from({ length: tokens * stride }, () => draw());
        for (const wide of [false, true]) {
          const x = elements(type, values);
          const start = Float64Array.from(toNumbers(x.data));
          const expected = start.slice();
          places.forEach((place, token) => {
            for (let head = 0; head < heads; head++) {
              for (let i = 0; i < half; i++) {
                const at = token * stride + head * headDim + i;
                const [c, s] = [cos.data[place * half + i], sin.data[place * half + i]];
                expected[at] = start[at] * c - start[at + half] * s;
                expected[at + half] = start[at + half] * c + start[at] * s;
              }
            }
          });
          const positions = new DeviceArray(
            wide ? BigInt64Array.from(places, BigInt) : Int32Array.from(places),
          );
          const pointers = {
            x: x.address,
            positions: positions.address,
            cos: cos.address,
            sin: sin.address,
          };
          const sizes = {
            tokens,
            heads,
            headDim,
            stride,
            positions: wide ? "int64" : "int32",
          } as const;
          kernel.launch(STREAM, pointers, sizes);
          const relative = type === "bfloat16" ? 2 ** -8 + 1e-6 : 0;
          const absolute = 3e-7;
          assertKernel(toNumbers(x.data), expected, { relative, absolute, label: "turned" });
          kernel.launch(STREAM, pointers, { ...sizes, backward: true });
          // Twice rounded where it is bfloat16, each time by 2⁻⁸ of up to √2.
          const back = type === "bfloat16" ? 3 * 2 ** -8 : 5e-7;
          assertKernel(toNumbers(x.data), start, { absolute: back, label: "turned back" });
          x.assertGuards();
        }
      },
    });
  }
}

Deno.test({
  name: "RoPE refuses heads that its loads do not fit",
  ignore,
  async fn() {
    const kernel = await RopeKernel.load(host!.gpu, "float32");
    const pointers = { x: 16n, positions: 16n, cos: 16n, sin: 16n };
    const sizes = { tokens: 1, heads: 1, positions: "int32" } as const;
    assert.throws(() => kernel.launch(0n, pointers, { ...sizes, headDim: 24 }), /multiple of 16/);
    assert.throws(
      () => kernel.launch(0n, pointers, { ...sizes, headDim: 16, stride: 20 }),
      /20 apart/,
    );
  },
});
