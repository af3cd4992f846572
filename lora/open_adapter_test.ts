import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { parseConfig } from "../model/config.ts";
import { elementCount } from "../ort/tensor/dtype.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import { readFloat32, type TensorData, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "./adapter_config.ts";
import { openAdapter, openAdapterWeights } from "./open_adapter.ts";

const config = parseConfig({
  model_type: "llama",
  ...{ hidden_size: 4, intermediate_size: 6, num_hidden_layers: 2, num_attention_heads: 2 },
  ...{ head_dim: 2, vocab_size: 8, eos_token_id: 0 },
});
const SETTINGS = {
  ...{ peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] },
  layers_to_transform: [1],
};
const LAYER = "base_model.model.model.layers.1.self_attn.q_proj";
const A: readonly [string, readonly number[]] = [`${LAYER}.lora_A.weight`, [2, 4]];
const B: readonly [string, readonly number[]] = [`${LAYER}.lora_B.weight`, [4, 2]];

function tensor(shape: readonly number[], fill = 0.5): TensorData {
  const values = new Float32Array(elementCount(shape)).fill(fill);
  return { dtype: "float32", shape, data: new Uint8Array(values.buffer) };
}

async function opened(
  tensors: readonly (readonly [string, readonly number[]])[],
  { settings = SETTINGS, fill }: { settings?: Record<string, unknown>; fill?: number } = {},
): Promise<Record<string, readonly number[]>> {
  await using folder = await tempFolder();
  await folder.write(ADAPTER_CONFIG, JSON.stringify(settings));
  const source = tensorSourceFromMap(
    new Map(tensors.map(([name, shape]) => [name, tensor(shape, fill)])),
  );
  await writeSafetensors(`${folder.path}/${ADAPTER_WEIGHTS}`, source);
  await using adapter = await openAdapter(folder.path, config);
  const { weights } = adapter;
  for (const name of weights.names()) await readFloat32(weights, name);
  return Object.fromEntries(weights.names().map((name) => [name, weights.info(name).shape]));
}

Deno.test("adapters are opened under the names of PEFT and of other tools", async () => {
  const plain = {
    "model.layers.1.self_attn.q_proj.lora_A.weight": [2, 4],
    "model.layers.1.self_attn.q_proj.lora_B.weight": [4, 2],
  };
  const renamings: readonly ((name: string) => string)[] = [
    (name) => name,
    (name) => name.replace(/\.weight$/, ".default.weight"),
    (name) => name.replace(/\.weight$/, ".my-adapter_2.weight"),
    (name) => name.replace("base_model.model.", ""),
    (name) => name.replace("base_model.model.", "base_model.model._orig_mod."),
    (name) => `_orig_mod.${name}`.replace(/\.weight$/, ".default.weight"),
  ];
  for (const rename of renamings) {
    assert.deepEqual(await opened([A, B].map(([name, shape]) => [rename(name), shape])), plain);
  }
  const magnitude = "lora_magnitude_vector";
  for (const end of ["", ".weight", ".default", ".default.weight"]) {
    const dora = [A, B, [`${LAYER}.${magnitude}${end}`, [4]]] as const;
    assert.deepEqual(await opened(dora, { settings: { ...SETTINGS, use_dora: true } }), {
      ...plain,
      [`model.layers.1.self_attn.q_proj.${magnitude}`]: [4],
    });
  }
});

