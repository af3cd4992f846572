import assert from "node:assert/strict";
import { parseConfig } from "../model/config.ts";
import { layerName } from "../model/parameters.ts";
import { parseAdapterConfig } from "./adapter_config.ts";
import { DEFAULT_LORA } from "./lora_options.ts";
import { type LoraTarget, loraTargets, withLayerNames } from "./lora_targets.ts";
import { processorSeconds } from "../tests/support/processor_seconds.ts";

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
