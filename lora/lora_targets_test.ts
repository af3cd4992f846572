import assert from "node:assert/strict";
import { parseConfig } from "../model/config.ts";
import { layerName } from "../model/parameters.ts";
import { parseAdapterConfig } from "./adapter_config.ts";
import { DEFAULT_LORA } from "./lora_options.ts";
import {
  type LoraTarget,
  loraTargets,
  settingsWithoutLayer,
  withLayerNames,
} from "./lora_targets.ts";
import { processorSeconds } from "../tests/support/processor_seconds.ts";
import { familyConfig } from "../tests/support/tiny_model.ts";

interface Choice {
  readonly config: Readonly<Record<string, unknown>>;
  /** Rank and scale by module, where PEFT takes the config. */
  readonly targets?: Readonly<Record<string, readonly [rank: number, scale: number]>>;
  readonly error?: string;
}

const fixtures = new URL("../tests/fixtures/", import.meta.url);

async function readFixture<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(new URL(path, fixtures))) as T;
}

const model = parseConfig(await readFixture("parity/qwen3/config.json"));

function chosen(config: Choice["config"]): readonly LoraTarget[] {
  const core = { peft_type: "LORA", r: 2, lora_alpha: 16 };
  return loraTargets(model, parseAdapterConfig({ ...core, ...config }));
}

Deno.test("an adapter is on the layers that PEFT puts it on, with PEFT's ranks and scales, or is refused", async () => {
  const choices = await readFixture<Choice[]>("adapters/targets.json");
  const refused: Choice["config"][] = [];
  for (const { config, targets } of choices) {
    let found: readonly LoraTarget[];
    try {
      found = chosen(config);
    } catch (error) {
      assert.ok(error instanceof RangeError, JSON.stringify(config));
      assert.match(error.message, /target_modules|exclude_modules|_pattern|Cannot adapt/);
      if (targets) refused.push(config);
      continue;
    }
    assert.ok(targets, `PEFT refuses ${JSON.stringify(config)}`);
    assert.deepEqual(
      Object.fromEntries(found.map(({ layer, name, rank, scale }) => [
        layerName(layer, name),
        [rank, scale],
      ])),
      targets,
      JSON.stringify(config),
    );
  }
  // Taken by PEFT, which leaves out what it does not find; a name that finds nothing is refused here.
  assert.deepEqual(refused, [{ target_modules: ["self_attn.q_proj", "proj"] }]);
});

Deno.test("what cannot be adapted or is not there is named", () => {
  const cases: readonly (readonly [Choice["config"], RegExp])[] = [
    [{ target_modules: [] }, /target_modules choose no linear layer in any of its \d+ blocks/],
    [
      { target_modules: ["q_proj", "lm_head", "W_pack"] },
      /^Cannot adapt W_pack, lm_head: the linear layers are q_proj, .*; name some of these$/,
    ],
    [{ target_modules: ["embed_tokens"] }, /^Cannot adapt embed_tokens: /],
    [{ target_modules: ["self_attn"] }, /^Cannot adapt self_attn: /],
    [
      { target_modules: ".*" },
      /^Cannot adapt model, model\.layers, model\.embed_tokens, .* more: /,
    ],
    [
      { target_modules: ["model.layers.3.mlp.up_proj"] },
      /^Cannot adapt model\.layers\.3\.mlp\.up_pro/,
    ],
    [
      { target_modules: ["q_proj"], layers_to_transform: [3], exclude_modules: ["x"] },
      /target_modules and layers_to_transform and exclude_modules choose no linear layer in any of its 3 b/,
    ],
    [
      { target_modules: ["q_proj"], rank_pattern: { "(a": 3 } },
      /^Cannot use rank_pattern, the regular expression "\(a": it has a parenthesis without an end/,
    ],
    [
      { target_modules: ["q_proj"], alpha_pattern: { "q)|(x": 3 } },
      /^Cannot use alpha_pattern, the regular expression "q\)\|\(x": it has an unbalanced parenthes/,
    ],
  ];
  for (const [config, message] of cases) {
    assert.throws(() => chosen(config), { name: "RangeError", message });
  }
});

Deno.test("settings with thousands of names are read at once", () => {
  const many = Array.from({ length: 20_000 }, (_, i) => [`layers.${i}.self_attn.q_proj`, 3]);
  const began = processorSeconds();
  const config = {
    target_modules: ["q_proj"],
    rank_pattern: Object.fromEntries(many),
    exclude_modules: many.map(([name]) => name).slice(1),
  };
  assert.deepEqual(chosen(config).map(({ layer, rank }) => [layer, rank]), [[0, 3]]);
  assert.ok(processorSeconds() - began < 5);
});

