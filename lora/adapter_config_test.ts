import assert from "node:assert/strict";
import { tempFolder } from "../tests/support/temp_folder.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  formatAdapterConfig,
  parseAdapterConfig,
  readAdapterConfig,
  readBaseModel,
  renameBaseModel,
} from "./adapter_config.ts";
import { ADAPTER_FIELDS, reviewInit } from "./adapter_fields.ts";
import { DEFAULT_LORA } from "./lora_options.ts";

const CORE = { peft_type: "LORA", r: 4, lora_alpha: 16, target_modules: ["q_proj"] };

function parse(change: Readonly<Record<string, unknown>>) {
  return parseAdapterConfig({ ...CORE, ...change }, "ad/adapter_config.json");
}

Deno.test("values that ask for nothing are taken, those that ask for something are refused by name with a way out", () => {
  const cases: Readonly<Record<string, readonly [nothing: readonly unknown[], ...unknown[]]>> = {
    alora_invocation_tokens: [[null], [1, 2], []],
    arrow_config: [[null], { top_k: 1 }],
    bias: [[null, "none"], "all", "lora_only", true],
    enable_lora: [[null], [true, false, true]],
    kasa_config: [[null], { beta: 1 }],
    layer_replication: [[null, []], [[0, 4], [2, 5]]],
    lora_bias: [[null, false], true],
    lora_parameters: [[null], { rank: 8 }],
    megatron_config: [[null, {}], { a: 1 }],
    modules_to_save: [[null, []], ["lm_head"], ["embed_tokens", "lm_head"]],
    monteclora_config: [[null], {}],
    target_parameters: [[null, []], ["mlp.experts.gate_up_proj"]],
    trainable_token_indices: [[null, [], {}], [1, 2], { embed_tokens: [1] }],
    use_bdlora: [[null, false], { nblocks: 2 }],
    use_qalora: [[null, false], true],
    init_lora_weights: [
      [null, true, false, "gaussian", "eva", "orthogonal"],
      ...[
        "pissa",
        "pissa_niter_16",
        "PiSSA",
        "olora",
        "OLoRA",
        "corda",
        "loftq",
        "lora_ga",
        "new",
        3,
      ],
    ],
  };
  for (const [field, [nothing, ...refused]] of Object.entries(cases)) {
    assert.ok(ADAPTER_FIELDS.knows(field));
    for (const value of nothing) assert.deepEqual(parse({ [field]: value }).notes, [], field);
    for (const value of refused) {
      assert.throws(() => parse({ [field]: value }), (error: Error) => {
        assert.ok(error instanceof RangeError);
        const start = `Cannot use the adapter of ad/adapter_config.json: ${field} is `;
        assert.ok(error.message.startsWith(start), error.message);
        assert.match(error.message.slice(start.length), /: .*(?:merge|PEFT|convert|load|fuse)/);
        return true;
      });
    }
  }
  assert.throws(
    () => parse({ lora_bias: true, modules_to_save: ["norm"], init_lora_weights: "pissa" }),
    /lora_bias is true: .*\n {2}modules_to_save is \["norm"\]: .*\n {2}init_lora_weights is "pissa": /,
  );
});

Deno.test("what can be left out is noted, with its file, its name and its value", () => {
  assert.deepEqual(parse({ task_type: "CAUSAL_LM", revision: null, peft_version: "9" }).notes, []);
  const { notes } = parse({
    ...{ revision: "v2", task_type: "SEQ_CLS", velora_config: true },
    ...{ init_lora_weights: "mica", layer_gates: [1, 2], use_later: true, nothing: null },
  });
  assert.deepEqual(notes.map((note) => note.slice(0, note.indexOf(":", 30))), [
    'ad/adapter_config.json: revision is "v2"',
    'ad/adapter_config.json: task_type is "SEQ_CLS"',
    "ad/adapter_config.json: velora_config is true",
    'ad/adapter_config.json: init_lora_weights is "mica"',
    "ad/adapter_config.json: ortune does not know layer_gates (array of 2), use_later (boolean true) " +
    "and leaves them out",
  ]);
});

