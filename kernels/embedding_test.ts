import assert from "node:assert/strict";
import {
  assertKernel,
  DeviceArray,
  elements,
  testGpu,
  toNumbers,
} from "../tests/support/test_gpu.ts";
import { draws } from "../tests/support/random.ts";
import { EmbeddingKernel, tokensById } from "./embedding.ts";

const host = await testGpu();
const ignore = !host;
const STREAM = host?.stream ?? 0n;

Deno.test("tokensById() keeps each id's tokens in order and leaves padding out", () => {
  const ids = BigInt64Array.of(7n, 3n, 7n, 0n, 3n, 7n, 0n);
  const { ids: found, offsets, tokens } = tokensById(ids, Int32Array.of(1, 1, 1, 2, 2, 2, 0));
  assert.deepEqual([...found], [7, 3, 0]);
  assert.deepEqual([...offsets], [0, 3, 5, 6]);
  assert.deepEqual([...tokens], [0, 2, 5, 1, 4, 3]);
  const none = tokensById(BigInt64Array.of(1n), Int32Array.of(0));
  assert.deepEqual([none.ids.length, [...none.offsets], none.tokens.length], [0, [0], 0]);
});

for (const [type, gradients] of [["bfloat16", "float32"], ["bfloat16", "bfloat16"]] as const) {
  Deno.test({
    name: `the ${gradients} gradient of an embedding adds each token's ${type} row to its id's`,
    ignore,
    async fn() {
      const kernel = await EmbeddingKernel.load(host!.gpu, type, gradients);
      for (const width of [40, 2056]) {
        const draw = draws(width);
        const [vocabulary, count] = [9, 50];
        const random = (length: number): Float32Array =>
          Float32Array.from({ length }, () => draw());
        const inputIds = BigInt64Array.from(
          { length: count },
          () => BigInt(Math.floor(draw(0, 8))),
        );
        const segmentIds = Int32Array.from({ length: count }, (_, i) => i % 11 === 5 ? 0 : 1);
        const dx = elements(type, random(count * width));
        const dTable = elements(gradients, random(vocabulary * width));
        const expected = Float64Array.from(toNumbers(dTable.data));
        const rows = toNumbers(dx.data);
        for (let token = 0; token < count; token++) {
          if (segmentIds[token] === 0) continue;
          const to = Number(inputIds[token]) * width;
          for (let i = 0; i < width; i++) expected[to + i] += rows[token * width + i];
        }
        const untouched = dTable.data.slice(-width);
        const grouped = tokensById(inputIds, segmentIds);
        const [ids, offsets, tokens] = [grouped.ids, grouped.offsets, grouped.tokens].map((each) =>
          new DeviceArray(each)
        );
        host!.setOrder(width);
        kernel.launch(STREAM, {
          dx: dx.address,
          dTable: dTable.address,
          ids: ids.address,
          offsets: offsets.address,
          tokens: tokens.address,
        }, { distinct: grouped.ids.length, width });
        // Sums of a few values up to 1; half a unit in the last place of bfloat16 is 2⁻⁸ of one.
        assertKernel(toNumbers(dTable.data), expected, {
          absolute: 3e-6,
          relative: gradients === "bfloat16" ? 2 ** -8 : 0,
          label: "dTable",
        });
        assert.deepEqual(dTable.data.slice(-width), untouched);
        dTable.assertGuards();
        dx.assertGuards();
      }
      const pointers = { dx: 0n, dTable: 0n, ids: 0n, offsets: 0n, tokens: 0n };
      assert.throws(
        () => kernel.launch(0n, pointers, { distinct: 1, width: 12 }),
        /rows of 12: the width must be a multiple of 8/,
      );
    },
  });
}
