import assert from "node:assert/strict";
import { modelParameters } from "../parameters.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "../../ort/tensor/half.ts";
import { type TensorData, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { draws } from "../../tests/support/random.ts";
import { emptyStore, tinyConfig } from "../../tests/support/tiny_model.ts";
import { loadWeights } from "./load_weights.ts";
import { layoutParameters, ParameterStore } from "./parameter_store.ts";

const runtime = new Runtime({ threads: 2 });
const config = tinyConfig();

function data(dtype: DType, shape: readonly number[], values: ArrayBufferView): TensorData {
  return {
    dtype,
    shape,
    data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  };
}

/** All tensors of the tiny model in float32. */
function tensors(): Map<string, TensorData> {
  const draw = draws(4);
  return new Map(
    modelParameters(config).map(({ name, shape }) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return [name, data("float32", shape, Float32Array.from({ length }, () => draw()))];
    }),
  );
}

/** A store of one tensor [n], with what is loaded into it. */
async function load(dtype: DType, values: ArrayBufferView, n: number): Promise<Uint32Array> {
  const layout = layoutParameters([{ name: "w", shape: [n], decays: true }]);
  using store = new ParameterStore(runtime, layout);
  store.flat.float32().fill(7);
  const source = tensorSourceFromMap(new Map([["w", data(dtype, [n], values)]]));
  await loadWeights(runtime, store, source);
  return new Uint32Array(store.tensor("w").bytes().slice().buffer);
}

// More than one chunk of 2^18 elements, and not a multiple of it.
const MANY = (1 << 18) * 2 + 5;

Deno.test("float32 weights are loaded bit by bit, chunk after chunk", async () => {
  // Without the lowest bit of the exponent none is NaN or infinite.
  const bits = Uint32Array.from(
    { length: MANY },
    (_, i) => Math.imul(i, 0x9e3779b1) & ~0x00800000,
  );
  assert.deepEqual(await load("float32", bits, MANY), bits);
});

for (
  const [dtype, widen, exponent] of [
    ["bfloat16", bfloat16ToFloat32, 0x7f80],
    ["float16", float16ToFloat32, 0x7c00],
  ] as const
) {
  Deno.test(`every finite ${dtype} is widened exactly, denormals included`, async () => {
    // Every pattern in the first chunk, and no chunk like another.
    const halves = Uint16Array.from({ length: MANY }, (_, i) => (i + (i >>> 18) * 77) & 0xffff)
      .map((bits) => (bits & exponent) === exponent ? bits & ~exponent : bits);
    const expected = new Float32Array(MANY);
    widen(halves, expected);
    assert.deepEqual(await load(dtype, halves, MANY), new Uint32Array(expected.buffer));
  });
}

for (
  const [dtype, bits, values] of [
    ["float32", 0xff800000, Uint32Array],
    ["float32", 0x7f800001, Uint32Array],
    ["bfloat16", 0x7fc0, Uint16Array],
    ["bfloat16", 0xff80, Uint16Array],
    ["float16", 0x7c00, Uint16Array],
    ["float16", 0xfe00, Uint16Array],
  ] as const
) {
  Deno.test(`a weight 0x${bits.toString(16)} in ${dtype} is refused by its tensor and place`, async () => {
    for (const at of [0, 1, (1 << 18) - 1, 1 << 18, MANY - 1]) {
      const numbers = new values(MANY);
      numbers[at] = bits;
      await assert.rejects(load(dtype, numbers, MANY), {
        name: "RangeError",
        message:
          `Cannot load weights from the checkpoint: "w" holds NaN or infinity (element ${at}` +
          "); the file is damaged, or was written by a run that diverged: download it again, or " +
          "take an earlier checkpoint",
      });
    }
  });
}

Deno.test("the largest finite weights are no infinities", async () => {
  const bits = Uint32Array.of(0x7f7fffff, 0xff7fffff, 1);
  assert.deepEqual(await load("float32", bits, 3), bits);
});