Deno.test("fields of a wrong kind are refused with what they must be", () => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [
      { target_modules: null },
      /target_modules must be a list of names or a regular expression, got nul/,
    ],
    [{ target_modules: ["q_proj", 1] }, /target_modules must be a list of names/],
    [
      { exclude_modules: 3 },
      /exclude_modules must be a list of names or a regular expression, got 3/,
    ],
    [{ layers_to_transform: "1" }, /layers_to_transform must be the number of a block or a list/],
    [{ layers_to_transform: [0.5] }, /layers_to_transform must be the number of a block or a list/],
    [{ layers_to_transform: true }, /layers_to_transform must be the number of a block or a list/],
    [{ layers_pattern: 1, layers_to_transform: 1 }, /layers_pattern must be a list of names/],
    [
      { layers_pattern: ["h"] },
      /layers_pattern needs layers_to_transform beside it, got array of 1/,
    ],
    [{ layers_pattern: "layers" }, /layers_pattern needs layers_to_transform beside it/],
    [
      { target_modules: ".*q_proj", layers_to_transform: [1] },
      /layers_to_transform must be left out where target_modules is a regular expression/,
    ],
    [{ rank_pattern: [1] }, /rank_pattern must be an object, got array of 1/],
    [{ rank_pattern: { q: 1.5 } }, /rank_pattern must hold whole numbers above 0, got 1.5 for "q"/],
    [{ alpha_pattern: { q: "8" } }, /alpha_pattern must hold numbers above 0, got "8" for "q"/],
    [{ use_rslora: 1 }, /use_rslora must be true or false, got 1/],
    [{ lora_alpha: 0 }, /lora_alpha must be a number above 0, got 0$/],
    [{ lora_alpha: -1 }, /lora_alpha must be a number above 0, got -1$/],
    [{ lora_alpha: "16" }, /lora_alpha must be a number above 0, got "16"$/],
    [{ lora_alpha: undefined }, /lora_alpha must be a number above 0, got missing$/],
    [{ r: 0 }, /r must be a whole number above 0, got 0$/],
    [{ r: 1.5 }, /r must be a whole number above 0, got 1.5$/],
    [{ lora_dropout: 1 }, /lora_dropout must be from 0 to below 1, got 1$/],
    [{ lora_dropout: -0.1 }, /lora_dropout must be from 0 to below 1, got -0.1$/],
    [{ rank_pattern: { q: 0 } }, /rank_pattern must hold whole numbers above 0, got 0 for "q"/],
    [{ alpha_pattern: { q: 0 } }, /alpha_pattern must hold numbers above 0, got 0 for "q"/],
    [{ peft_type: "LOHA" }, /peft_type is "LOHA", ortune supports only "LORA"/],
  ];
  for (const [change, message] of cases) assert.throws(() => parse(change), message);
});

Deno.test("the first values beyond each limit are taken", () => {
  assert.equal(parse({ r: 1 }).rank, 1);
  assert.equal(parse({ lora_alpha: 1e-9 }).alpha, 1e-9);
  assert.equal(parse({ lora_dropout: 0 }).dropout, 0);
  assert.equal(parse({ lora_dropout: undefined }).dropout, 0);
  assert.equal(parse({ lora_dropout: 0.999 }).dropout, 0.999);
});