Deno.test("patterns are matched once for settings and a model, whoever asks", () => {
  const lora = parseAdapterConfig({
    peft_type: "LORA",
    r: 4,
    lora_alpha: 8,
    target_modules: ".*q_proj",
  });
  assert.equal(loraTargets(model, lora), loraTargets(model, lora));
  assert.notEqual(loraTargets({ ...model, layers: 1 }, lora), loraTargets(model, lora));
});

Deno.test("all linear layers are those of the family that PEFT takes", async () => {
  for (
    const family of [
      "granite",
      "granitemoehybrid",
      "mistral",
      "ministral3",
      "olmo2",
      "phi3",
      "smollm3",
    ]
  ) {
    const config = parseConfig(await readFixture(`parity/${family}/config.json`));
    const saved = await readFixture<{ target_modules: string[] }>(
      `lora/${family}/trained_adapter/adapter_config.json`,
    );
    const ends = saved.target_modules.map((name) => name.slice(name.lastIndexOf(".") + 1));
    const { targetModules } = withLayerNames(config, DEFAULT_LORA);
    assert.deepEqual([...targetModules].sort(), [...new Set(ends)].sort(), family);
  }
  const chosen = { ...DEFAULT_LORA, targetModules: ["q_proj"] };
  assert.equal(withLayerNames(model, chosen), chosen);
});

Deno.test("messages say which file holds the settings, and what they choose from", () => {
  const known =
    "the linear layers are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";
  const lora = { ...DEFAULT_LORA, targetModules: ["q_proj"], excludeModules: ["q_proj"] };
  const none =
    "Cannot adapt the model: target_modules and exclude_modules choose no linear layer in any " +
    `of its 3 blocks; ${known}; name some of these`;
  assert.throws(() => loraTargets(model, lora), { name: "RangeError", message: none });
  assert.throws(() => loraTargets(model, { ...lora }, { from: "FILE" }), {
    message: `${none} in target_modules of FILE`,
  });
  const other = { ...DEFAULT_LORA, targetModules: ["norm", "q_proj", "nothing", "norm"] };
  assert.throws(() => loraTargets(model, other), {
    message: `Cannot adapt nothing, norm: ${known}; name some of these`,
  });
  assert.throws(() => loraTargets(model, { ...other }, { from: "FILE" }), {
    message:
      `Cannot adapt nothing, norm: ${known}; name some of these in target_modules of FILE, or ` +
      "merge the adapter with PEFT",
  });
  const all = {
    ...{ ...DEFAULT_LORA, targetModules: ["q_proj"], layersToTransform: 5 },
    ...{ layersPattern: ["h"], excludeModules: [] },
  };
  assert.throws(() => loraTargets(model, all), {
    message: none.replace(
      "target_modules and exclude_modules",
      "target_modules and layers_to_transform and layers_pattern and exclude_modules",
    ),
  });
  const fields: Readonly<Record<string, Partial<typeof DEFAULT_LORA>>> = {
    target_modules: { targetModules: "(" },
    exclude_modules: { targetModules: ["q_proj"], excludeModules: "(" },
    layers_pattern: { targetModules: ["q_proj"], layersToTransform: 1, layersPattern: "(" },
    rank_pattern: { targetModules: ["q_proj"], rankPattern: { "(": 1 } },
    alpha_pattern: { targetModules: ["q_proj"], alphaPattern: { "(": 1 } },
  };
  for (const [field, change] of Object.entries(fields)) {
    assert.throws(() => loraTargets(model, { ...DEFAULT_LORA, ...change }, { from: "FILE" }), {
      message:
        `Cannot use ${field} of FILE, the regular expression "(": it has a parenthesis without ` +
        "an end at character 1",
    });
  }
});

Deno.test("no module but the linear layers can be adapted, and each is named", () => {
  const families = {
    qwen3: [
      ...["self_attn", "mlp", "mlp.act_fn", "input_layernorm", "post_attention_layernorm"],
      ...["self_attn.q_norm", "self_attn.k_norm"],
    ],
    granitemoehybrid: [
      ...["self_attn", "shared_mlp", "shared_mlp.activation", "input_layernorm"],
      "post_attention_layernorm",
    ],
    llama: ["self_attn", "mlp", "mlp.act_fn", "input_layernorm", "post_attention_layernorm"],
  } as const;
  for (const [family, parts] of Object.entries(families)) {
    const config = familyConfig(family as keyof typeof families);
    const refused = (targetModules: string) => (): unknown =>
      loraTargets(config, { ...DEFAULT_LORA, targetModules });
    const block = ["model.layers.1", ...parts.map((part) => `model.layers.1.${part}`)];
    assert.throws(refused("model\\.layers\\.1(\\..*)?"), (error: Error) => {
      assert.equal(error.message.split(": ")[0], `Cannot adapt ${block.join(", ")}`);
      return true;
    });
    const outside =
      "model, model.layers, model.embed_tokens, model.norm, model.rotary_emb, lm_head";
    assert.throws(refused("model|model\\.[a-z_]+|lm_head"), (error: Error) => {
      assert.equal(error.message.split(": ")[0], `Cannot adapt ${outside}`);
      return true;
    });
  }
  const mixed = familyConfig("qwen3_5_text");
  for (const [layer, there] of [[0, true], [1, false]] as const) {
    const targetModules = `model\\.layers\\.${layer}\\.(linear_attn\\.conv1d|mlp\\.up_proj)`;
    const choose = () => loraTargets(mixed, { ...DEFAULT_LORA, targetModules });
    if (there) {
      assert.throws(choose, /^RangeError: Cannot adapt model\.layers\.0\.linear_attn\.conv1d: /);
    } else assert.deepEqual(choose().map(({ name }) => name), ["mlp.up_proj"]);
  }
});

