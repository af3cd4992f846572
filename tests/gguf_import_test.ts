/** GGUF files to Hugging Face folders: configs, weights and tokenizers of each architecture, and what is refused. */

import assert from "node:assert/strict";
import { BYTE_TO_CHAR } from "../data/text/tokenize/gpt2_bytes.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import type { GgufTensorToWrite, GgufValue } from "../gguf/mod.ts";
import { writeGguf } from "../gguf/write_gguf.ts";
import { exportGguf } from "../infer/gguf/export_gguf.ts";
import { importGguf, type ImportGgufOptions } from "../infer/gguf/import_gguf.ts";
import { GGUF_ARCHITECTURES, ggufTensorName } from "../infer/gguf/tensor_names.ts";
import { type ModelConfig, parseConfig } from "../model/config.ts";
import type { ModelType } from "../model/families/families.ts";
import { modelParameters } from "../model/parameters.ts";
import { openModel } from "../model/weights/open_model.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { draws } from "./support/random.ts";
import { runTask } from "./support/run_task.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { familyConfig, randomWeights } from "./support/tiny_model.ts";

const whole = (value: number): GgufValue => ({ type: "uint32", value });
const real = (value: number): GgufValue => ({ type: "float32", value: Math.fround(value) });
const text = (value: string): GgufValue => ({ type: "string", value });
const flag = (value: boolean): GgufValue => ({ type: "bool", value });
const texts = (values: readonly string[]): GgufValue => ({ type: "array", of: "string", values });

type Entries = Readonly<Record<string, GgufValue | undefined>>;

const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE] = [1, 2, 3, 4, 5, 6];
const TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }}<end>{% endfor %}";

/** A byte-level tokenizer: bytes, a few merges, three added tokens, one unused. */
const BYTES = {
  "tokenizer.ggml.model": text("gpt2"),
  "tokenizer.ggml.pre": text("qwen2"),
  "tokenizer.ggml.tokens": texts([
    ...[...BYTE_TO_CHAR, "he", "ll", "hell", "Ġhell"],
    ...["<bos>", "<|im_end|>", "<think>", "[PAD263]"],
  ]),
  "tokenizer.ggml.token_type": {
    type: "array",
    of: "int32",
    values: [...Array(260).fill(NORMAL), CONTROL, CONTROL, USER_DEFINED, UNUSED],
  },
  "tokenizer.ggml.merges": texts(["h e", "l l", "he ll", "Ġ hell"]),
  "tokenizer.ggml.bos_token_id": whole(260),
  "tokenizer.ggml.eos_token_id": whole(260),
  "tokenizer.ggml.add_bos_token": flag(true),
  "tokenizer.chat_template": text(TEMPLATE),
} satisfies Entries;

/** A tokenizer of SentencePiece: its best merge comes last in the vocabulary. */
const PIECES = ["<unk>", "<s>", "</s>", "▁", "h", "e", "l", "o", "he", "ll", "▁he", "  ", "<0x0A>"];
const SENTENCES = {
  "tokenizer.ggml.model": text("llama"),
  "tokenizer.ggml.pre": text("default"),
  "tokenizer.ggml.tokens": texts([...PIECES, ...Array.from({ length: 251 }, (_, i) => `u${i}`)]),
  "tokenizer.ggml.scores": {
    type: "array",
    of: "float32",
    values: [0, 0, 0, -9, -9, -9, -9, -9, -2, -1, -3, 0, 0, ...Array(251).fill(-99)],
  },
  "tokenizer.ggml.token_type": {
    type: "array",
    of: "int32",
    values: [
      ...[UNKNOWN, CONTROL, CONTROL, ...Array(8).fill(NORMAL), USER_DEFINED, BYTE],
      ...Array(251).fill(NORMAL),
    ],
  },
  "tokenizer.ggml.bos_token_id": whole(1),
  "tokenizer.ggml.eos_token_id": whole(2),
  "tokenizer.ggml.unknown_token_id": whole(0),
  "tokenizer.ggml.add_bos_token": flag(true),
} satisfies Entries;
const TOKENS = 264;