Deno.test("settings are written as they were read", () => {
  const settings = {
    ...{ target_modules: ["a.q_proj", "v_proj"], exclude_modules: "x.*", use_rslora: true, r: 3 },
    ...{
      layers_to_transform: 0,
      layers_pattern: ["h", "layers"],
      lora_dropout: 0.5,
      use_dora: true,
    },
    ...{ rank_pattern: { z: 2, a: 1 }, alpha_pattern: { "b.*": 0.5 } },
  };
  const { notes: _, ...lora } = parse(settings);
  const text = formatAdapterConfig(lora, { baseModel: "models/tiny" });
  const written = JSON.parse(text);
  for (const [field, value] of Object.entries(settings)) assert.deepEqual(written[field], value);
  // The first pattern that matches counts.
  assert.match(text, /"rank_pattern": \{\s+"z": 2,\s+"a": 1/);
  const again = parseAdapterConfig(written, "ad/adapter_config.json");
  assert.deepEqual(again, { ...lora, notes: [] });
  const regex = parse({ target_modules: ".*q_proj" });
  assert.equal(
    JSON.parse(formatAdapterConfig(regex, { baseModel: "m" })).target_modules,
    ".*q_proj",
  );
});

Deno.test("adapter_config.json is written with sorted keys, two spaces and a newline", () => {
  const lora = { ...DEFAULT_LORA, targetModules: ["v_proj", "q_proj"] };
  const lines = (more: readonly string[] = []) =>
    [
      ...['"alpha_pattern": {}', '"base_model_name_or_path": "some/base"', '"bias": "none"'],
      ...['"fan_in_fan_out": false', '"inference_mode": true', '"init_lora_weights": true'],
      ...['"lora_alpha": 32', '"lora_dropout": 0.1', '"modules_to_save": null'],
      ...['"peft_type": "LORA"', '"r": 8', '"rank_pattern": {}', '"revision": null'],
      ...['"target_modules": [\n    "q_proj",\n    "v_proj"\n  ]', '"task_type": "CAUSAL_LM"'],
      ...['"use_dora": false', '"use_rslora": false'],
      ...more,
    ].sort().map((line) => `  ${line}`).join(",\n");
  const written = (change = {}) =>
    formatAdapterConfig({ ...lora, ...change }, { baseModel: "some/base" });
  assert.equal(written(), `{\n${lines()}\n}\n`);
  assert.equal(
    written({ excludeModules: ["y", "x"], layersToTransform: [2, 0], layersPattern: ["z", "h"] }),
    `{\n${
      lines([
        '"exclude_modules": [\n    "x",\n    "y"\n  ]',
        '"layers_pattern": [\n    "z",\n    "h"\n  ]',
        '"layers_to_transform": [\n    2,\n    0\n  ]',
      ])
    }\n}\n`,
  );
  // What is written is read again, of a list that was given to it, which is left as it was.
  assert.deepEqual(lora.targetModules, ["v_proj", "q_proj"]);
});

Deno.test("settings are read as they stand, and what is left out has PEFT's defaults", () => {
  const core = {
    rank: 4,
    alpha: 16,
    dropout: 0,
    targetModules: ["q_proj"],
    rslora: false,
    dora: false,
  };
  const cases:
    readonly (readonly [Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>])[] = [
      [{}, core],
      [{ peft_type: undefined }, core],
      [{ r: 1, lora_alpha: 0.5, lora_dropout: 0.25 }, {
        ...core,
        rank: 1,
        alpha: 0.5,
        dropout: 0.25,
      }],
      [{ use_rslora: true }, { ...core, rslora: true }],
      [{ use_dora: true, use_rslora: null }, { ...core, dora: true }],
      [{ target_modules: "all-linear" }, { ...core, targetModules: "all-linear" }],
      [{ layers_to_transform: 0 }, { ...core, layersToTransform: 0 }],
      [{ layers_to_transform: [1, 0] }, { ...core, layersToTransform: [1, 0] }],
      [{ layers_to_transform: null, layers_pattern: null, exclude_modules: null }, core],
      [{ layers_to_transform: [], layers_pattern: [] }, {
        ...core,
        layersToTransform: [],
        layersPattern: [],
      }],
      [{ layers_pattern: [] }, { ...core, layersPattern: [] }],
      [{ layers_to_transform: 3, layers_pattern: "h" }, {
        ...core,
        layersToTransform: 3,
        layersPattern: "h",
      }],
      [{ exclude_modules: ["a"] }, { ...core, excludeModules: ["a"] }],
      [{ exclude_modules: "a.*" }, { ...core, excludeModules: "a.*" }],
      [{ rank_pattern: {}, alpha_pattern: null }, core],
      [{ rank_pattern: { a: 1, b: 2 } }, { ...core, rankPattern: { a: 1, b: 2 } }],
      [{ alpha_pattern: { a: 0.5 } }, { ...core, alphaPattern: { a: 0.5 } }],
      [{ target_modules: ".*", layers_to_transform: null, layers_pattern: null }, {
        ...core,
        targetModules: ".*",
      }],
    ];
  for (const [change, expected] of cases) {
    assert.deepEqual(parse(change), { ...expected, notes: [] }, JSON.stringify(change));
  }
});

Deno.test("messages name the file, the field and the value, cut where it is long", () => {
  const start = "Cannot read ad/adapter_config.json: ";
  const long = "x".repeat(79);
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
    [{ r: Infinity }, "r must be a whole number above 0, got null"],
    [{ r: 2 ** 53 }, "r must be a whole number above 0, got 9007199254740992"],
    [{ r: { a: 1 } }, "r must be a whole number above 0, got object"],
    [{ r: null }, "r must be a whole number above 0, got null"],
    [{ lora_alpha: NaN }, "lora_alpha must be a number above 0, got null"],
    [{ lora_dropout: null }, "lora_dropout must be from 0 to below 1, got null"],
    [{ use_dora: "yes" }, 'use_dora must be true or false, got "yes"'],
    [{ use_dora: long.slice(1) }, `use_dora must be true or false, got "${long.slice(1)}"`],
    [{ use_dora: long }, `use_dora must be true or false, got "${long}…`],
    [
      { target_modules: undefined },
      "target_modules must be a list of names or a regular expression, got missing",
    ],
    [
      { target_modules: "q", layers_pattern: "h" },
      'layers_pattern must be left out where target_modules is a regular expression, got "h"',
    ],
    [
      { rank_pattern: { q: 1, v: null } },
      'rank_pattern must hold whole numbers above 0, got null for "v"',
    ],
    [
      { alpha_pattern: { q: Infinity } },
      'alpha_pattern must hold numbers above 0, got null for "q"',
    ],
    [
      { layers_to_transform: [0, "1"] },
      "layers_to_transform must be the number of a block or a list of them, got array of 2",
    ],
    [
      { peft_type: 3 },
      'peft_type is 3, ortune supports only "LORA"; merge the adapter with PEFT first, or train one here',
    ],
  ];
  for (const [change, message] of cases) {
    assert.throws(() => parse(change), { name: "RangeError", message: start + message });
  }
  assert.throws(() => parseAdapterConfig([]), {
    message: "Cannot read adapter_config.json: expected a JSON object",
  });
});

