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
        const [cos, sin] = [Math.cos, Math.sin].map((f) =>
          elements(
            type,
            Float32Array.from(
              { length: 50 * half },
              (_, i) => f(Math.floor(i / half) * (i % half)),
            ),
          )
        );
        const [cosines, sines] = [cos, sin].map(({ data }) => toNumbers(data));
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
                const [c, s] = [cosines[place * half + i], sines[place * half + i]];
                expected[at] = start[at] * c - start[at + half] * s;
                expected[at + half] = start[at + half] * c + start[at] * s;
              }
            }
          });
          const positions = new DeviceArray(
            wide ? BigInt64Array.from(places, BigInt) : Int32Array.from(places),
          );
          const turned = elements(type, values);
          const pointers = {
            from: x.address,
            to: turned.address,
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
          assertKernel(toNumbers(turned.data), expected, { relative, absolute, label: "turned" });
          kernel.launch(STREAM, { ...pointers, from: turned.address }, {
            ...sizes,
            backward: true,
          });
          // In bfloat16 rounded twice, by 2⁻⁸ of up to √2, and the tables' squares do not add up to 1.
          const back = type === "bfloat16" ? 5 * 2 ** -8 : 5e-7;
          assertKernel(toNumbers(turned.data), start, { absolute: back, label: "turned back" });
          for (const each of [x, turned, cos, sin]) each.assertGuards();
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
    const pointers = { from: 16n, to: 16n, positions: 16n, cos: 16n, sin: 16n };
    const sizes = { tokens: 1, heads: 1, positions: "int32" } as const;
    assert.throws(() => kernel.launch(0n, pointers, { ...sizes, headDim: 24 }), /multiple of 16/);
    assert.throws(
      () => kernel.launch(0n, pointers, { ...sizes, headDim: 16, stride: 20 }),
      /20 apart/,
    );
  },
});