const SIZES = {
  context_length: whole(128),
  embedding_length: whole(32),
  block_count: whole(2),
  feed_forward_length: whole(48),
  "attention.head_count": whole(4),
  "attention.head_count_kv": whole(2),
  "attention.key_length": whole(8),
  "rope.freq_base": real(1e6),
  "attention.layer_norm_rms_epsilon": real(1e-6),
};
const COMMON = {
  vocab_size: TOKENS,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  rms_norm_eps: 1e-6,
};

/** An architecture: its own keys, and what config.json has beside {@linkcode COMMON}. */
interface Case {
  readonly keys?: Entries;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Tensors of settings. */
  readonly settings?: Readonly<Record<string, readonly number[]>>;
}

const CASES: Readonly<Partial<Record<ModelType, Case>>> = {
  llama: {
    // Factors of Llama 3.1 for four pairs: the last turns least.
    settings: { "rope_freqs.weight": llama3Factors(4, 1e6) },
    fields: {
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
      attention_bias: false,
    },
  },
  qwen2: { fields: { use_sliding_window: false } },
  qwen3: {
    keys: {
      "rope.scaling.type": text("yarn"),
      "rope.scaling.factor": real(4),
      "rope.scaling.original_context_length": whole(32),
    },
    fields: {
      rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 },
    },
  },
  smollm3: {},
  olmo2: {},
  granite: {
    keys: {
      "attention.scale": real(0.3),
      embedding_scale: real(2),
      residual_scale: real(0.4),
      logit_scale: real(6),
    },
    fields: {
      attention_multiplier: 0.3,
      embedding_multiplier: 2,
      residual_multiplier: 0.4,
      logits_scaling: 6,
    },
  },
  phi3: {
    keys: {
      "attention.sliding_window": whole(7),
      "rope.dimension_count": whole(4),
      "rope.scaling.original_context_length": whole(64),
      "rope.scaling.type": text("longrope"),
    },
    settings: { "rope_factors_long.weight": [2, 4], "rope_factors_short.weight": [1, 1.5] },
    fields: {
      sliding_window: 7,
      partial_rotary_factor: 0.5,
      original_max_position_embeddings: 64,
      rope_scaling: { rope_type: "longrope", long_factor: [2, 4], short_factor: [1, 1.5] },
    },
  },
  gemma3_text: {
    keys: { "attention.sliding_window": whole(5), "rope.freq_base_swa": real(500) },
    fields: {
      sliding_window: 5,
      rope_local_base_freq: 500,
      query_pre_attn_scalar: 8,
      hidden_activation: "gelu_pytorch_tanh",
      layer_types: ["sliding_attention", "sliding_attention"],
    },
  },
};

function llama3Factors(pairs: number, theta: number): number[] {
  return Array.from({ length: pairs }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** (i / pairs);
    if (wavelength < 8192 / 4) return 1;
    if (wavelength > 8192) return 8;
    const smooth = (8192 / wavelength - 1) / 3;
    return 1 / ((1 - smooth) / 8 + smooth);
  });
}

/** A file of random weights, and the weights under Hugging Face's names. */
async function writeModel(
  path: string,
  type: ModelType,
  { keys = {}, tokenizer = BYTES, quantized = false, leaveOut = [], tied = true }: {
    readonly keys?: Entries;
    readonly tokenizer?: Entries;
    readonly quantized?: boolean;
    readonly leaveOut?: readonly string[];
    readonly tied?: boolean;
  } = {},
): Promise<ReadonlyMap<string, Float32Array>> {
  const { name } = GGUF_ARCHITECTURES[type];
  const { fields = {}, settings = {}, keys: own = {} } = CASES[type]!;
  const config = parseConfig({
    ...{ model_type: type, max_position_embeddings: 128, tie_word_embeddings: tied },
    ...COMMON,
    ...fields,
  });
  const weights = new Map<string, Float32Array>();
  const tensors: GgufTensorToWrite[] = [];
  const add = (name: string, shape: readonly number[], numbers: Float32Array): void => {
    const columns = shape.at(-1)!;
    if (leaveOut.includes(name)) return;
    tensors.push({
      name,
      shape,
      type: quantized && shape.length > 1 && columns % 32 === 0 ? "q8_0" : "f32",
      rows: (first, rows) =>
        Promise.resolve(numbers.subarray(first * columns, (first + rows) * columns)),
    });
  };
  for (const [i, spec] of modelParameters(config).entries()) {
    const draw = draws(i + 1);
    const size = spec.shape.reduce((product, each) => product * each, 1);
    const numbers = Float32Array.from({ length: size }, () => draw());
    weights.set(spec.name, numbers);
    const { names: [theirs], change } = ggufTensorName(type, spec.name);
    add(theirs, spec.shape, toGguf(numbers, change, spec.shape));
  }
  for (const [name, numbers] of Object.entries(settings)) {
    add(name, [numbers.length], Float32Array.from(numbers));
  }
  const metadata = new Map<string, GgufValue>([["general.architecture", text(name)]]);
  const local = { ...SIZES, ...own, ...keys };
  for (const [key, value] of Object.entries(local)) {
    if (value) metadata.set(/^(general|split)\./.test(key) ? key : `${name}.${key}`, value);
  }
  for (const [key, value] of Object.entries(tokenizer)) if (value) metadata.set(key, value);
  await writeGguf(path, { metadata, tensors });
  return weights;
}