Deno.test("tensors that do not belong to the adapter are named, all together", async () => {
  const layer = LAYER.replace("layers.1", "layers.0");
  await assert.rejects(
    opened([
      [A[0], [3, 4]],
      [`${LAYER}.lora_B.bias`, [4]],
      [`${layer}.lora_A.weight`, [2, 4]],
      ["base_model.model.lm_head.weight", [8, 4]],
      ["base_model.model.model.embed_tokens.weight", [8, 4]],
    ]),
    (error: Error) => {
      assert.match(
        error.message,
        /^Cannot load weights from .*: they do not fit its adapter_config/,
      );
      assert.match(error.message, /missing: "model\.layers\.1\.self_attn\.q_proj\.lora_B\.weight"/);
      assert.match(
        error.message,
        /weights of the model itself, .*: "lm_head\.weight", "model\.embed/,
      );
      assert.match(error.message, /its settings describe: "model\.layers\.0\..*lora_B\.bias"/);
      assert.match(error.message, /lora_A\.weight has shape \[3,4\], the settings say \[2,4\]/);
      return true;
    },
  );
  await assert.rejects(
    opened([A, B, [A[0].replace("weight", "other.weight"), [2, 4]]]),
    /Cannot tell .*lora_A\.other\.weight" from .*lora_A\.weight": .* two adapters in one file/,
  );
});

Deno.test("NaN and infinity in an adapter's weights are named", async () => {
  for (const fill of [NaN, Infinity, -Infinity]) {
    await assert.rejects(
      opened([A, B], { fill }),
      /^RangeError: Cannot load weights from .*: "model\.layers\.1\.self_attn\.q_proj\.lora_A\.weight" holds NaN or infinity at element 0; /,
    );
  }
});

Deno.test("pickled weights are refused with a way out, no weights with the file that is missing", async () => {
  await using folder = await tempFolder();
  await folder.write(ADAPTER_CONFIG, JSON.stringify(SETTINGS));
  await assert.rejects(
    openAdapter(folder.path, config),
    /adapter_model\.safetensors.*no such file/,
  );
  await folder.write("adapter_model.bin", "pickle");
  await assert.rejects(openAdapter(folder.path, config), {
    message:
      `Cannot load weights from ${folder.path}: there is no adapter_model.safetensors, and ` +
      "adapter_model.bin is pickled, which runs what it holds; load it with PEFT and save it again " +
      "(save_pretrained)",
  });
});

