import assert from "node:assert/strict";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { familyConfig, tinyConfig } from "../../tests/support/tiny_model.ts";
import { clientConfig, type ClientFilesOptions, exportClientFiles } from "./client_files.ts";
import type { ExportDtype } from "./export_format.ts";

const config = tinyConfig({ eos_token_id: 7 });
const exported = (dtype: ExportDtype, ...names: readonly string[]) => ({
  dtype,
  files: names.map((name) => ({ path: `onnx/${name}`, bytes: 1, sha256: "" })),
});

Deno.test("clientConfig() counts files of weights, and names the float16 caches and the sizes of heads", () => {
  const own = { num_key_value_heads: 2, head_dim: 8 };
  assert.deepEqual(clientConfig(config, []), {
    ...config.raw,
    ...own,
    "transformers.js_config": { use_external_data_format: {}, kv_cache_dtype: {} },
  });
  const models = [
    exported("q4", "model_q4.onnx_data", "model_q4.onnx"),
    exported("fp16", "model_fp16.onnx_data", "model_fp16.onnx_data_1", "model_fp16.onnx"),
    exported("q4f16", "model_q4f16.onnx"),
  ];
  assert.deepEqual(clientConfig(config, models), {
    ...config.raw,
    ...own,
    "transformers.js_config": {
      dtype: "q4",
      use_external_data_format: { "model_q4.onnx": 1, "model_fp16.onnx": 2, "model_q4f16.onnx": 0 },
      kv_cache_dtype: { fp16: "float16", q4f16: "float16" },
    },
  });
  const hybrid = clientConfig(familyConfig("granitemoehybrid"), []);
  assert.deepEqual(hybrid.layer_types, ["attention", "attention"]);
});

/** The files that come of a model's folder, JSON as values. */
async function written(
  files: Readonly<Record<string, string>>,
  options: Partial<ClientFilesOptions> = {},
): Promise<Readonly<Record<string, unknown>>> {
  await using model = await tempFolder();
  await using target: TempFolder = await tempFolder();
  for (const [name, text] of Object.entries(files)) await model.write(name, text);
  await exportClientFiles(target.path, { model: model.path, config, exported: [], ...options })
    .catch((cause: Error) => {
      throw new Error(cause.message.replaceAll(model.path, "M"));
    });
  const all: [string, unknown][] = [];
  for await (const { name } of Deno.readDir(target.path)) {
    const text = await Deno.readTextFile(`${target.path}/${name}`);
    all.push([name, name === "tokenizer.json" ? text : JSON.parse(text)]);
  }
  return Object.fromEntries(all.sort(([a], [b]) => a < b ? -1 : 1));
}

const LEAST = { "tokenizer.json": '{"a":  1}', "tokenizer_config.json": '{"b":2}' };

Deno.test("exportClientFiles() writes the tokenizer as it is, and config.json for clients", async () => {
  assert.deepEqual(await written(LEAST), {
    "config.json": clientConfig(config, []),
    "tokenizer.json": '{"a":  1}',
    "tokenizer_config.json": { b: 2 },
  });
});

Deno.test("exportClientFiles() takes along template, generation settings and chat settings, or others", async () => {
  const own = {
    ...LEAST,
    "chat_template.jinja": "own",
    "generation_config.json": '{"top_k":1}',
    "chat_settings.json": '{"format":1}',
  };
  const { "config.json": _config, ...files } = await written(own);
  assert.deepEqual(files, {
    "chat_settings.json": { format: 1 },
    "generation_config.json": { top_k: 1 },
    "tokenizer.json": '{"a":  1}',
    "tokenizer_config.json": { b: 2, chat_template: "own" },
  });
  const texts = {
    "chat_template.jinja": "given",
    "generation_config.json": '{"top_k":2}',
    "chat_settings.json": '{"format":2}',
  };
  for (const model of [own, LEAST]) {
    const { "config.json": _other, ...given } = await written(model, { texts });
    assert.deepEqual(given, {
      "chat_settings.json": { format: 2 },
      "generation_config.json": { top_k: 2 },
      "tokenizer.json": '{"a":  1}',
      "tokenizer_config.json": { b: 2, chat_template: "given" },
    });
  }
});

Deno.test("exportClientFiles() adds the ends of replies that were taught", async () => {
  const ends = async (eosTokenIds?: readonly number[]): Promise<unknown> => {
    const files = await written(LEAST, { eosTokenIds });
    return (files["config.json"] as Record<string, unknown>).eos_token_id;
  };
  assert.deepEqual([await ends(), await ends([7]), await ends([5, 7])], [7, 7, [5, 7]]);
});

Deno.test("exportClientFiles() refuses a folder without a tokenizer", async () => {
  await assert.rejects(written({ "tokenizer_config.json": "{}" }), /M\/tokenizer\.json/);
  const { "tokenizer.json": tokenizer } = LEAST;
  for (const text of [undefined, "5", "null"]) {
    await assert.rejects(
      written({
        "tokenizer.json": tokenizer,
        ...text === undefined ? {} : { "tokenizer_config.json": text },
      }),
      new Error(
        "Cannot export M: there is no object in M/tokenizer_config.json; copy it again",
      ),
    );
  }
});