/** As llama.cpp's converter does it: `reshape(heads, 2, head_dim // 2, …).swapaxes(1, 2)`; 1 on norms. */
function toGguf(
  numbers: Float32Array,
  change: string | undefined,
  [rows, columns = 1]: readonly number[],
): Float32Array {
  if (change === "add-one") return numbers.map((each) => each + 1);
  if (change !== "pair-rows") return numbers;
  const out = new Float32Array(numbers.length);
  let to = 0;
  for (let head = 0; head < rows / 8; head++) {
    for (let pair = 0; pair < 4; pair++) {
      for (let half = 0; half < 2; half++) {
        const row = head * 8 + half * 4 + pair;
        out.set(numbers.subarray(row * columns, (row + 1) * columns), to);
        to += columns;
      }
    }
  }
  return out;
}

for (const [type, { fields = {} }] of Object.entries(CASES)) {
  Deno.test(`${type}: config and weights come back from a GGUF file`, async () => {
    await using folder = await tempFolder();
    const path = `${folder.path}/tiny.gguf`;
    const weights = await writeModel(path, type as ModelType);
    await Deno.mkdir(`${folder.path}/made`);
    const made = await importGguf(path, `${folder.path}/made`);
    assert.equal(made.modelType, type);
    assert.deepEqual(made.notes.filter((note) => !/original_max_position/.test(note)), []);
    await using model = await openModel(`${folder.path}/made`);
    const { raw } = model.config;
    const expected = { ...COMMON, rope_theta: 1e6, tie_word_embeddings: true, ...fields };
    const stored: Record<string, unknown> = structuredClone(raw) as Record<string, unknown>;
    for (const [field, value] of Object.entries(expected)) {
      assert.deepEqual(stored[field], value, field);
    }
    assert.deepEqual(model.weights.names().toSorted(), [...weights.keys()].sort());
    for (const [name, numbers] of weights) {
      const back = await readFloat32(model.weights, name);
      // Adding 1 to a norm's weight rounds it.
      const normed = GGUF_ARCHITECTURES[type as ModelType].name === "gemma3" && /norm/.test(name);
      assert.deepEqual(back, normed ? numbers.map((x) => Math.fround(x + 1) - 1) : numbers, name);
    }
  });
}

/** Where the tiny models of other tests are nothing that a GGUF file can say. */
const EXPORTABLE: Readonly<Partial<Record<ModelType, Readonly<Record<string, unknown>>>>> = {
  smollm3: { no_rope_layer_interval: 4, use_sliding_window: false, sliding_window: null },
  phi3: { sliding_window: null, original_max_position_embeddings: 512 },
  gemma3_text: { query_pre_attn_scalar: 16 },
};

