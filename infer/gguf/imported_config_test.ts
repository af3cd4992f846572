import assert from "node:assert/strict";
import type { GgufFile, GgufValue } from "../../gguf/mod.ts";
import { importedConfig } from "./imported_config.ts";
import { metadataReader } from "./metadata_reader.ts";

type Fields = Readonly<Record<string, unknown>>;
type Keys = Readonly<Record<string, GgufValue | undefined>>;

const whole = (value: number): GgufValue => ({ type: "uint32", value });
const real = (value: number): GgufValue => ({ type: "float64", value });
const text = (value: string): GgufValue => ({ type: "string", value });

const SIZES: Keys = {
  context_length: whole(128),
  embedding_length: whole(32),
  block_count: whole(2),
  feed_forward_length: whole(48),
  "attention.head_count": whole(4),
  "attention.layer_norm_rms_epsilon": real(1e-5),
};

interface Model {
  /** Beside or in place of the sizes, without the architecture's name. */
  readonly keys?: Keys;
  /** Names and numbers of tensors beside the embedding. */
  readonly tensors?: Readonly<Record<string, readonly number[]>>;
}

/** The config of a file with these keys and tensors. */
async function configOf(name: string, { keys = {}, tensors = {} }: Model = {}): Promise<Fields> {
  const metadata = new Map<string, GgufValue>([["general.architecture", text(name)]]);
  for (const [key, value] of Object.entries({ ...SIZES, ...keys })) {
    if (value) metadata.set(`${name}.${key}`, value);
  }
  const all = new Map<string, readonly number[]>(Object.entries(tensors));
  const file = {
    metadata,
    tensors: new Map([...all.keys()].map((each) => [each, {}])),
    tensor: (each: string) => {
      assert.equal(each, "token_embd.weight");
      return { shape: [70, 32] };
    },
    readRows: (each: string, first: number, rows: number) => {
      assert.deepEqual([first, rows], [0, 1]);
      return Promise.resolve(Float32Array.from(all.get(each)!));
    },
  } as unknown as GgufFile;
  return await importedConfig(file, metadataReader(metadata, "a.gguf"));
}

/** What all have of the sizes above. */
function common(type: string, className: string): Fields {
  return {
    architectures: [`${className}ForCausalLM`],
    model_type: type,
    vocab_size: 70,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    head_dim: 8,
    ...type === "gemma3_text" ? {} : { hidden_act: "silu" },
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    rope_scaling: null,
    tie_word_embeddings: true,
    attention_dropout: 0,
    initializer_range: 0.02,
    use_cache: true,
  };
}

async function fails(name: string, model: Model, key: string, problem: string): Promise<void> {
  const message = `Cannot import a.gguf: ${key} ${problem}`;
  await assert.rejects(configOf(name, model), new RangeError(message));
}

Deno.test("importedConfig() has the fields of each architecture, by llama.cpp's defaults", async () => {
  const scales: Keys = {
    "attention.scale": real(0.3),
    embedding_scale: real(2),
    residual_scale: real(0.4),
    logit_scale: real(6),
  };
  const cases: readonly (readonly [string, Model, Fields])[] = [
    ["llama", {}, { ...common("llama", "Llama"), attention_bias: false }],
    ["qwen2", {}, { ...common("qwen2", "Qwen2"), use_sliding_window: false }],
    ["qwen3", {}, { ...common("qwen3", "Qwen3"), attention_bias: false }],
    ["smollm3", {}, { ...common("smollm3", "SmolLM3"), attention_bias: false }],
    ["olmo2", {}, { ...common("olmo2", "Olmo2"), attention_bias: false }],
    ["granite", { keys: scales }, {
      ...common("granite", "Granite"),
      attention_bias: false,
      attention_multiplier: 0.3,
      embedding_multiplier: 2,
      residual_multiplier: 0.4,
      logits_scaling: 6,
    }],
    ["phi3", {}, {
      ...common("phi3", "Phi3"),
      partial_rotary_factor: 1,
      sliding_window: null,
      original_max_position_embeddings: 128,
    }],
    ["phi3", {
      keys: {
        "attention.sliding_window": whole(7),
        "rope.dimension_count": whole(2),
        "rope.scaling.original_context_length": whole(64),
      },
    }, {
      ...common("phi3", "Phi3"),
      partial_rotary_factor: 0.25,
      sliding_window: 7,
      original_max_position_embeddings: 64,
    }],
    ["gemma3", { keys: { block_count: whole(7), "attention.sliding_window": whole(5) } }, {
      ...common("gemma3_text", "Gemma3"),
      num_hidden_layers: 7,
      hidden_activation: "gelu_pytorch_tanh",
      attn_logit_softcapping: null,
      final_logit_softcapping: null,
      layer_types: [
        ...Array(5).fill("sliding_attention"),
        "full_attention",
        "sliding_attention",
      ],
      query_pre_attn_scalar: 8,
      rope_local_base_freq: 10_000,
      sliding_window: 5,
    }],
    ["gemma3", {
      keys: {
        "attention.sliding_window": whole(6),
        "attention.sliding_window_pattern": whole(2),
        final_logit_softcapping: real(9),
        "rope.freq_base_swa": real(500),
      },
    }, {
      ...common("gemma3_text", "Gemma3"),
      hidden_activation: "gelu_pytorch_tanh",
      attn_logit_softcapping: null,
      final_logit_softcapping: 9,
      layer_types: ["sliding_attention", "full_attention"],
      query_pre_attn_scalar: 8,
      rope_local_base_freq: 500,
      sliding_window: 6,
    }],
  ];
  for (const [name, model, expected] of cases) {
    const config = await configOf(name, model);
    assert.deepEqual(config, expected);
  }
});

