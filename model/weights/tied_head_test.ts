import assert from "node:assert/strict";
import type { DType } from "../../ort/tensor/dtype.ts";
import { float32ToBfloat16 } from "../../ort/tensor/half.ts";
import {
  type TensorData,
  type TensorSource,
  tensorSourceFromMap,
} from "../../ort/tensor/tensor_source.ts";
import { assertTiedHead } from "./tied_head.ts";

function floats(shape: readonly number[], values: readonly number[]): TensorData {
  return { dtype: "float32", shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

function halves(shape: readonly number[], values: readonly number[]): TensorData {
  const bits = new Uint16Array(values.length);
  float32ToBfloat16(Float32Array.from(values), bits);
  return { dtype: "bfloat16", shape, data: new Uint8Array(bits.buffer) };
}

/** How the two differ, by the error's words; undefined where they do not. */
async function difference(embedding: TensorData, head: TensorData): Promise<string | undefined> {
  const held = tensorSourceFromMap(new Map([["wte", embedding], ["head", head]]));
  // As of a file, reads take their time.
  const source: TensorSource = {
    ...held,
    read: async (...range) => {
      await Promise.resolve();
      await held.read(...range);
    },
  };
  try {
    await assertTiedHead(source, { embedding: "wte", head: "head", from: "m" });
  } catch (error) {
    assert.ok(error instanceof RangeError);
    const [, found] =
      /^Cannot load weights from m: tie_word_embeddings is true in config\.json, but "head" is not "wte" \((.*)\), and versions of transformers differ in which they take for the head: 4\.57\.6 the embedding, 5\.24\.0 the other\. Set tie_word_embeddings to false in config\.json to keep both, or remove the wrong tensor from the file$/
        .exec(error.message)!;
    return found;
  }
}

Deno.test("a head is the embedding where every number is", async () => {
  const values = [1, -2, 3, 4, 5, 6];
  assert.equal(await difference(floats([3, 2], values), floats([3, 2], values)), undefined);
  assert.equal(await difference(halves([3, 2], values), halves([3, 2], values)), undefined);
  // Numbers count, whatever their types.
  assert.equal(await difference(floats([3, 2], values), halves([3, 2], values)), undefined);
  assert.equal(await difference(halves([3, 2], values), floats([3, 2], values)), undefined);
  assert.equal(await difference(floats([0, 2], []), floats([0, 2], [])), undefined);
});

Deno.test("a head that is not the embedding is refused by the first row that differs", async () => {
  const values = [1, 2, 3, 4, 5, 6];
  for (const [at, row] of [[0, 0], [1, 0], [2, 1], [3, 1], [5, 2]]) {
    const other = values.with(at, 9);
    const expected = `they differ from row ${row} on`;
    assert.equal(await difference(floats([3, 2], values), floats([3, 2], other)), expected);
    assert.equal(await difference(halves([3, 2], values), halves([3, 2], other)), expected);
    assert.equal(await difference(floats([3, 2], values), halves([3, 2], other)), expected);
  }
  // Five halves are no whole words, and two of a word are two rows.
  for (let row = 0; row < 5; row++) {
    const column = [1, 2, 3, 4, 5];
    assert.equal(
      await difference(halves([5, 1], column), halves([5, 1], column.with(row, 9))),
      `they differ from row ${row} on`,
    );
  }
  assert.equal(
    await difference(floats([3, 2], values), floats([2, 3], values)),
    "shapes [3,2] and [2,3]",
  );
});

Deno.test("heads are compared piece by piece, to the end", async () => {
  // Two pieces of 2^20 elements, and a part of a third.
  const [rows, columns] = [(1 << 18) * 2 + 3, 4];
  const make = (dtype: DType, width: number): TensorData => ({
    ...{ dtype, shape: [rows, columns], data: new Uint8Array(rows * columns * width) },
  });
  for (const [dtype, width] of [["float32", 4], ["bfloat16", 2]] as const) {
    for (const row of [(1 << 18) - 1, 1 << 18, rows - 1]) {
      const head = make(dtype, width);
      // The lowest byte of the row's second number.
      head.data[(row * columns + 1) * width] = 1;
      assert.equal(await difference(make(dtype, width), head), `they differ from row ${row} on`);
    }
  }
});