Deno.test("an adapter's settings and its base are read from its folder, and the base renamed", async () => {
  await using folder = await tempFolder();
  assert.deepEqual([ADAPTER_CONFIG, ADAPTER_WEIGHTS], [
    "adapter_config.json",
    "adapter_model.safetensors",
  ]);
  const path = `${folder.path}/adapter_config.json`;
  const missing = {
    name: "Error",
    message:
      `Cannot open adapter ${folder.path}: there is no ${path}; give a folder that PEFT or ` +
      "`deno task train:lora` saved (adapter_config.json, adapter_model.safetensors)",
  };
  await assert.rejects(readAdapterConfig(folder.path), missing);
  await assert.rejects(readBaseModel(folder.path), missing);
  await assert.rejects(renameBaseModel(folder.path, "x"), missing);
  await folder.write(
    ADAPTER_CONFIG,
    JSON.stringify({ ...CORE, base_model_name_or_path: "a/b", z: [1] }),
  );
  assert.deepEqual(await readAdapterConfig(folder.path), {
    ...{ rank: 4, alpha: 16, dropout: 0, targetModules: ["q_proj"], rslora: false, dora: false },
    notes: [
      `${path}: ortune does not know z (array of 1) and leaves them out: what they change is lost`,
    ],
  });
  assert.equal(await readBaseModel(folder.path), "a/b");
  assert.equal(
    await renameBaseModel(folder.path, "c/d"),
    JSON.stringify({ ...CORE, base_model_name_or_path: "c/d", z: [1] }, null, 2) + "\n",
  );
  for (const text of ["[]", "3"]) {
    await folder.write(ADAPTER_CONFIG, text);
    const message = `Cannot read ${path}: expected a JSON object`;
    await assert.rejects(renameBaseModel(folder.path, "x"), { name: "RangeError", message });
  }
  for (const base of [undefined, null, "", 3]) {
    await folder.write(ADAPTER_CONFIG, JSON.stringify({ ...CORE, base_model_name_or_path: base }));
    await assert.rejects(readBaseModel(folder.path), {
      message:
        `Cannot find the base model of ${folder.path}: its adapter_config.json names none; give --model`,
    });
  }
  await folder.write(ADAPTER_CONFIG, "[]");
  await assert.rejects(readBaseModel(folder.path), /names none; give --model$/);
  await folder.write(ADAPTER_CONFIG, "{");
  await assert.rejects(
    readAdapterConfig(folder.path),
    /copy it again from where the adapter was saved$/,
  );
});

