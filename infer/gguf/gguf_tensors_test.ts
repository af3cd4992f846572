import assert from "node:assert/strict";
import type { GgmlType, GgufFile } from "../../gguf/mod.ts";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import type { ModelType } from "../../model/families/families.ts";
import { modelParameters } from "../../model/parameters.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../ort/tensor/half.ts";
import {
  readAll,
  type TensorData,
  type TensorSource,
  tensorSourceFromMap,
} from "../../ort/tensor/tensor_source.ts";
import { ggufTensors } from "./gguf_tensors.ts";
import { type ImportedDtype, importedWeights } from "./imported_weights.ts";

type Fields = Readonly<Record<string, unknown>>;

/** One layer with two heads of 6 numbers, at a hidden size of 4. */
function configOf(model_type: ModelType, change: Fields = {}): ModelConfig {
  return parseConfig({
    model_type,
    vocab_size: 5,
    hidden_size: 4,
    intermediate_size: 3,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 6,
    tie_word_embeddings: true,
    ...change,
  });
}

/** Weights that count on, a multiple of 1/8 each, so that none is like another one. */
function counted(config: ModelConfig): TensorSource {
  let next = 0;
  const tensors = new Map<string, TensorData>();
  for (const { name, shape } of modelParameters(config)) {
    const count = shape.reduce((product, size) => product * size, 1);
    const numbers = Float32Array.from({ length: count }, () => next++ / 8);
    tensors.set(name, { dtype: "float32", shape, data: new Uint8Array(numbers.buffer) });
  }
  return tensorSourceFromMap(tensors);
}

async function numbersOf(weights: TensorSource, name: string): Promise<Float32Array> {
  return new Float32Array((await readAll(weights, name)).slice().buffer);
}

/** Rows of numbers, [rows, width]. */
function rowsOf(numbers: ArrayLike<number>, width: number): number[][] {
  const all = Array.from(numbers);
  return Array.from(
    { length: all.length / width },
    (_, i) => all.slice(i * width, (i + 1) * width),
  );
}

/** A tensor of the file beside the one that it is made of. */
async function both(config: ModelConfig, theirs: string, ours: string) {
  const weights = counted(config);
  const tensor = ggufTensors(config, weights).find(({ name }) => name === theirs)!;
  return { tensor, before: await numbersOf(weights, `model.layers.0.${ours}`) };
}

Deno.test("ggufTensors() lists all tensors in the order of the parameters", async () => {
  const config = configOf("llama");
  const weights = counted(config);
  const tensors = ggufTensors(config, weights);
  assert.deepEqual(tensors.map(({ name, shape }) => [name, shape]), [
    ["token_embd.weight", [5, 4]],
    ["blk.0.attn_norm.weight", [4]],
    ["blk.0.attn_q.weight", [12, 4]],
    ["blk.0.attn_k.weight", [6, 4]],
    ["blk.0.attn_v.weight", [6, 4]],
    ["blk.0.attn_output.weight", [4, 12]],
    ["blk.0.ffn_norm.weight", [4]],
    ["blk.0.ffn_gate.weight", [3, 4]],
    ["blk.0.ffn_up.weight", [3, 4]],
    ["blk.0.ffn_down.weight", [4, 3]],
    ["output_norm.weight", [4]],
  ]);
  const [embedding, norm] = tensors;
  const table = await numbersOf(weights, "model.embed_tokens.weight");
  assert.deepEqual(await embedding.rows(0, 5), table);
  assert.deepEqual(await embedding.rows(2, 2), table.subarray(8, 16));
  assert.deepEqual(
    await norm.rows(0, 1),
    await numbersOf(weights, "model.layers.0.input_layernorm.weight"),
  );
});

Deno.test("ggufTensors() puts the pairs that are turned together side by side", async () => {
  const order = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
  const config = configOf("llama", { attention_bias: true });
  const { tensor, before } = await both(config, "blk.0.attn_q.weight", "self_attn.q_proj.weight");
  const rows = rowsOf(before, 4);
  const expected = order.map((row) => rows[row]);
  assert.deepEqual(rowsOf(await tensor.rows(0, 12), 4), expected);
  for (const [first, count] of [[0, 1], [1, 1], [3, 6], [4, 5], [11, 1], [5, 2]]) {
    assert.deepEqual(
      rowsOf(await tensor.rows(first, count), 4),
      expected.slice(first, first + count),
    );
  }
  const bias = await both(config, "blk.0.attn_q.bias", "self_attn.q_proj.bias");
  assert.deepEqual([...await bias.tensor.rows(0, 1)], order.map((place) => bias.before[place]));
});

