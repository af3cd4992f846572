import assert from "node:assert/strict";
import type { WrittenFile } from "../../ort/tensor/safetensors_writer.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { oneAtATime } from "../../tests/support/one_at_a_time.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { sha256 } from "./checkpoint.ts";
import { writeModelFolder } from "./model_folder.ts";
import { savedConfig } from "./saved_config.ts";

const data = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
const weights = tensorSourceFromMap(new Map([["w", { dtype: "float32", shape: [3], data }]]));
const config = tinyConfig({ eos_token_id: 5 });

Deno.test("writeModelFolder() copies the model's files but for texts in their place, and writes the config last", async () => {
  await using model = await tempFolder();
  await using to = await tempFolder();
  for (const name of ["tokenizer.json", "merges.txt", "config.json", "other.txt"]) {
    await model.write(name, `the model's ${name}`);
  }
  const written: number[] = [];
  let files: readonly WrittenFile[] = [];
  await oneAtATime(async () => {
    files = await writeModelFolder(to.path, {
      model: model.path,
      config,
      texts: { "merges.txt": "own merges", "chat_template.jinja": "own template" },
      eosTokenIds: [7],
      weights,
      onBytes: (bytes) => {
        written.push(bytes);
        assert.throws(() => Deno.statSync(`${to.path}/config.json`), Deno.errors.NotFound);
      },
    });
  });
  const made: Record<string, string> = {};
  for await (const { name } of Deno.readDir(to.path)) {
    made[name] = await Deno.readTextFile(`${to.path}/${name}`);
  }
  const { "model.safetensors": safetensors, ...texts } = made;
  assert.deepEqual(texts, {
    "tokenizer.json": "the model's tokenizer.json",
    "merges.txt": "own merges",
    "chat_template.jinja": "own template",
    "config.json": savedConfig(config, [7]),
  });
  assert.deepEqual(files, [{
    name: "model.safetensors",
    bytes: (await Deno.stat(`${to.path}/model.safetensors`)).size,
    sha256: sha256(await Deno.readFile(`${to.path}/model.safetensors`)),
  }]);
  assert.ok(safetensors.includes('"w"') && written.length > 0);
});

Deno.test("writeModelFolder() of a model alone needs no more, and stops where it is asked to", async () => {
  await using model = await tempFolder();
  await using to = await tempFolder();
  await writeModelFolder(to.path, { model: model.path, config, weights });
  assert.equal(await Deno.readTextFile(`${to.path}/config.json`), savedConfig(config));
  await using stopped = await tempFolder();
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(
    writeModelFolder(stopped.path, { model: model.path, config, weights, signal }),
    { message: "enough" },
  );
  await assert.rejects(Deno.stat(`${stopped.path}/config.json`), Deno.errors.NotFound);
});