Deno.test("what deno task export wrote is imported as it was: configs, weights to the bit, tokens", async () => {
  const home = fixturePath("tokenizer");
  const tokenizer = await loadTokenizer(home);
  using runtime = new Runtime({ threads: 1 });
  for (const type of Object.keys(CASES) as ModelType[]) {
    await using folder = await tempFolder();
    const config = familyConfig(type, {
      ...{ vocab_size: tokenizer.vocabSize, head_dim: 16, hidden_size: 64 },
      ...{ max_position_embeddings: 512, pad_token_id: null, ...EXPORTABLE[type] },
    });
    using weights = randomWeights(runtime, config);
    const path = `${folder.path}/tiny.gguf`;
    const how = { config, weights, model: home, tokenizer, dtype: "f32", name: "tiny" } as const;
    await exportGguf(path, how);
    await importGguf(path, folder.path);
    await using back = await openModel(folder.path);
    for (const field of Object.keys(config) as (keyof ModelConfig)[]) {
      if (["raw", "notes", "padTokenId", "tiedEmbeddings"].includes(field)) continue;
      assert.deepEqual(back.config[field], config[field], `${type}: ${field}`);
    }
    for (const name of weights.names()) {
      const [before, after] = [weights, back.weights].map((each) => readFloat32(each, name));
      const normed = type === "gemma3_text" && /norm/.test(name);
      const expected = await before;
      const rounded = normed ? expected.map((x) => Math.fround(x + 1) - 1) : expected;
      assert.deepEqual(await after, rounded, `${type}: ${name}`);
    }
    const again = await loadTokenizer(folder.path);
    const words = "I'm 38.5 °C 发烧了怎么办？\n\n  <|im_end|>";
    assert.deepEqual(again.encode(words), tokenizer.encode(words), type);
    assert.equal(again.chatTemplate, tokenizer.chatTemplate);
  }
});

Deno.test("bf16 and fp16 round, and quantized weights are told", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/tiny.gguf`;
  const weights = await writeModel(path, "qwen3", { quantized: true, tied: false });
  for (const [dtype, tolerance] of [["bfloat16", 2 ** -7], ["float16", 2 ** -7]] as const) {
    const made = `${folder.path}/${dtype}`;
    await Deno.mkdir(made);
    let last: readonly number[] = [];
    const options: ImportGgufOptions = { dtype, onBytes: (...done) => last = done };
    const { notes, parameters } = await importGguf(path, made, options);
    assert.match(
      notes[0],
      /tiny\.gguf holds of its numbers \d\d % in 8 bits \(q8_0\): what quantizing lost/,
    );
    assert.equal(last[0], last[1]);
    await using model = await openModel(made);
    let count = 0;
    for (const [name, numbers] of weights) {
      assert.equal(model.weights.info(name).dtype, dtype);
      const back = await readFloat32(model.weights, name);
      // Eight bits of numbers up to 3, then the rounding.
      for (const [i, x] of numbers.entries()) assert.ok(Math.abs(x - back[i]) < 4 * tolerance);
      count += numbers.length;
    }
    assert.equal(parameters, count);
  }
});

Deno.test("a byte-level tokenizer comes back: cuts, merges, added tokens, ends and template", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/tiny.gguf`;
  await writeModel(path, "qwen3");
  await importGguf(path, folder.path);
  const tokenizer = await loadTokenizer(folder.path);
  assert.deepEqual(tokenizer.notes, []);
  const h = BYTE_TO_CHAR.indexOf("h");
  assert.deepEqual([...tokenizer.encode("hell hell<|im_end|><think>h")], [258, 259, 261, 262, h]);
  assert.deepEqual([tokenizer.isSpecial(261), tokenizer.isSpecial(262)], [true, false]);
  assert.equal(tokenizer.vocabSize, 263);
  assert.equal(tokenizer.bosTokenId, 260);
  assert.equal(tokenizer.chatTemplate, TEMPLATE);
  const generation = JSON.parse(await Deno.readTextFile(`${folder.path}/generation_config.json`));
  // The file names <bos> alone; <|im_end|> ends replies by its text, as in llama.cpp.
  assert.deepEqual(generation.eos_token_id, [260, 261]);
  const { normalizer, post_processor: post } = JSON.parse(
    await Deno.readTextFile(`${folder.path}/tokenizer.json`),
  );
  assert.deepEqual([normalizer, post.single[0].SpecialToken.id], [{ type: "NFC" }, "<bos>"]);
});