Deno.test("ggufTensors() adds 1 to norms that are stored less 1", async () => {
  const config = configOf("gemma3_text");
  const norm = await both(config, "blk.0.attn_norm.weight", "input_layernorm.weight");
  assert.deepEqual(await norm.tensor.rows(0, 1), norm.before.map((value) => value + 1));
});

Deno.test("ggufTensors() makes two tensors of a fused one", async () => {
  const config = configOf("granitemoehybrid", {
    shared_intermediate_size: 3,
    num_local_experts: 0,
    layer_types: ["full_attention"],
  });
  const ours = "shared_mlp.input_linear.weight";
  const gate = await both(config, "blk.0.ffn_gate.weight", ours);
  const up = await both(config, "blk.0.ffn_up.weight", ours);
  assert.deepEqual([gate.tensor.shape, up.tensor.shape], [[3, 4], [3, 4]]);
  assert.deepEqual(await gate.tensor.rows(0, 3), gate.before.subarray(0, 12));
  assert.deepEqual(await up.tensor.rows(0, 3), gate.before.subarray(12));
  assert.deepEqual(await up.tensor.rows(1, 1), gate.before.subarray(16, 20));
});

Deno.test("ggufTensors() orders the heads of values of a gated delta rule in turns", async () => {
  // Two heads of keys with 5 numbers, six of values with 2: three for each head of keys.
  const config = configOf("qwen3_5_text", {
    num_hidden_layers: 1,
    layer_types: ["linear_attention"],
    partial_rotary_factor: 1,
    linear_num_key_heads: 2,
    linear_num_value_heads: 6,
    linear_key_head_dim: 5,
    linear_value_head_dim: 2,
    linear_conv_kernel_dim: 3,
  });
  const heads = [0, 3, 1, 4, 2, 5];
  const wide = heads.flatMap((head) => [2 * head, 2 * head + 1]);
  const behind = [...Array(20).keys(), ...wide.map((row) => 20 + row)];
  const expectRows = async (
    theirs: string,
    ours: string,
    order: readonly number[],
    shape: readonly number[],
  ): Promise<void> => {
    const { tensor, before } = await both(config, `blk.0.${theirs}`, `linear_attn.${ours}`);
    assert.deepEqual(tensor.shape, shape, theirs);
    const width = shape.at(-1)!;
    const rows = rowsOf(before, width);
    const expected = order.map((row) => rows[row]);
    assert.deepEqual(rowsOf(await tensor.rows(0, order.length), width), expected, theirs);
    assert.deepEqual(rowsOf(await tensor.rows(1, 3), width), expected.slice(1, 4), theirs);
  };
  await expectRows("attn_qkv.weight", "in_proj_qkv.weight", behind, [32, 4]);
  await expectRows("ssm_conv1d.weight", "conv1d.weight", behind, [32, 3]);
  await expectRows("attn_gate.weight", "in_proj_z.weight", wide, [12, 4]);
  await expectRows("ssm_beta.weight", "in_proj_b.weight", heads, [6, 4]);
  await expectRows("ssm_alpha.weight", "in_proj_a.weight", heads, [6, 4]);
  const norm = await both(config, "blk.0.ssm_norm.weight", "linear_attn.norm.weight");
  assert.deepEqual(await norm.tensor.rows(0, 1), norm.before);
  const out = await both(config, "blk.0.ssm_out.weight", "linear_attn.out_proj.weight");
  const columns = rowsOf(out.before, 12).map((row) => wide.map((column) => row[column]));
  assert.deepEqual(rowsOf(await out.tensor.rows(0, 4), 12), columns);
  assert.deepEqual(rowsOf(await out.tensor.rows(2, 1), 12), columns.slice(2, 3));
  const step = await both(config, "blk.0.ssm_dt.bias", "linear_attn.dt_bias");
  assert.deepEqual([...await step.tensor.rows(0, 1)], heads.map((head) => step.before[head]));
  const decay = await both(config, "blk.0.ssm_a", "linear_attn.A_log");
  assert.deepEqual(
    [...await decay.tensor.rows(0, 1)],
    heads.map((head) => Math.fround(-Math.exp(decay.before[head]))),
  );
});

Deno.test("ggufTensors() has OLMo 2's embedding as its head too", async () => {
  const weights = { hidden_size: 12 };
  const config = configOf("olmo2", weights);
  const tensors = ggufTensors(config, counted(config));
  assert.equal(tensors.at(-1)!.name, "output.weight");
  assert.deepEqual(await tensors.at(-1)!.rows(1, 2), await tensors[0].rows(1, 2));
  assert.equal(tensors.filter(({ name }) => name === "output.weight").length, 1);
  const untied = configOf("olmo2", { ...weights, tie_word_embeddings: false });
  const own = ggufTensors(untied, counted(untied));
  assert.equal(own.filter(({ name }) => name === "output.weight").length, 1);
  const tied = configOf("llama");
  assert.ok(!ggufTensors(tied, counted(tied)).some(({ name }) => name === "output.weight"));
});

