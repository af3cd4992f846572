import assert from "node:assert/strict";
import { readFloat32, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { roundedRow } from "../../tests/support/rounded_blocks.ts";
import { draws } from "../../tests/support/random.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { modelParameters } from "../parameters.ts";
import { roundedSource } from "./rounded_source.ts";

Deno.test("matrices are read as a base in fewer bits has them, all else as it is", async () => {
  const config = tinyConfig({ hidden_size: 40, vocab_size: 6, num_hidden_layers: 1 });
  const draw = draws(3);
  const values = new Map(
    modelParameters(config).map(({ name, shape }) => [
      name,
      {
        shape,
        numbers: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => draw()),
      },
    ]),
  );
  values.set("lm_head.weight", values.get("model.embed_tokens.weight")!);
  const source = tensorSourceFromMap(
    new Map(
      [...values].map(([name, { shape, numbers }]) => [
        name,
        { dtype: "float32", shape, data: new Uint8Array(numbers.buffer) },
      ]),
    ),
  );
  const read = roundedSource(source, config, { bits: 4, block: 32, compute: "int8" });
  assert.deepEqual(read.names(), [...values.keys()]);
  const bitsOf = (name: string) =>
    name.startsWith("model.embed") || name === "lm_head.weight" ? 8 : 4;
  for (const [name, { shape, numbers }] of values) {
    const actual = await readFloat32(read, name);
    if (shape.length === 1) {
      assert.deepEqual(actual, numbers, name);
      continue;
    }
    // Those of other widths are rounded the same way; here are the rows of two blocks.
    if (shape[1] !== 40) continue;
    const how = { bits: bitsOf(name), block: 32 } as const;
    const expected = Array.from(
      { length: shape[0] },
      (_, row) => roundedRow(numbers.subarray(row * 40, (row + 1) * 40), how),
    );
    assert.deepEqual([...actual], expected.flat(), name);
  }
  // Some rows alone are what they are among all.
  const name = "model.layers.0.mlp.up_proj.weight";
  const all = await readFloat32(read, name);
  assert.deepEqual(await readFloat32(read, name, { start: 80, count: 120 }), all.slice(80, 200));
});