Deno.test("a tokenizer of SentencePiece comes back: merges by scores, blanks, bytes", async () => {
  for (const prefix of [true, false]) {
    await using folder = await tempFolder();
    const path = `${folder.path}/tiny.gguf`;
    const tokenizer = { ...SENTENCES, "tokenizer.ggml.add_space_prefix": flag(prefix) };
    await writeModel(path, "llama", { tokenizer });
    const { notes } = await importGguf(path, folder.path);
    assert.match(notes[0], /has no chat template, as a base model has none: give one with --chat/);
    const made = await loadTokenizer(folder.path);
    const id = (token: string): number => made.tokenToId(token)!;
    const hello = ["he", "ll", "o"].map(id);
    assert.deepEqual(
      [...made.encode("hello")],
      prefix ? ["▁he", "ll", "o"].map(id) : hello,
    );
    assert.deepEqual([...made.encode("o\n")].slice(prefix ? 1 : 0), [id("o"), id("<0x0A>")]);
    assert.equal(made.decode(made.encode("hello\nhello")), "hello\nhello");
    assert.equal(made.eosTokenId, 2);
  }
});

/** What a file holds, and what is said of it. */
type Refusal = readonly [
  name: string,
  type: ModelType,
  change: Parameters<typeof writeModel>[2],
  message: RegExp,
];

const keys = (keys: Entries) => ({ keys });
const tokenizer = (change: Entries) => ({ tokenizer: { ...BYTES, ...change } });
const pieces = (change: Entries) => ({ tokenizer: { ...SENTENCES, ...change } });
const numbers = (values: readonly number[]): GgufValue => ({ type: "array", of: "int32", values });

const REFUSALS: readonly Refusal[] = [
  [
    "another architecture",
    "llama",
    keys({ "general.architecture": text("mamba") }),
    /general\.architecture is "mamba": ortune reads llama, qwen2, .* back/,
  ],
  [
    "a part of a model",
    "llama",
    keys({ "split.count": whole(3) }),
    /split\.count is 3: join the parts with/,
  ],
  [
    "experts",
    "llama",
    keys({ expert_count: whole(8) }),
    /llama\.expert_count is 8: mixtures of experts/,
  ],
  [
    "a size that is missing",
    "qwen2",
    keys({ block_count: undefined }),
    /qwen2\.block_count is missing, a whole/,
  ],
  [
    "a size that is a text",
    "qwen2",
    keys({ block_count: text("2") }),
    /qwen2\.block_count is "2" \(string\), a/,
  ],
  [
    "a size that is half",
    "qwen2",
    keys({ block_count: real(1.5) }),
    /block_count is 1\.5 \(float32\), a whole/,
  ],
  [
    "no heads",
    "qwen2",
    keys({ "attention.head_count": whole(0) }),
    /head_count is 0, a number from 1 on/,
  ],
  [
    "layers that differ",
    "qwen2",
    keys({ feed_forward_length: numbers([48, 64]) }),
    /is a list of 2 of int32: layers that/,
  ],
  [
    "an epsilon that is none",
    "qwen2",
    keys({ "attention.layer_norm_rms_epsilon": real(NaN) }),
    /rms_epsilon is NaN/,
  ],
  [
    "heads that are turned in part",
    "qwen3",
    keys({ "rope.dimension_count": whole(4) }),
    /is 4 of heads of 8 numbers/,
  ],
  [
    "another scaling",
    "qwen3",
    keys({ "rope.scaling.type": text("su") }),
    /rope\.scaling\.type is "su", which/,
  ],
  [
    "windows, as of OLMo 3",
    "olmo2",
    keys({ "attention.sliding_window": whole(4096) }),
    /olmo2\.attention\.sliding_window is 4096: which layers/,
  ],
  [
    "values of another width",
    "qwen3",
    keys({ "attention.value_length": whole(16) }),
    /value_length is 16 where attention\.key_length is 8/,
  ],
  [
    "Granite without positions",
    "granite",
    keys({ "rope.scaling.finetuned": flag(false) }),
    /finetuned is false/,
  ],
  [
    "another depth than tensors",
    "qwen3",
    keys({ block_count: whole(3) }),
    /it has no blk\.2\.attn_norm\.weight; .*and \d+ more/,
  ],
  [
    "fewer layers than tensors",
    "qwen3",
    keys({ block_count: whole(1) }),
    /qwen3 has no place for "blk\.1\./,
  ],
  [
    "another width than tensors",
    "qwen3",
    keys({ feed_forward_length: whole(64) }),
    /is \[48, 32\], expected \[64, 32\]/,
  ],
  [
    "a tensor that is missing",
    "llama",
    { leaveOut: ["output_norm.weight"] },
    /it has no output_norm\.weight/,
  ],
  [
    "no embedding",
    "llama",
    { leaveOut: ["token_embd.weight"] },
    /Cannot find tensor "token_embd\.weight"/,
  ],
  [
    "WordPiece",
    "llama",
    tokenizer({ "tokenizer.ggml.model": text("bert") }),
    /tokenizer\.ggml\.model is "bert": only gpt2/,
  ],
  [
    "cuts that nobody knows",
    "llama",
    tokenizer({ "tokenizer.ggml.pre": text("viking") }),
    /tokenizer\.ggml\.pre is "viking": how/,
  ],
  [
    "cuts without a name",
    "llama",
    tokenizer({ "tokenizer.ggml.pre": undefined }),
    /tokenizer\.ggml\.pre is "default"/,
  ],
  [
    "no tokens",
    "llama",
    tokenizer({ "tokenizer.ggml.tokens": undefined }),
    /tokens is missing, a list of texts expected/,
  ],
  [
    "too few types",
    "llama",
    tokenizer({ "tokenizer.ggml.token_type": numbers([1, 1]) }),
    /has 2 types of 264 tokens/,
  ],
  ["no merges", "llama", tokenizer({ "tokenizer.ggml.merges": undefined }), /merges is missing/],
  [
    "an id of no token",
    "llama",
    tokenizer({ "tokenizer.ggml.eos_token_id": whole(999) }),
    /is 999, but there are 264 tokens/,
  ],
  [
    "no scores",
    "llama",
    pieces({ "tokenizer.ggml.scores": undefined }),
    /scores is missing, a list of numbers/,
  ],
  [
    "too few scores",
    "llama",
    pieces({ "tokenizer.ggml.scores": numbers([1]) }),
    /has 1 scores of 264 tokens/,
  ],
];