/** The first tensors, as long as they are factors of frequencies. */
async function factorsOf(config: ModelConfig): Promise<Readonly<Record<string, number[]>>> {
  const found = ggufTensors(config, counted(config)).filter(({ name }) => name.startsWith("rope"));
  const all = await Promise.all(
    found.map(async ({ name, shape, rows }) => {
      const numbers = [...await rows(0, 1)];
      assert.deepEqual(shape, [numbers.length]);
      return [name, numbers] as const;
    }),
  );
  return Object.fromEntries(all);
}

Deno.test("ggufTensors() begins with the factors that divide frequencies, where there are some", async () => {
  assert.deepEqual(await factorsOf(configOf("llama")), {});
  const linear = configOf("llama", { rope_scaling: { rope_type: "linear", factor: 2 } });
  assert.deepEqual(await factorsOf(linear), {});
  for (const field of ["rope_scaling", "rope_parameters"]) {
    const config = configOf("phi3", {
      [field]: { rope_type: "longrope", short_factor: [1, 2, 4], long_factor: [2, 3, 5] },
      original_max_position_embeddings: 64,
      max_position_embeddings: 128,
    });
    assert.deepEqual(await factorsOf(config), {
      "rope_factors_long.weight": [2, 3, 5],
      "rope_factors_short.weight": [1, 2, 4],
    });
  }
  const scaling = {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const llama3 = configOf("llama", { head_dim: 16, rope_theta: 5e5, rope_scaling: scaling });
  // As _compute_llama3_parameters of transformers has wavelengths.
  const expected = Array.from({ length: 8 }, (_, i) => {
    const wavelength = 2 * Math.PI * 5e5 ** (2 * i / 16);
    if (wavelength < 8192 / 4) return 1;
    if (wavelength > 8192 / 1) return 8;
    const smooth = (8192 / wavelength - 1) / (4 - 1);
    return 1 / ((1 - smooth) / 8 + smooth);
  });
  assert.ok(expected.some((each) => each > 1 && each < 8));
  const { "rope_freqs.weight": factors } = await factorsOf(llama3);
  assert.equal(factors.length, 8);
  for (const [i, each] of factors.entries()) {
    // Rounded to float32.
    assert.ok(Math.abs(each / expected[i] - 1) < 1e-7, `${i}: ${each}, ${expected[i]}`);
  }
});

/** A file in memory with a model's tensors, some of them in place of its own. */
async function fileOf(
  config: ModelConfig,
  { without = [], shapes = {}, types = {}, more = [] }: {
    readonly without?: readonly string[];
    readonly shapes?: Readonly<Record<string, readonly number[]>>;
    readonly types?: Readonly<Record<string, GgmlType>>;
    readonly more?: readonly string[];
  } = {},
): Promise<GgufFile> {
  const all = new Map<
    string,
    { shape: readonly number[]; type: GgmlType; numbers: Float32Array }
  >();
  for (const { name, shape, rows } of ggufTensors(config, counted(config))) {
    if (without.includes(name)) continue;
    const numbers = await rows(0, shape.length === 1 ? 1 : shape[0]);
    all.set(name, { shape: shapes[name] ?? shape, type: types[name] ?? "f32", numbers });
  }
  for (const name of more) all.set(name, { shape: [1], type: "f32", numbers: new Float32Array(1) });
  return {
    path: "a.gguf",
    tensors: all,
    tensor: (name: string) => all.get(name),
    readRows: (name: string, first: number, rows: number) => {
      const { shape, numbers } = all.get(name)!;
      const width = shape.at(-1)!;
      return Promise.resolve(numbers.slice(first * width, (first + rows) * width));
    },
  } as unknown as GgufFile;
}

/** Numbers as they are stored. */
function stored(numbers: Float32Array, dtype: ImportedDtype): Uint8Array {
  if (dtype === "float32") return new Uint8Array(numbers.buffer);
  const halves = new Uint16Array(numbers.length);
  (dtype === "bfloat16" ? float32ToBfloat16 : float32ToFloat16)(numbers, halves);
  return new Uint8Array(halves.buffer);
}

Deno.test("importedWeights() gives back each tensor, whole and from any byte on", async () => {
  const families: readonly (readonly [ModelType, Fields])[] = [
    ["llama", { attention_bias: true, num_hidden_layers: 2 }],
    ["qwen3", { tie_word_embeddings: false }],
    ["gemma3_text", {}],
  ];
  for (const [type, change] of families) {
    const config = configOf(type, change);
    const before = counted(config);
    const file = await fileOf(config, { more: ["rope_freqs.weight"] });
    for (const dtype of ["float32", "bfloat16", "float16"] as const) {
      const { source } = importedWeights(file, config, dtype);
      assert.deepEqual(source.names(), before.names());
      const width = dtype === "float32" ? 4 : 2;
      for (const name of source.names()) {
        const { shape } = before.info(name);
        assert.deepEqual(source.info(name), { dtype, shape });
        const expected = stored(await numbersOf(before, name), dtype);
        assert.deepEqual(await readAll(source, name), expected, `${type} ${name} ${dtype}`);
        // From within a row to within another one.
        for (const [from, count] of [[0, 1], [1, 2], [2, 2]]) {
          const into = new Uint8Array(count * width);
          await source.read(name, into, from * width);
          assert.deepEqual(into, expected.slice(from * width, (from + count) * width));
        }
        const half = Math.floor(expected.length / width / 2);
        const rest = new Uint8Array(expected.length - half * width);
        await source.read(name, rest, half * width);
        assert.deepEqual(rest, expected.slice(half * width));
      }
      const info = "model.norm.weight";
      await assert.rejects(source.read(info, new Uint8Array(4 * width), width), /^RangeError: /);
    }
  }
});

Deno.test("importedWeights() counts numbers by their types", async () => {
  const config = configOf("qwen3");
  const file = await fileOf(config, {
    types: {
      "blk.0.attn_q.weight": "q8_0",
      "blk.0.ffn_up.weight": "q4_0",
      "blk.0.attn_v.weight": "q8_0",
    },
  });
  const { types } = importedWeights(file, config, "float32");
  // Embedding 20, norms 4 + 4 + 4 and 6 + 6, keys 24, output 48, gate 12, down 12.
  assert.deepEqual(types, new Map([["f32", 140], ["q8_0", 48 + 24], ["q4_0", 12]]));
});

Deno.test("importedWeights() names all that does not fit, five at most", async () => {
  const config = configOf("qwen3");
  const refuses = async (how: Parameters<typeof fileOf>[1], problems: string): Promise<void> => {
    const file = await fileOf(config, how);
    assert.throws(
      () => importedWeights(file, config, "float32"),
      new RangeError(
        `Cannot import a.gguf: ${problems}; the model is of another kind than its ` +
          "general.architecture says",
      ),
    );
  };
  await refuses({ without: ["output_norm.weight"] }, "it has no output_norm.weight");
  await refuses(
    { shapes: { "blk.0.attn_q.weight": [4, 12] } },
    "blk.0.attn_q.weight is [4, 12], expected [12, 4]",
  );
  await refuses(
    { more: ["blk.1.attn_q.weight", "a"] },
    'qwen3 has no place for "blk.1.attn_q.weight", "a"',
  );
  const four = [
    "token_embd.weight",
    "output_norm.weight",
    "blk.0.ffn_up.weight",
    "blk.0.attn_q.weight",
  ];
  const texts = [
    ...["token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_up.weight", "output_norm.weight"],
  ].map((name) => `it has no ${name}`);
  const place = 'qwen3 has no place for "a"';
  await refuses({ without: four, more: ["a"] }, [...texts, place].join("; "));
  const five = [...four, "blk.0.ffn_down.weight"];
  const shown = [...texts.slice(0, 3), "it has no blk.0.ffn_down.weight", texts[3]].join("; ");
  await refuses({ without: five, more: ["a"] }, `${shown}; and 1 more`);
  // Settings are no weights.
  const settings = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];
  importedWeights(await fileOf(config, { more: settings }), config, "float32");
});

Deno.test("importedWeights() refuses numbers that float16 does not hold, and names of no tensor", async () => {
  const config = configOf("qwen3");
  const file = await fileOf(config);
  const numbers = await file.readRows("output_norm.weight", 0, 1);
  const held = { ...file, readRows: () => Promise.resolve(numbers) } as unknown as GgufFile;
  const { source } = importedWeights(held, config, "float16");
  const into = new Uint8Array(8);
  for (const largest of [65504, -65504, 65519]) {
    numbers[2] = largest;
    await source.read("model.norm.weight", into);
  }
  for (const beyond of [65520, -1e6, Infinity]) {
    numbers[2] = beyond;
    await assert.rejects(
      source.read("model.norm.weight", into),
      new RangeError(
        `Cannot import model.norm.weight as float16: it holds ${beyond}; take bf16 or fp32`,
      ),
    );
  }
  numbers[0] = 1e5;
  await assert.rejects(source.read("model.norm.weight", into), /it holds 100000;/);
  assert.throws(() => source.info("other"), /Cannot find tensor "other".*a\.gguf/s);
});
