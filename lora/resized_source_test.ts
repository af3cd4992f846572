import assert from "node:assert/strict";
import { readAll, readFloat32, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { resizedSource } from "./resized_source.ts";

const numbers = Float32Array.from({ length: 6 }, (_, i) => i + 1);
const source = tensorSourceFromMap(
  new Map([["m", { dtype: "float32", shape: [2, 3], data: new Uint8Array(numbers.buffer) }]]),
);

Deno.test("rows and columns are added as zeros and left out, wherever a read begins and ends", async () => {
  const cases: readonly (readonly [readonly number[], readonly number[]])[] = [
    [[2, 3], [1, 2, 3, 4, 5, 6]],
    [[3, 3], [1, 2, 3, 4, 5, 6, 0, 0, 0]],
    [[2, 4], [1, 2, 3, 0, 4, 5, 6, 0]],
    [[3, 5], [1, 2, 3, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0]],
    [[1, 3], [1, 2, 3]],
    [[2, 2], [1, 2, 4, 5]],
    [[3, 1], [1, 4, 0]],
  ];
  for (const [shape, wanted] of cases) {
    const resized = resizedSource(source, [{ name: "m", shape }]);
    assert.deepEqual(resized.info("m"), { dtype: "float32", shape });
    assert.deepEqual([...await readFloat32(resized, "m")], wanted);
    const bytes = await readAll(resized, "m");
    for (let start = 0; start < bytes.length; start++) {
      for (let end = start; end <= bytes.length; end++) {
        const part = new Uint8Array(end - start).fill(7);
        await resized.read("m", part, start);
        assert.deepEqual(part, bytes.subarray(start, end));
      }
    }
    await assert.rejects(resized.read("m", new Uint8Array(bytes.length + 1)), RangeError);
  }
});

Deno.test("a tensor that is absent is an error, or zeros where that is asked for", async () => {
  const specs = [{ name: "n", shape: [2, 2] }];
  assert.throws(() => resizedSource(source, specs).info("n"), /Cannot find tensor "n"/);
  const filled = resizedSource(source, specs, { fillAbsent: true });
  assert.deepEqual([...await readFloat32(filled, "n")], [0, 0, 0, 0]);
  assert.deepEqual(filled.names(), ["n"]);
  await assert.rejects(filled.read("m", new Uint8Array(4)), /Cannot find tensor "m"/);
});