Deno.test("all of a model's tensors land under their names, and progress is told", async () => {
  using store = emptyStore(runtime, config);
  const source = tensors();
  const progress: number[] = [];
  await loadWeights(runtime, store, tensorSourceFromMap(source), {
    onProgress: (bytes) => progress.push(bytes),
  });
  for (const [name, { data }] of source) assert.deepEqual(store.tensor(name).bytes(), data, name);
  const bytes = [...source.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  assert.equal(progress.at(-1), bytes);
  assert.deepEqual(progress, progress.toSorted((a, b) => a - b));
});

Deno.test("missing, unknown, misshapen and integer tensors are reported together", async () => {
  using store = emptyStore(runtime, config);
  const source = tensors();
  source.delete("model.norm.weight");
  source.set("model.layers.9.mlp.up_proj.weight", data("float32", [1], new Float32Array(1)));
  const k = "model.layers.0.self_attn.k_proj.weight";
  source.set(k, data("float32", [2, 16], new Float32Array(32)));
  const norm = "model.layers.1.input_layernorm.weight";
  source.set(norm, data("int32", [16], new Int32Array(16)));
  await assert.rejects(
    loadWeights(runtime, store, tensorSourceFromMap(source), { from: "m/model.safetensors" }),
    {
      name: "Error",
      message: "Cannot load weights from m/model.safetensors: they do not fit its config.json\n" +
        '  missing: "model.norm.weight"\n' +
        '  not part of the model: "model.layers.9.mlp.up_proj.weight"\n' +
        `  ${k} has shape [2,16], config.json says [16,16]\n` +
        `  ${norm} is int32: expected float32, bfloat16 or float16\n` +
        "Take both from the same model",
    },
  );
});

Deno.test("a tied model's lm_head and old rotary tables are accepted and left out", async () => {
  using store = emptyStore(runtime, config);
  const source = tensors();
  source.set("lm_head.weight", source.get("model.embed_tokens.weight")!);
  const table = "model.layers.0.self_attn.rotary_emb.inv_freq";
  source.set(table, data("float32", [4], new Float32Array(4)));
  await loadWeights(runtime, store, tensorSourceFromMap(source));
  assert.ok(!store.names().includes("lm_head.weight"));
});

Deno.test("a tied model's lm_head that is not its embedding is refused", async () => {
  using store = emptyStore(runtime, config);
  const source = tensors();
  const embedding = source.get("model.embed_tokens.weight")!;
  const other = embedding.data.slice();
  other[16 * 4 * 7 + 3] ^= 1;
  source.set("lm_head.weight", { ...embedding, data: other });
  await assert.rejects(
    loadWeights(runtime, store, tensorSourceFromMap(source), { from: "m" }),
    /^RangeError: Cannot load weights from m: tie_word_embeddings is true in config.json, but "lm_head.weight" is not "model.embed_tokens.weight" \(they differ from row 7 on\), .* Set tie_word_embeddings to false/,
  );
  const halves = new Uint16Array(1024);
  source.set("lm_head.weight", data("bfloat16", [64, 16], halves));
  await assert.rejects(
    loadWeights(runtime, store, tensorSourceFromMap(source)),
    /they differ from row 0 on/,
  );
});

Deno.test("a model that is not tied must bring its lm_head", async () => {
  using store = emptyStore(runtime, tinyConfig({ tie_word_embeddings: false }));
  await assert.rejects(
    loadWeights(runtime, store, tensorSourceFromMap(tensors())),
    /Cannot load weights from the checkpoint: .*\n {2}missing: "lm_head.weight"\nTake both from the same model, or, where .* set tie_word_embeddings to true/,
  );
});

Deno.test("loading stops with the signal's reason", async () => {
  using store = emptyStore(runtime, config);
  const reason = new Error("enough");
  const controller = new AbortController();
  const loaded: number[] = [];
  await assert.rejects(
    loadWeights(runtime, store, tensorSourceFromMap(tensors()), {
      signal: controller.signal,
      onProgress: (bytes) => {
        loaded.push(bytes);
        if (loaded.length === 3) controller.abort(reason);
      },
    }),
    (error: unknown) => error === reason,
  );
  assert.equal(loaded.length, 3);
});
