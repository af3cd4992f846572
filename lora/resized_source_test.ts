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

Deno.test("vectors and numbers of two bytes are resized too, in the order of what is wanted", async () => {
  const data = new Uint8Array(Uint16Array.of(1, 2, 3, 4).buffer);
  const two = tensorSourceFromMap(
    new Map([
      ["v", { dtype: "bfloat16", shape: [4], data }],
      ["m", { dtype: "bfloat16", shape: [2, 2], data }],
      ["unread", { dtype: "bfloat16", shape: [4], data }],
    ]),
  );
  const resized = resizedSource(two, [{ name: "m", shape: [3, 3] }, { name: "v", shape: [6] }]);
  assert.deepEqual(resized.names(), ["m", "v"]);
  assert.deepEqual(resized.info("v"), { dtype: "bfloat16", shape: [6] });
  const numbers = async (
    name: string,
  ) => [...new Uint16Array((await readAll(resized, name)).slice().buffer)];
  assert.deepEqual(await numbers("v"), [1, 2, 3, 4, 0, 0]);
  assert.deepEqual(await numbers("m"), [1, 2, 0, 3, 4, 0, 0, 0, 0]);
  assert.throws(() => resized.info("unread"), {
    message: 'Cannot find tensor "unread": the adapter does not hold it. It holds "m", "v"',
  });
  await assert.rejects(resized.read("m", new Uint8Array(2), 17), RangeError);
  // What is held is not zeros where others are absent.
  const both = resizedSource(two, [{ name: "v", shape: [4] }, { name: "n", shape: [2] }], {
    fillAbsent: true,
  });
  assert.deepEqual(both.info("v"), { dtype: "bfloat16", shape: [4] });
  assert.deepEqual(both.info("n"), { dtype: "float32", shape: [2] });
  assert.deepEqual(await readAll(both, "v"), data);
  assert.deepEqual([...await readAll(both, "n")], Array(8).fill(0));
  const [most, one] = [new Uint8Array(7).fill(9), new Uint8Array(9)];
  await both.read("n", most, 1);
  assert.deepEqual([...most], Array(7).fill(0));
  await assert.rejects(both.read("n", one), RangeError);
});