Deno.test("importedConfig() reads sizes of heads, positions and the head where the file has them", async () => {
  const keys = {
    "attention.head_count_kv": whole(2),
    "attention.key_length": whole(6),
    "attention.value_length": whole(6),
    "rope.dimension_count": whole(6),
    "rope.freq_base": real(1e6),
  };
  const tensors = { "output.weight": [], "blk.0.attn_q.bias": [] };
  const expected = {
    ...common("qwen3", "Qwen3"),
    num_key_value_heads: 2,
    head_dim: 6,
    rope_theta: 1e6,
    tie_word_embeddings: false,
    attention_bias: true,
  };
  assert.deepEqual(await configOf("qwen3", { keys, tensors }), expected);
  // A width that does not divide.
  const odd = await configOf("llama", { keys: { "attention.head_count": whole(5) } });
  assert.equal(odd.head_dim, 6);
});

Deno.test("importedConfig() reads how positions are scaled", async () => {
  const scaling = async (name: string, model: Model): Promise<unknown> =>
    (await configOf(name, model)).rope_scaling;
  const type = (value: string): Keys => ({ "rope.scaling.type": text(value) });
  const factor = { "rope.scaling.factor": real(4) };
  const original = { "rope.scaling.original_context_length": whole(32) };
  assert.equal(await scaling("qwen3", { keys: type("none") }), null);
  assert.equal(await scaling("qwen3", { keys: type("longrope") }), null);
  assert.deepEqual(await scaling("qwen3", { keys: { ...type("linear"), ...factor } }), {
    rope_type: "linear",
    factor: 4,
  });
  const yarn = { ...type("yarn"), ...factor, ...original };
  const expected = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 };
  assert.deepEqual(await scaling("qwen3", { keys: yarn }), expected);
  const one = { ...yarn, "rope.scaling.attn_factor": real(1) };
  assert.deepEqual(await scaling("qwen3", { keys: one }), expected);
  const half = { ...yarn, "rope.scaling.attn_factor": real(0.5) };
  assert.deepEqual(await scaling("qwen3", { keys: half }), {
    ...expected,
    attention_factor: 0.5 * (0.1 * Math.log(4) + 1),
  });
  await fails(
    "qwen3",
    { keys: type("other") },
    "qwen3.rope.scaling.type",
    'is "other", which is not supported',
  );
  const tensors = { "rope_factors_long.weight": [2, 4], "rope_factors_short.weight": [1, 3] };
  for (const keys of [{}, type("longrope"), type("none")]) {
    assert.deepEqual(await scaling("phi3", { keys, tensors }), {
      rope_type: "longrope",
      long_factor: [2, 4],
      short_factor: [1, 3],
    });
  }
});