Deno.test("each way to initialize is taken, warned of or refused for its own reason", () => {
  const kinds: Readonly<Record<string, readonly unknown[]>> = {
    taken: [null, undefined, true, false, "gaussian", "EVA", "Orthogonal"],
    "PEFT keeps B as it was initialized": ["mica", "MiCA"],
    "the adapter was trained on base weights that it changed itself": [
      ...["pissa", "pissa_niter_4", "corda", "CorDA_x", "olora", "lora_ga", "LoRA_GA"],
    ],
    "the adapter was trained on a quantized base (LoftQ)": ["loftq", "LoftQ"],
    "ortune does not know whether it changes the base model": ["", "x_pissa", "olora2", 1, {}, []],
  };
  for (const [reason, values] of Object.entries(kinds)) {
    for (const value of values) {
      const { refused, warned } = reviewInit(value);
      assert.equal(warned !== undefined, value === "mica" || value === "MiCA");
      const said = refused ?? warned ?? "taken";
      assert.ok(said.startsWith(reason), `${JSON.stringify(value)}: ${said}`);
    }
  }
});

Deno.test("every field of adapter_config.json is honoured, left out knowingly, refused or warned of", () => {
  const ask = (field: string): string => {
    const { refused, warned, unknown } = ADAPTER_FIELDS.review({ [field]: { odd: 1 } });
    if (unknown.length > 0) return "unknown";
    return refused.length > 0 ? "refused" : warned.length > 0 ? "warned" : "taken";
  };
  const groups: Record<string, string[]> = {};
  for (const field of ADAPTER_FIELDS.known) (groups[ask(field)] ??= []).push(field);
  assert.deepEqual(groups, {
    taken: [
      ...["alpha_pattern", "base_model_name_or_path", "exclude_modules", "init_lora_weights"],
      ...["layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout", "peft_type", "r"],
      ...[
        "rank_pattern",
        "target_modules",
        "use_dora",
        "use_rslora",
        "auto_mapping",
        "corda_config",
      ],
      ...["eva_config", "loftq_config", "lora_ga_config", "ensure_weight_tying", "fan_in_fan_out"],
      ...["inference_mode", "megatron_core", "merge_weights", "peft_version", "qalora_group_size"],
      "runtime_config",
    ],
    refused: [
      ...["alora_invocation_tokens", "arrow_config", "bias", "enable_lora", "kasa_config"],
      ...[
        "layer_replication",
        "lora_bias",
        "lora_parameters",
        "megatron_config",
        "modules_to_save",
      ],
      ...["monteclora_config", "target_parameters", "trainable_token_indices", "use_bdlora"],
      "use_qalora",
    ],
    warned: ["revision", "task_type", "velora_config"],
  });
});
