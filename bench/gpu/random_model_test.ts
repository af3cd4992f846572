import assert from "node:assert/strict";
import { openAdapter } from "../../lora/open_adapter.ts";
import { EMBEDDING } from "../../model/parameters.ts";
import { openModel } from "../../model/weights/open_model.ts";
import { readFloat32 } from "../../ort/tensor/tensor_source.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { writeRandomModel } from "./random_model.ts";
import { SHAPES } from "./workload.ts";

const shape = SHAPES.tiny;

for (const dtype of ["float32", "bfloat16"] as const) {
  Deno.test(`writeRandomModel() writes a model in ${dtype} and an adapter of the seed's settings`, async () => {
    await using folder = await tempFolder();
    const [model, adapter] = ["model", "adapter"].map((name) => `${folder.path}/${name}`);
    await writeRandomModel({ model, adapter, shape, seed: 1, dtype });
    await using opened = await openModel(model);
    assert.equal(opened.weights.info(EMBEDDING).dtype, dtype);
    const values = await readFloat32(opened.weights, EMBEDDING);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const deviation = Math.sqrt(
      values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length,
    );
    assert.ok(
      Math.abs(mean) < 5e-4 && Math.abs(deviation / 0.02 - 1) < 0.02,
      `${mean} ± ${deviation}`,
    );
    const width = shape.hidden_size;
    const rows = Array.from(
      { length: shape.vocab_size },
      (_, row) => values.subarray(row * width, (row + 1) * width).join(),
    );
    assert.equal(new Set(rows).size, rows.length);
    const norm = await readFloat32(opened.weights, "model.norm.weight");
    assert.deepEqual([...norm], Array(width).fill(1));

    await using openedAdapter = await openAdapter(adapter, opened.config);
    const { weights, lora } = openedAdapter;
    assert.deepEqual([lora.rank, lora.alpha, lora.dropout], [8, 32, 0.1]);
    // Seven layers of each of two blocks, A and B.
    assert.equal(weights.names().length, 7 * 2 * 2);
  });
}

Deno.test("writeRandomModel() gives the same bytes again, in pieces as at once", async () => {
  await using folder = await tempFolder();
  const files = await Promise.all(["one", "two"].map(async (name) => {
    const [model, adapter] = ["", "-adapter"].map((end) => `${folder.path}/${name}${end}`);
    await writeRandomModel({ model, adapter, shape, seed: 7, dtype: "bfloat16" });
    return await Deno.readFile(`${model}/model.safetensors`);
  }));
  assert.deepEqual(files[0], files[1]);
  await using model = await openModel(`${folder.path}/one`);
  const name = "model.layers.1.mlp.down_proj.weight";
  const bytes = new Uint8Array(512);
  await model.weights.read(name, bytes);
  const parts = new Uint8Array(512);
  for (let at = 0; at < 512; at += 128) {
    await model.weights.read(name, parts.subarray(at, at + 128), at);
  }
  assert.deepEqual(parts, bytes);
});