/** Llama 3's factors by their definition: wavelengths beyond the original positions are divided. */
function llama3Factors(pairs: number, theta: number, factor: number): number[] {
  return Array.from({ length: pairs }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / pairs);
    if (wavelength < 8192 / 4) return 1;
    if (wavelength > 8192) return factor;
    const smooth = (8192 / wavelength - 1) / (4 - 1);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

Deno.test("importedConfig() finds what Llama 3's factors of frequencies were made of", async () => {
  const keys = { "attention.key_length": whole(16), "rope.freq_base": real(5e5) };
  const read = (factors: readonly number[], change: Keys = {}): Promise<Fields> =>
    configOf("llama", { keys: { ...keys, ...change }, tensors: { "rope_freqs.weight": factors } });
  // Kept, between the two, and divided: all three are there.
  const factors = llama3Factors(8, 5e5, 32);
  assert.ok(factors[0] === 1 && factors.at(-1) === 32);
  assert.ok(factors.some((each) => each > 1 && each < 32));
  const expected = {
    rope_type: "llama3",
    factor: 32,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  assert.deepEqual((await read(factors)).rope_scaling, expected);
  const other = llama3Factors(8, 10_000, 8);
  assert.deepEqual((await read(other, { "rope.freq_base": undefined })).rope_scaling, {
    ...expected,
    factor: 8,
  });
  const wrong =
    "holds factors that are not Llama 3's for 8192 original positions; take the model from its " +
    "own repository";
  const refused = async (factors: readonly number[]): Promise<void> => {
    const message = `Cannot import a.gguf: rope_freqs.weight ${wrong}`;
    await assert.rejects(read(factors), new RangeError(message));
  };
  await refused(factors.slice(1));
  await refused([...factors, 32]);
  await refused(other);
  for (const place of factors.keys()) {
    // The largest is the factor itself.
    const change = place === 7 ? 0.9999 : 1.0001;
    const changed = factors.with(place, factors[place] * change);
    if (Math.max(...changed) === 32) await refused(changed);
    // As far as float32 is apart from it.
    const near = factors.with(place, factors[place] * (1 + 1e-6));
    assert.ok((await read(near)).rope_scaling);
  }
});

Deno.test("importedConfig() refuses what ortune does not train, with the key", async () => {
  const read = "llama, qwen2, qwen3, smollm3, olmo2, granite, phi3, gemma3";
  for (const name of ["bert", "toString"]) {
    const problem = `is "${name}": ortune reads ${read} back`;
    await fails(name, {}, "general.architecture", problem);
  }
  const cases: readonly (readonly [string, Keys, string, string])[] = [
    [
      "llama",
      { expert_count: whole(8) },
      "expert_count",
      "is 8: mixtures of experts are not supported; use a dense model",
    ],
    [
      "gemma3",
      { attn_logit_softcapping: real(50) },
      "attn_logit_softcapping",
      "is 50: scores of attention with a cap are not supported",
    ],
    [
      "llama",
      { "attention.head_count": whole(0) },
      "attention.head_count",
      "is 0, a number from 1 on expected",
    ],
    [
      "llama",
      { "rope.dimension_count": whole(4) },
      "rope.dimension_count",
      "is 4 of heads of 8 numbers: heads that are turned in part are not supported",
    ],
    [
      "phi3",
      { "attention.value_length": whole(4) },
      "attention.value_length",
      "is 4 where attention.key_length is 8: heads of one width alone are supported",
    ],
    [
      "qwen3",
      { "attention.sliding_window": whole(1) },
      "attention.sliding_window",
      "is 1: which layers of this architecture see windows is not known",
    ],
    [
      "granite",
      { "rope.scaling.finetuned": { type: "bool", value: false } },
      "rope.scaling.finetuned",
      "is false: Granite 4 without positions is not read back; take it from its own repository",
    ],
    [
      "gemma3",
      { block_count: whole(62), "attention.sliding_window": whole(5) },
      "block_count",
      "is 62: Gemma 3 27B scales its scores by a number of its own",
    ],
  ];
  for (const [name, keys, key, problem] of cases) {
    await fails(name, { keys }, `${name}.${key}`, problem);
  }
  // Values that ask for nothing.
  await configOf("llama", {
    keys: {
      expert_count: whole(0),
      attn_logit_softcapping: real(0),
      "attention.sliding_window": whole(0),
    },
  });
});
