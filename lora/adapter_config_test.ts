import assert from "node:assert/strict";
import { formatAdapterConfig, parseAdapterConfig } from "./adapter_config.ts";
import { ADAPTER_FIELDS } from "./adapter_fields.ts";

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