Deno.test("the first pattern that a name ends in gives its rank and its alpha", () => {
  const cases: readonly (readonly [Readonly<Record<string, number>>, readonly number[]])[] = [
    [{}, [8, 8]],
    [{ q_proj: 3 }, [3, 3]],
    [{ "self_attn.q_proj": 3, q_proj: 4 }, [3, 3]],
    [{ "layers.1.self_attn.q_proj": 3, q_proj: 4 }, [4, 3]],
    [{ q_proj: 4, "layers.1.self_attn.q_proj": 3 }, [4, 4]],
    [{ "model.layers.0.self_attn.q_proj": 3 }, [3, 8]],
    [{ "xmodel.layers.0.self_attn.q_proj": 3 }, [8, 8]],
    // A part of a name's part is none; a point stands for any character.
    [{ proj: 3, _proj: 3, "attn.q_proj": 3 }, [8, 8]],
    [{ "q.proj": 3 }, [3, 3]],
    [{ "layers...self_attn.q_proj": 3 }, [3, 3]],
    [{ "layers....self_attn.q_proj": 3 }, [8, 8]],
    [{ "layers..\\.self_attn.q_proj": 5 }, [5, 5]],
    [{ ".*\\.1\\..*": 3 }, [8, 3]],
    [{ "q_pro": 3, "q_proj.": 3 }, [8, 8]],
  ];
  const two = { ...model, layerKinds: model.layerKinds.slice(0, 2), layers: 2 };
  for (const [pattern, expected] of cases) {
    const lora = { ...DEFAULT_LORA, alpha: 8, targetModules: ["q_proj"] };
    const ranks = loraTargets(two, { ...lora, rankPattern: pattern });
    const label = JSON.stringify(pattern);
    assert.deepEqual(ranks.map(({ rank }) => rank), expected, label);
    assert.deepEqual(ranks.map(({ alpha, scale }) => alpha / scale), expected, label);
    const alphas = loraTargets(two, { ...lora, alphaPattern: pattern });
    assert.deepEqual(alphas.map(({ alpha }) => alpha), expected, label);
    assert.deepEqual(alphas.map(({ scale }) => 8 * scale), expected, label);
  }
});

Deno.test("settings that fit no adapted layer are told, each in a few words", () => {
  const lora = { ...DEFAULT_LORA, targetModules: ["q_proj"] };
  assert.deepEqual(settingsWithoutLayer(model, lora), []);
  assert.deepEqual(settingsWithoutLayer(model, { ...lora, layersToTransform: 2 }), []);
  assert.deepEqual(settingsWithoutLayer(model, { ...lora, layersToTransform: [2, 3, 0, 9] }), [
    "layers_to_transform has 3, 9",
  ]);
  assert.deepEqual(
    settingsWithoutLayer(model, {
      ...{ ...lora, layersToTransform: [1, 3] },
      rankPattern: { q_proj: 1, k_proj: 2, "layers.0.self_attn.q_proj": 3, ".*q_proj": 4 },
      alphaPattern: { 'x"y': 1, "layers.1.*": 2 },
    }),
    [
      ...['rank_pattern has "k_proj"', 'rank_pattern has "layers.0.self_attn.q_proj"'],
      ...['alpha_pattern has "x\\"y"', "layers_to_transform has 3"],
    ],
  );
});

Deno.test("all-linear is replaced by the names of the layers, however it is written", () => {
  const names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
  for (const targetModules of ["all-linear", "All-Linear"]) {
    const lora = { ...DEFAULT_LORA, rank: 3, targetModules };
    assert.deepEqual(withLayerNames(model, lora), { ...lora, targetModules: names });
  }
  for (const targetModules of ["all-linear.*", ["all-linear"]]) {
    const lora = { ...DEFAULT_LORA, targetModules };
    assert.equal(withLayerNames(model, lora), lora);
  }
});
