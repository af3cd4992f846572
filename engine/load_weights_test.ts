import assert from "node:assert/strict";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime.ts";
import type { DType } from "../tensor/dtype.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "../tensor/half.ts";
import { type TensorData, tensorSourceFromMap } from "../tensor/tensor_source.ts";
import { draws } from "../tests/support/random.ts";
import { emptyStore, tinyConfig } from "../tests/support/tiny_model.ts";
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
  const bits = Uint32Array.from({ length: MANY }, (_, i) => Math.imul(i, 0x9e3779b1));
  assert.deepEqual(await load("float32", bits, MANY), bits);
});

for (
  const [dtype, widen] of [["bfloat16", bfloat16ToFloat32], ["float16", float16ToFloat32]] as const
) {
  Deno.test(`every ${dtype} is widened exactly, denormals included`, async () => {
    // Every pattern in the first chunk, and no chunk like another.
    const halves = Uint16Array.from({ length: MANY }, (_, i) => (i + (i >>> 18) * 77) & 0xffff);
    const expected = new Float32Array(MANY);
    widen(halves, expected);
    const wanted = new Uint32Array(expected.buffer);
    const got = await load(dtype, halves, MANY);
    const isNan = (bits: number): boolean => (bits & 0x7fffffff) > 0x7f800000;
    const wrong = got.findIndex((bits, i) =>
      bits !== wanted[i] && !(isNan(bits) && isNan(wanted[i]))
    );
    assert.equal(wrong, -1, `${dtype} ${halves[wrong]?.toString(16)}: ${got[wrong]?.toString(16)}`);
  });
}

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
  source.set("lm_head.weight", data("float32", [64, 16], new Float32Array(1024)));
  const table = "model.layers.0.self_attn.rotary_emb.inv_freq";
  source.set(table, data("float32", [4], new Float32Array(4)));
  await loadWeights(runtime, store, tensorSourceFromMap(source));
  assert.ok(!store.names().includes("lm_head.weight"));
});

Deno.test("a model that is not tied must bring its lm_head", async () => {
  using store = emptyStore(runtime, tinyConfig({ tie_word_embeddings: false }));
  await assert.rejects(
    loadWeights(runtime, store, tensorSourceFromMap(tensors())),
    /Cannot load weights from the checkpoint: .*\n {2}missing: "lm_head.weight"\nTake both/,
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