for (const [name, type, change, message] of REFUSALS) {
  Deno.test(`${name}: refused by key and value, and nothing of the weights is written`, async () => {
    await using folder = await tempFolder();
    const path = `${folder.path}/tiny.gguf`;
    await writeModel(path, type, change);
    await assert.rejects(importGguf(path, folder.path), { name: "RangeError", message });
    await assert.rejects(Deno.stat(`${folder.path}/model.safetensors`));
  });
}

Deno.test("factors that are not Llama 3's are refused", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/tiny.gguf`;
  await writeModel(path, "llama", { keys: { "rope.freq_base": real(5e5) } });
  await assert.rejects(
    importGguf(path, folder.path),
    /rope_freqs\.weight holds factors that are not/,
  );
});

Deno.test("deno task import makes a folder below models/ and says what was lost", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/models`);
  await writeModel(`${folder.path}/models/tiny.gguf`, "qwen2", { quantized: true });
  const args = "--model models/tiny.gguf --dtype bf16";
  const { code, stdout, stderr } = await runTask("import", folder.path, args);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^models\/tiny: qwen2, [\d,]+ parameters, 264 tokens$/m);
  assert.match(stderr, /note: models\/tiny\.gguf holds .*% in 8 bits \(q8_0\)/);
  await using model = await openModel(`${folder.path}/models/tiny`);
  assert.equal(model.weights.info("model.norm.weight").dtype, "bfloat16");
  const again = await runTask("import", folder.path, args);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^error: Cannot import into models\/tiny: .*give a new --output-dir/m);
  const elsewhere = await runTask(
    "import",
    folder.path,
    `--model ${fixturePath("tokenizer")}/x.gguf`,
  );
  assert.equal(elsewhere.code, 1);
  assert.match(
    elsewhere.stderr,
    /^error: Cannot read ".*x\.gguf": the task may not; deno\.json says/,
  );
});