Deno.test("a pattern that cannot be used and a module that cannot be adapted are told with their file", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/${ADAPTER_CONFIG}`;
  const cases = {
    "(q_proj": `Cannot use target_modules of ${path}, the regular expression "(q_proj": it has a ` +
      "parenthesis without an end at character 1",
    lm_head:
      "Cannot adapt lm_head: the linear layers are q_proj, k_proj, v_proj, o_proj, gate_proj, " +
      `up_proj, down_proj; name some of these in target_modules of ${path}, or merge the adapter ` +
      "with PEFT",
  };
  for (const [target_modules, message] of Object.entries(cases)) {
    const { layers_to_transform: _, ...settings } = SETTINGS;
    await folder.write(ADAPTER_CONFIG, JSON.stringify({ ...settings, target_modules }));
    await assert.rejects(openAdapter(folder.path, config), { name: "RangeError", message });
  }
});

Deno.test("settings that fit no adapted layer are noted", async () => {
  await using folder = await tempFolder();
  const settings = {
    ...SETTINGS,
    layers_to_transform: [1, 9],
    rank_pattern: { q_proj: 2, k_proj: 8 },
    alpha_pattern: { "layers.0.*": 3 },
  };
  await folder.write(ADAPTER_CONFIG, JSON.stringify(settings));
  const source = tensorSourceFromMap(new Map([A, B].map(([name, shape]) => [name, tensor(shape)])));
  await writeSafetensors(`${folder.path}/${ADAPTER_WEIGHTS}`, source);
  await using adapter = await openAdapter(folder.path, config);
  assert.deepEqual(adapter.lora.notes, [
    `${folder.path}/${ADAPTER_CONFIG}: rank_pattern has "k_proj", alpha_pattern has "layers.0.*", ` +
    "layers_to_transform has 9, which no adapted layer of the model fits",
  ]);
});

Deno.test("what does not fit is told in whole, weights of the model apart from others", async () => {
  await using folder = await tempFolder();
  const names: readonly (readonly [string, readonly number[]])[] = [
    [A[0], [3, 4]],
    ["base_model.model.model.norm.weight", [4]],
    ["base_model.model.lm_head.weight", [8, 4]],
    ["base_model.model.other", [1]],
  ];
  const source = tensorSourceFromMap(new Map(names.map(([name, shape]) => [name, tensor(shape)])));
  await writeSafetensors(`${folder.path}/${ADAPTER_WEIGHTS}`, source);
  const q = "model.layers.1.self_attn.q_proj";
  const parameters = [
    { name: `${q}.lora_A.weight`, shape: [2, 4], decays: true },
    { name: `${q}.lora_B.weight`, shape: [4, 2], decays: true },
  ];
  const start =
    `Cannot load weights from ${folder.path}: they do not fit its adapter_config.json and the ` +
    `model\n  missing: "${q}.lora_B.weight"\n  weights of the model itself, which PEFT would put in place of ` +
    "the base's: ";
  const shape = `  ${q}.lora_A.weight has shape [3,4], the settings say [2,4]\n`;
  const end = "Take the adapter's files from one folder, and the model that it was trained on";
  await assert.rejects(openAdapterWeights(folder.path, parameters, config), {
    name: "Error",
    message:
      `${start}"lm_head.weight", "model.norm.weight" (merge the adapter with PEFT)\n  not part of the ` +
      `adapter that its settings describe: "other"\n${shape}${end}`,
  });
  // Of a model that is not known only the head's name is.
  await assert.rejects(openAdapterWeights(folder.path, parameters), {
    message:
      `${start}"lm_head.weight" (merge the adapter with PEFT)\n  not part of the adapter that its ` +
      `settings describe: "model.norm.weight", "other"\n${shape}${end}`,
  });
});

Deno.test("weights that are no file are refused, and pickled ones beside others are passed over", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/${ADAPTER_WEIGHTS}`;
  await mkdir(path);
  await assert.rejects(openAdapterWeights(folder.path, []), {
    name: "RangeError",
    message: new RegExp(
      `^Cannot open adapter ${folder.path}: ${ADAPTER_WEIGHTS} .*; put the file itself there$`,
    ),
  });
  await using other = await tempFolder();
  await writeSafetensors(
    `${other.path}/${ADAPTER_WEIGHTS}`,
    tensorSourceFromMap(new Map([[A[0], tensor(A[1])]])),
  );
  await other.write("adapter_model.bin", "pickle");
  const parameters = [{ name: A[0].replace("base_model.model.", ""), shape: A[1], decays: true }];
  {
    await using weights = await openAdapterWeights(other.path, parameters);
    assert.deepEqual(weights.names(), [parameters[0].name]);
  }
  // A folder of that name holds no pickled weights.
  await using third = await tempFolder();
  await mkdir(`${third.path}/adapter_model.bin`);
  await assert.rejects(
    openAdapterWeights(third.path, parameters),
    /adapter_model\.safetensors.*no such file/,
  );
  await symlink(`${other.path}/${ADAPTER_WEIGHTS}`, `${third.path}/${ADAPTER_WEIGHTS}`);
  await assert.rejects(openAdapterWeights(third.path, parameters), /put the file itself there$/);
});

Deno.test("settings that all fit have no more notes than their file", async () => {
  await using folder = await tempFolder();
  await folder.write(ADAPTER_CONFIG, JSON.stringify({ ...SETTINGS, revision: "v2" }));
  const source = tensorSourceFromMap(new Map([A, B].map(([name, shape]) => [name, tensor(shape)])));
  await writeSafetensors(`${folder.path}/${ADAPTER_WEIGHTS}`, source);
  await using adapter = await openAdapter(folder.path, config);
  assert.equal(adapter.lora.notes.length, 1);
  assert.match(adapter.lora.notes[0], /revision is "v2"/);
  assert.deepEqual([adapter.lora.rank, adapter.lora.layersToTransform], [2, [1]]);
});
