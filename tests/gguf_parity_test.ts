/**
 * Exported GGUF files in llama.cpp itself: tokens of texts and tokens of replies are those of the model that was
 * exported. Skipped where npm's @node-llama-cpp, 10 MB, is neither in Deno's cache nor to be had.
 */

import assert from "node:assert/strict";
import { createTokenizer, loadTokenizer, type Tokenizer } from "../data/text/tokenizer.ts";
import {
  ggmlBytes,
  type GgmlType,
  GGUF_FILE_TYPES,
  type GgufFileType,
  openGguf,
  writeGguf,
} from "../gguf/mod.ts";
import { compareParity, parityReference } from "../infer/export/parity.ts";
import { checkpointParityModel } from "../infer/export/parity_models.ts";
import { exportGgufAdapter } from "../infer/gguf/export_gguf_adapter.ts";
import { exportGguf } from "../infer/gguf/export_gguf.ts";
import { LlamaLibrary, type LlamaModel } from "../infer/gguf/llama_library.ts";
import { hfTensorName } from "../infer/gguf/tensor_names.ts";
import { tokenizerMetadata } from "../infer/gguf/tokenizer_metadata.ts";
import { loraParameters } from "../lora/block_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../lora/lora_options.ts";
import { withLayerNames } from "../lora/lora_targets.ts";
import { mergedSource } from "../lora/merged_source.ts";
import type { ModelConfig } from "../model/config.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import type { ModelType } from "../model/families/families.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { type TensorSource, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { draws } from "./support/random.ts";
import { realTokenizerFiles } from "./support/real_tokenizer.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { emptyStore, FAMILY_FIELDS, familyConfig, randomWeights } from "./support/tiny_model.ts";

const NEW_TOKENS = 64;
const QUESTIONS = ["头痛怎么办？", "What is a fever?"];
const SIZES = {
  ...{ hidden_size: 64, intermediate_size: 96, head_dim: 16, vocab_size: 303 },
  ...{ max_position_embeddings: 512, bos_token_id: 296, eos_token_id: 298, pad_token_id: 296 },
};
/** What llama.cpp has in place of what shows a family elsewhere. */
const CHANGES: Readonly<Partial<Record<ModelType, Readonly<Record<string, unknown>>>>> = {
  llama: {
    rope_parameters: {
      ...{ rope_type: "llama3", rope_theta: 10000, factor: 8, low_freq_factor: 1 },
      ...{ high_freq_factor: 4, original_max_position_embeddings: 64 },
    },
  },
  qwen2: { rope_parameters: { rope_type: "linear", rope_theta: 10000, factor: 4 } },
  mistral: { sliding_window: null },
  smollm3: {
    ...{ num_hidden_layers: 5, no_rope_layer_interval: 4 },
    ...{ use_sliding_window: false, sliding_window: null },
  },
  phi3: {
    sliding_window: null,
    original_max_position_embeddings: 256,
    rope_scaling: {
      type: "longrope",
      short_factor: [1, 1.5, 2, 3],
      long_factor: [2, 3, 4, 6],
    },
  },
  gemma3_text: { query_pre_attn_scalar: 16 },
  // Heads of keys and values of one width.
  qwen3_5_text: { linear_key_head_dim: 8, linear_value_head_dim: 8 },
};
const FAMILIES = Object.keys(FAMILY_FIELDS) as ModelType[];

const runtime = new Runtime({ threads: 2 });
const model = fixturePath("tokenizer");
const tokenizer = await loadTokenizer(model);

const llama = await LlamaLibrary.open().catch((cause) => cause as Error);

/** A test that asks llama.cpp. */
function llamaTest(name: string, test: (llama: LlamaLibrary) => Promise<void>): void {
  const missing = llama instanceof Error;
  Deno.test({
    name: missing ? `${name} (skipped: ${llama.message})` : name,
    ignore: missing,
    fn: () => test(llama as LlamaLibrary),
  });
}

function llamaConfig(
  family: ModelType,
  change: Readonly<Record<string, unknown>> = {},
): ModelConfig {
  return familyConfig(family, { ...SIZES, ...CHANGES[family], ...change });
}

const promptOf = (content: string): string =>
  tokenizer.render([{ role: "user", content }], { addGenerationPrompt: true });

/**
 * How far apart logits of the checkpoint may be between which llama.cpp chooses otherwise: beside float16 weights it
 * rounds activations to float16. Random models are often as undecided: measured, 12 of 24 seeds, up to 2e-2.
 */
const TIES = { f32: 0, f16: 5e-2 } as const;

/** Asserts that llama.cpp goes on as the checkpoint does. */
async function assertSameTokens(
  gguf: LlamaModel,
  { config, weights, tie }: {
    readonly config: ModelConfig;
    readonly weights: ParameterStore;
    readonly tie: number;
  },
): Promise<void> {
  using checkpoint = checkpointParityModel(runtime, { config, weights });
  for (const content of QUESTIONS) {
    const prompt = tokenizer.encode(promptOf(content));
    assert.deepEqual(gguf.encode(promptOf(content)), prompt);
    const wanted = await checkpoint.greedy(prompt, NEW_TOKENS);
    const got = await gguf.greedy(prompt, NEW_TOKENS);
    const first = got.findIndex((id, i) => id !== wanted[i]);
    if (first < 0) continue;
    const ids = Int32Array.of(...prompt, ...wanted.slice(0, first));
    const scores = (await checkpoint.logits(ids)).subarray(-config.vocabSize);
    const apart = scores[wanted[first]] - scores[got[first]];
    assert.ok(apart < tie, `${config.modelType}: token ${first} is another, ${apart} below`);
  }
}

llamaTest("llama.cpp gives the tokens of every family, in f32 and f16", async (llama) => {
  await using folder = await tempFolder();
  for (const [i, family] of FAMILIES.entries()) {
    const config = llamaConfig(family);
    using weights = randomWeights(runtime, config, i + 1);
    for (const dtype of ["f32", "f16"] as const) {
      const path = `${folder.path}/${family}-${dtype}.gguf`;
      await exportGguf(path, { config, weights, tokenizer, model, dtype, name: family });
      using gguf = await llama.load(path, { contextLength: 256 });
      assert.equal(gguf.chatTemplate, tokenizer.chatTemplate);
      assert.ok(gguf.endsReply(298));
      await assertSameTokens(gguf, { config, weights, tie: TIES[dtype] });
    }
  }
});

// llama.cpp rounds activations to 8 bits beside quantized weights. Measured: 5e-3.
const PERPLEXITY = 1e-2;

llamaTest("quantized files have the perplexity of their own weights", async (llama) => {
  await using folder = await tempFolder();
  // Rows of whole blocks of 256.
  const config = llamaConfig("qwen3", { hidden_size: 256, intermediate_size: 512 });
  using weights = randomWeights(runtime, config, 3);
  // Less sure of themselves, as trained models are.
  for (const name of weights.names()) {
    const numbers = weights.tensor(name).float32();
    if (!name.endsWith("norm.weight")) numbers.forEach((value, i) => numbers[i] = value / 4);
  }
  const questions = {
    prompts: [tokenizer.encode(promptOf(QUESTIONS[0]))],
    greedyTokens: 1,
    text: [
      tokenizer.encode(promptOf("医生，发烧了应该怎么办？ A fever should pass within a few days.")),
    ],
  };
  for (const dtype of ["q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0"] as const) {
    const path = `${folder.path}/${dtype}.gguf`;
    await exportGguf(path, { config, weights, tokenizer, model, dtype, name: "tiny" });
    using stored = await readBack(path, config);
    using checkpoint = checkpointParityModel(runtime, { config, weights: stored });
    const reference = await parityReference(checkpoint, questions);
    using gguf = await llama.load(path, { contextLength: 256 });
    const { perplexity } = await compareParity(gguf, questions, reference);
    const apart = Math.abs(perplexity.difference) / perplexity.checkpoint;
    assert.ok(apart < PERPLEXITY, `${dtype}: ${JSON.stringify(perplexity)}`);
  }
});

llamaTest(
  "quantized files hold what llama.cpp's own quantizer makes of f32, byte for byte",
  async (llama) => {
    await using folder = await tempFolder();
    // Rows of 64 are no whole blocks of 256, rows of 256 are; with ten layers some have more bits.
    const wide = { hidden_size: 256, intermediate_size: 512, num_hidden_layers: 10 };
    const cases: readonly (readonly [ModelType, object, readonly GgufFileType[]])[] = [
      ...FAMILIES.map((family) => [family, {}, ["q4_k_m", "q5_k_m"]] as const),
      ["llama", wide, ["q4_0", "q4_k_m", "q5_k_m", "q6_k", "q8_0"]],
      ["phi3", { ...wide, head_dim: 64, intermediate_size: 544, rope_scaling: null }, ["q4_k_m"]],
    ];
    for (const [i, [family, change, dtypes]] of cases.entries()) {
      const config = llamaConfig(family, change as Record<string, unknown>);
      using weights = randomWeights(runtime, config, i + 1);
      const write = async (dtype: GgufFileType): Promise<string> => {
        const path = `${folder.path}/${i}-${dtype}.gguf`;
        await exportGguf(path, { config, weights, tokenizer, model, dtype, name: family });
        return path;
      };
      const whole = await write("f32");
      for (const dtype of dtypes) {
        const theirs = `${folder.path}/${i}-${dtype}-theirs.gguf`;
        llama.quantize(whole, theirs, GGUF_FILE_TYPES[dtype].number);
        const [made, expected] = [
          await storedTensors(await write(dtype)),
          await storedTensors(theirs),
        ];
        assert.deepEqual([...made.keys()].sort(), [...expected.keys()].sort());
        for (const [name, { type, bytes }] of made) {
          const what = `${family} ${dtype} ${name}`;
          assert.equal(type, expected.get(name)!.type, what);
          assert.deepEqual(bytes, expected.get(name)!.bytes, what);
        }
      }
    }
  },
);

/** Types and bytes of a small file's tensors, by name. */
async function storedTensors(
  path: string,
): Promise<Map<string, { readonly type: GgmlType; readonly bytes: Uint8Array }>> {
  await using file = await openGguf(path);
  const all = await Deno.readFile(path);
  return new Map(
    [...file.tensors].map(([name, { type, shape, start }]) => [
      name,
      { type, bytes: all.subarray(start, start + ggmlBytes(type, shape)) },
    ]),
  );
}

/** The weights of a file, of a family whose tensors are no others in GGUF. */
async function readBack(path: string, config: ModelConfig): Promise<ParameterStore> {
  await using file = await openGguf(path);
  const store = emptyStore(runtime, config);
  for (const [name, { shape }] of file.tensors) {
    const { name: ours, change } = hfTensorName(config.modelType, name)!;
    assert.equal(change, undefined);
    const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
    store.tensor(ours).float32().set(await file.readRows(name, 0, rows));
  }
  return store;
}

llamaTest("an adapter beside its base gives the tokens of both merged", async (llama) => {
  await using folder = await tempFolder();
  const all: Readonly<Partial<Record<ModelType, Partial<LoraOptions>>>> = {
    llama: {},
    granitemoehybrid: { rslora: true },
    qwen3_5_text: { rankPattern: { q_proj: 4 }, alphaPattern: { q_proj: 2 } },
  };
  for (const [family, change] of Object.entries(all) as [ModelType, Partial<LoraOptions>][]) {
    const config = llamaConfig(family);
    using base = randomWeights(runtime, config, 7);
    const lora = withLayerNames(config, { ...DEFAULT_LORA, rank: 3, alpha: 6, ...change });
    const adapter = randomAdapter(config, lora);
    const of = { config, tokenizer, model, dtype: "f32" as const, name: family };
    const [together, beside, alone] = ["merged", "base", "adapter"].map((name) =>
      `${folder.path}/${family}-${name}.gguf`
    );
    using merged = mergedSource(runtime, { config, base, adapter, lora });
    await exportGguf(together, { ...of, weights: merged });
    await exportGguf(beside, { ...of, weights: base });
    await exportGgufAdapter(alone, { config, adapter, lora, name: "adapter" });
    using wanted = await llama.load(together, { contextLength: 256 });
    using got = await llama.load(beside, { contextLength: 256, adapter: alone });
    using without = await llama.load(beside, { contextLength: 256 });
    const prompt = tokenizer.encode(promptOf(QUESTIONS[1]));
    const tokens = await wanted.greedy(prompt, 16);
    assert.deepEqual(await got.greedy(prompt, 16), tokens, family);
    assert.notDeepEqual(await without.greedy(prompt, 16), tokens, family);
  }
});

function randomAdapter(config: ModelConfig, lora: LoraOptions): TensorSource {
  const draw = draws(5);
  return tensorSourceFromMap(
    new Map(
      loraParameters(config, lora).map(({ name, shape }) => {
        const numbers = Float32Array.from({ length: shape[0] * shape[1] }, () => draw(-0.4, 0.4));
        return [name, { dtype: "float32", shape, data: new Uint8Array(numbers.buffer) }];
      }),
    ),
  );
}

/** What tokenizers cut differently: words, digits, contractions, blanks, code, scripts, emoji, special tokens. */
const TEXTS = [
  "医生，我最近总是头痛，怎么办？发烧三十九度五，已经3天了。",
  "It's 1234567 o'clock; we'LL see.  Don't\tYOU'RE\r\n\r\n  \n end ",
  "def f(x):\n    return x**2 + 3.14e-10  # naïve café ½ ¾\n",
  "Привет, мир! こんにちは世界 안녕하세요 مرحبا שלום 👩‍👩‍👧 🎉🎉",
  "<|im_start|>user\nHi<|im_end|>\n<s>[INST] Hello [/INST] <｜begin▁of▁sentence｜>",
  "    four blanks, and ten:          x\u00a0y\u3000z",
];

llamaTest("llama.cpp gives the tokens of published tokenizers", async (llama) => {
  await using folder = await tempFolder();
  // gpt2 and deepseek_v3 pass as well, and take six seconds more.
  for (const name of ["llama2", "llama3", "qwen3"]) {
    const files = await realTokenizerFiles(name);
    const real = createTokenizer(files);
    const path = `${folder.path}/${name}.gguf`;
    await writeVocabulary(path, real, files.tokenizerJson);
    using gguf = await llama.load(path);
    for (const text of TEXTS) {
      const [got, wanted] = [gguf.encode(text), real.encode(text)];
      assert.deepEqual(got, wanted, `${name}: ${JSON.stringify(text)}`);
    }
  }
});

/** A GGUF file of a tokenizer alone. */
async function writeVocabulary(
  path: string,
  real: Tokenizer,
  tokenizerJson: Readonly<Record<string, unknown>>,
): Promise<void> {
  const rows = real.vocabSize;
  const { entries } = tokenizerMetadata({
    ...{ tokenizer: real, tokenizerJson, path: "tokenizer.json", rows, addBos: false },
    eosTokenIds: [real.eosTokenId!],
  });
  await writeGguf(path, {
    metadata: new Map([
      ["general.architecture", { type: "string", value: "llama" }],
      ...entries,
    ]),
    tensors: [],
  });
}

const REFUSED: readonly (readonly [ModelType, Readonly<Record<string, unknown>>, RegExp])[] = [
  ["qwen2", { head_dim: 32 }, /qwen2 has no 4 heads of 32 numbers at a hidden size of 64/],
  ["qwen3", { attention_bias: true }, /qwen3 has no biases of attention/],
  ["gemma3_text", { query_pre_attn_scalar: 64 }, /multiplied by 0\.125 in place of 1\/√16/],
  ["smollm3", { no_rope_layer_interval: 2 }, /not turned other than every 4th/],
  [
    "qwen3",
    { rope_scaling: { rope_type: "yarn", rope_theta: 1e4, factor: 4, beta_fast: 16 } },
    /YaRN with beta_fast 16/,
  ],
  ["qwen3_5_text", { linear_value_head_dim: 6 }, /heads of 8 numbers for keys and 6 for values/],
  ["llama", { vocab_size: 200 }, /has 301 tokens, but the model's embedding 200 rows/],
];

Deno.test("exportGguf() refuses what llama.cpp does not compute, before it writes anything", async () => {
  await using folder = await tempFolder();
  for (const [family, change, message] of REFUSED) {
    const config = llamaConfig(family, change);
    using weights = randomWeights(runtime, config);
    const options = {
      config,
      weights,
      tokenizer,
      model,
      dtype: "f32" as GgufFileType,
      name: "tiny",
    };
    await assert.rejects(() => exportGguf(`${folder.path}/x.gguf`, options), message);
  }
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.path)), []);
});
