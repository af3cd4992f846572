/** GGUF files that are written, and read back. */

import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { type GgufFileType, openGguf, writeGguf } from "../../gguf/mod.ts";
import { loraParameters } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../../lora/lora_options.ts";
import type { ModelConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import { openModel } from "../../model/weights/open_model.ts";
import {
  readFloat32,
  type TensorData,
  tensorSourceFromMap,
} from "../../ort/tensor/tensor_source.ts";
import { draws } from "../../tests/support/random.ts";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { exportGguf, type ExportGgufOptions } from "./export_gguf.ts";
import { exportGgufAdapter } from "./export_gguf_adapter.ts";
import { importGguf } from "./import_gguf.ts";
import type { LlamaLibrary } from "./llama_library.ts";
import { verifyGguf } from "./verify_gguf.ts";

type Json = Readonly<Record<string, unknown>>;

const SIZES = {
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  vocab_size: 262,
  max_position_embeddings: 128,
};
const config = tinyConfig(SIZES);

/** Random numbers under names, of their shapes. */
function randomSource(
  specs: readonly { readonly name: string; readonly shape: readonly number[] }[],
) {
  const draw = draws(2);
  return tensorSourceFromMap(
    new Map(specs.map(({ name, shape }): [string, TensorData] => {
      const length = shape.reduce((product, size) => product * size, 1);
      const numbers = Float32Array.from({ length }, () => draw());
      return [name, { dtype: "float32", shape, data: new Uint8Array(numbers.buffer) }];
    })),
  );
}
const weightsOf = (config: ModelConfig) => randomSource(modelParameters(config));

const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
const model = tokenizerJson.model as Json;
/** Bytes, one token more, and the added ones behind it: 257 to 261. */
const ADDED = (tokenizerJson.added_tokens as readonly Json[])
  .map((each) => ({ ...each, id: each.id as number + 1 }));
const merging: Json = {
  ...tokenizerJson,
  added_tokens: ADDED,
  model: { ...model, vocab: { ...model.vocab as Json, ab: 256 }, merges: [["a", "b"]] },
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
};

/** A folder with tokenizer.json, and a file that is exported into it. */
async function exported(
  folder: TempFolder,
  change: Partial<ExportGgufOptions> = {},
  { json = merging, settings = tokenizerConfig }: {
    readonly json?: Json;
    readonly settings?: Record<string, unknown>;
  } = {},
) {
  await folder.write("tokenizer.json", JSON.stringify(json));
  const path = `${folder.path}/tiny.gguf`;
  const tokenizer = createTokenizer({ tokenizerJson: { ...json }, tokenizerConfig: settings });
  const written = await exportGguf(path, {
    config,
    weights: weightsOf(config),
    model: folder.path,
    tokenizer,
    dtype: "f32",
    name: "tiny",
    ...change,
  });
  await using file = await openGguf(path);
  const general = [...file.metadata].filter(([key]) => key.startsWith("general."))
    .map(([key, value]) => [key.slice("general.".length), "value" in value && value.value]);
  const value = (key: string): unknown => {
    const found = file.metadata.get(key);
    return found && "value" in found ? found.value : undefined;
  };
  return {
    path,
    written,
    general,
    value,
    types: new Map([...file.tensors].map(([name, { type }]) => [name, type])),
  };
}

Deno.test("exportGguf() says what the file is, by its kind of numbers", async () => {
  // llama.cpp's LLAMA_FTYPE.
  const kinds: readonly (readonly [GgufFileType, number, boolean, string])[] = [
    ["f32", 0, false, "f32"],
    ["f16", 1, false, "f16"],
    ["bf16", 32, false, "bf16"],
    ["q8_0", 7, true, "q8_0"],
  ];
  for (const [dtype, number, quantized, type] of kinds) {
    await using folder = await tempFolder();
    const progress: (readonly [number, number])[] = [];
    const { path, general, written, types } = await exported(folder, {
      dtype,
      onBytes: (...each) => progress.push(each),
    });
    assert.deepEqual(general, [
      ["architecture", "qwen3"],
      ["type", "model"],
      ["name", "tiny"],
      ["file_type", number],
      ...quantized ? [["quantization_version", 2]] : [],
    ]);
    const { size } = await Deno.stat(path);
    assert.deepEqual([written.bytes, written.notes, progress.at(-1)], [size, [], [size, size]]);
    assert.equal(types.get("blk.0.attn_q.weight"), type);
    assert.equal(types.get("blk.0.attn_norm.weight"), "f32");
  }
});

Deno.test("exportGguf() names the ends of a reply, and whether sequences begin with a token", async () => {
  const of = async (
    change: Partial<ExportGgufOptions>,
    files: Parameters<typeof exported>[2] = {},
  ) => {
    await using folder = await tempFolder();
    const { value } = await exported(folder, change, files);
    return ["eos_token_id", "eot_token_id", "add_bos_token"].map((key) =>
      value(`tokenizer.ggml.${key}`)
    );
  };
  assert.deepEqual(await of({}), [259, undefined, false]);
  assert.deepEqual(await of({ eosTokenIds: [256, 258] }), [256, 258, false]);
  assert.deepEqual(await of({ eosTokenIds: [] }), [undefined, undefined, false]);
  const settings = { ...tokenizerConfig, bos_token: "<|im_start|>" };
  // The byte tokenizer's template begins each chat with it.
  assert.deepEqual(await of({}, { settings }), [259, undefined, true]);
  assert.deepEqual(await of({}, { settings: { ...settings, bos_token: "<|endoftext|>" } }), [
    259,
    undefined,
    false,
  ]);
  // Without a template the tokenizer's own settings say so.
  const bare = { ...settings, chat_template: undefined };
  const single = (first: unknown): Json => ({
    type: "TemplateProcessing",
    single: [first, { Sequence: { id: "A", type_id: 0 } }],
  });
  const special = { SpecialToken: { id: "<|im_start|>", type_id: 0 } };
  const begins = async (post_processor: unknown): Promise<unknown> =>
    (await of({}, { settings: bare, json: { ...merging, post_processor } }))[2];
  assert.equal(await begins(single(special)), true);
  assert.equal(
    await begins({ type: "Sequence", processors: [{ type: "ByteLevel" }, single(special)] }),
    true,
  );
  assert.equal(await begins(single({ Sequence: { id: "A", type_id: 0 } })), false);
  assert.equal(await begins({ ...single(special), type: "ByteLevel" }), false);
  assert.equal(await begins(null), false);
});

Deno.test("exportGguf() names a model so that llama.cpp treats blanks as its tokenizer does", async () => {
  const added = (change: Json) => ({
    ...merging,
    added_tokens: ADDED.map((each, i) => i === 1 ? { ...each, ...change } : each),
  });
  const named = async (name: string, change: Json): Promise<unknown> => {
    await using folder = await tempFolder();
    const { value, written } = await exported(folder, { name }, { json: added(change) });
    return [value("general.name"), ...written.notes];
  };
  assert.deepEqual(await named("tiny", {}), ["tiny"]);
  for (const name of ["my Phi-3 mini", "my phi3 mini"]) {
    assert.deepEqual(await named(name, {}), ["my phi 3 mini"]);
  }
  assert.deepEqual(await named("tiny", { rstrip: true }), ["tiny (phi-3)"]);
  assert.deepEqual(await named("Phi-3 mini", { rstrip: true }), ["Phi-3 mini"]);
  const note =
    'the tokenizer takes blanks off beside 1 of its tokens, such as "<|im_start|>", and ' +
    "llama.cpp does not";
  assert.deepEqual(await named("Phi-3 mini", { lstrip: true }), ["Phi-3 mini", note]);
  assert.deepEqual(await named("tiny", { lstrip: true, rstrip: true }), ["tiny", note]);
});

Deno.test("importGguf() makes a folder of what exportGguf() wrote", async () => {
  await using source = await tempFolder();
  const { path } = await exported(source);
  for (const dtype of [undefined, "bfloat16"] as const) {
    await using folder = await tempFolder();
    const progress: (readonly [number, number])[] = [];
    const made = await importGguf(path, folder.path, {
      dtype,
      onBytes: (...each) => progress.push(each),
    });
    const parameters = modelParameters(config)
      .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
    assert.deepEqual(made, { modelType: "qwen3", parameters, tokens: 262, notes: [] });
    const total = parameters * (dtype ? 2 : 4);
    assert.deepEqual(progress.at(-1), [total, total]);
    assert.ok(progress.every(([written], i) => i === 0 || written >= progress[i - 1][0]));
    const files = (await Array.fromAsync(Deno.readDir(folder.path))).map(({ name }) => name).sort();
    assert.deepEqual(files, [
      ...["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"],
      "tokenizer_config.json",
    ]);
    const read = async (name: string): Promise<Json> =>
      JSON.parse(await Deno.readTextFile(`${folder.path}/${name}`));
    assert.deepEqual(await read("generation_config.json"), {
      eos_token_id: [259, 257],
      pad_token_id: 257,
    });
    const json = await read("config.json");
    assert.deepEqual([json.eos_token_id, json.torch_dtype], [259, dtype ?? "float32"]);
    assert.equal((await read("tokenizer_config.json")).model_max_length, 128);
    await using model = await openModel(folder.path);
    const before = weightsOf(config);
    for (const name of before.names()) {
      assert.equal(model.weights.info(name).dtype, dtype ?? "float32");
      if (dtype) continue;
      assert.deepEqual(await readFloat32(model.weights, name), await readFloat32(before, name));
    }
  }
});

Deno.test("importGguf() tells what was lost, what is missing, and refuses a part of a model", async () => {
  await using folder = await tempFolder();
  const settings = { ...tokenizerConfig, chat_template: undefined };
  const { path } = await exported(folder, { dtype: "q8_0" }, { settings });
  await using target = await tempFolder();
  const { notes } = await importGguf(path, target.path);
  const all = modelParameters(config).map(({ name, shape }) => ({
    matrix: shape.length > 1,
    name,
    count: shape.reduce((product, size) => product * size, 1),
  }));
  const sum = (list: typeof all): number => list.reduce((sum, { count }) => sum + count, 0);
  const share = (100 * sum(all.filter(({ matrix }) => matrix)) / sum(all)).toFixed(0);
  assert.deepEqual(notes, [
    `${path} holds of its numbers ${share} % in 8 bits (q8_0): what quantizing lost stays lost, so ` +
    "results are near the published model's, not equal",
    "it has no chat template, as a base model has none: give one with --chat-template",
  ]);
  await using given = await tempFolder();
  const { notes: fewer } = await importGguf(path, given.path, { chatTemplate: "T" });
  assert.equal(fewer.length, 1);
  const split = `${folder.path}/split.gguf`;
  await writeGguf(split, {
    metadata: new Map([["split.count", { type: "uint16", value: 2 }]]),
    tensors: [],
  });
  await assert.rejects(
    importGguf(split, target.path),
    new RangeError(
      `Cannot import ${split}: split.count is 2: join the parts with llama-gguf-split --merge first`,
    ),
  );
});

Deno.test("exportGgufAdapter() writes both matrices of each layer, scaled where scales differ", async () => {
  const write = async (lora: LoraOptions) => {
    await using folder = await tempFolder();
    const path = `${folder.path}/adapter.gguf`;
    const adapter = randomSource(loraParameters(config, lora));
    await exportGgufAdapter(path, { config, adapter, lora, name: "mine" });
    await using file = await openGguf(path);
    const metadata = [...file.metadata].map((
      [key, value],
    ) => [key, "value" in value && value.value]);
    const [a, b] = await Promise.all(["a", "b"].map(async (part) => {
      const name = `blk.0.attn_v.weight.lora_${part}`;
      return await file.readRows(name, 0, file.tensor(name).shape[0]);
    }));
    const local = "model.layers.0.self_attn.v_proj.lora_";
    const own = await Promise.all(
      ["A", "B"].map((part) => readFloat32(adapter, `${local}${part}.weight`)),
    );
    return { metadata, a, b, own, names: [...file.tensors.keys()] };
  };
  const facts = (alpha: number) => [
    ["general.architecture", "qwen3"],
    ["general.type", "adapter"],
    ["general.name", "mine"],
    ["adapter.type", "lora"],
    ["adapter.lora.alpha", alpha],
  ];
  const lora = { ...DEFAULT_LORA, rank: 4, alpha: 6 };
  const plain = await write(lora);
  assert.deepEqual(plain.metadata, facts(6));
  assert.deepEqual([plain.a, plain.b], plain.own);
  assert.equal(plain.names.length, 14);
  const other = await write({ ...lora, alphaPattern: { q_proj: 12 } } as LoraOptions);
  assert.deepEqual(other.metadata, facts(0));
  assert.deepEqual(other.a, other.own[0]);
  assert.deepEqual(other.b, other.own[1].map((value) => value * 1.5));
  await assert.rejects(
    write({ ...lora, dora: true }),
    new RangeError(
      "Cannot write a GGUF file of a DoRA adapter alone: llama.cpp has no magnitudes; merge it, without " +
        "--keep-adapter",
    ),
  );
});

Deno.test("verifyGguf() compares template, tokens, ends and answers", async () => {
  const tokenizer = createTokenizer({ tokenizerJson, tokenizerConfig });
  const loaded: unknown[] = [];
  const llama = (change: Json) => ({
    load: (path: string, options: unknown) => {
      loaded.push([path, options]);
      return Promise.resolve({
        chatTemplate: tokenizer.chatTemplate,
        encode: (text: string) => tokenizer.encode(text),
        endsReply: (id: number) => id === 258,
        logits: (ids: Int32Array) => Promise.resolve(new Float32Array(ids.length * 2)),
        greedy: (_: Int32Array, count: number) => Promise.resolve(Array(count).fill(1)),
        [Symbol.dispose]: () => loaded.push("disposed"),
        ...change,
      });
    },
  } as unknown as LlamaLibrary);
  const verify = (change: Json) =>
    verifyGguf(llama(change), "a.gguf", {
      tokenizer: tokenizer as Tokenizer,
      texts: ["ab", "c"],
      eosTokenIds: [258, 256],
      questions: {
        prompts: [Int32Array.of(1, 2, 3), Int32Array.of(1)],
        greedyTokens: 4,
        text: [Int32Array.of(0, 1, 0, 1, 1)],
      },
      reference: {
        logits: [new Float32Array(6), new Float32Array(2)],
        greedy: [[1, 1, 1, 1], [1, 1, 1, 1]],
        losses: Array(4).fill(Math.log(2)),
      },
      threads: 3,
      adapter: "b.gguf",
    });
  const report = await verify({});
  assert.deepEqual(loaded, [
    ["a.gguf", { contextLength: 7, threads: 3, adapter: "b.gguf" }],
    "disposed",
  ]);
  const { parity: _parity, ...rest } = report;
  assert.deepEqual(rest, {
    template: true,
    texts: { all: 2, same: 2 },
    ends: { all: 2, same: 1 },
  });
  const other = await verify({
    chatTemplate: "other",
    encode: (text: string) => text === "c" ? tokenizer.encode("d") : Int32Array.of(97),
    endsReply: () => false,
  });
  const { parity: _other, ...rest2 } = other;
  assert.deepEqual(rest2, {
    template: false,
    texts: { all: 2, same: 0 },
    ends: { all: 2, same: 0 },
  });
});
