import assert from "node:assert/strict";
import { modelParameters } from "../parameters.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "../../ort/tensor/half.ts";
import { type TensorData, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { openObjects } from "../../tests/support/open_objects.ts";
import { draws } from "../../tests/support/random.ts";
import { emptyStore, tinyConfig } from "../../tests/support/tiny_model.ts";
import { loadWeights } from "./load_weights.ts";
import { RoundingTally } from "./rounding_tally.ts";
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

/** A store of one matrix in float16 [n, 1] and a norm in float32, with what is loaded into it. */
async function loadHalves(dtype: DType, values: ArrayBufferView, n: number) {
  const specs = [
    { name: "w", shape: [n, 1], decays: true },
    { name: "norm.weight", shape: [2], decays: false },
  ];
  const dtypes = new Map([["w", "float16"]] as const);
  using store = new ParameterStore(runtime, layoutParameters(specs), { dtypes });
  const norm = data("float32", [2], Float32Array.of(1e-30, 1e30));
  const source = new Map([["w", data(dtype, [n, 1], values)], ["norm.weight", norm]]);
  const tally = new RoundingTally();
  await loadWeights(runtime, store, tensorSourceFromMap(source), { tally });
  assert.deepEqual([...store.tensor("norm.weight").float32()], [...Float32Array.of(1e-30, 1e30)]);
  assert.equal(store.byteLength, 2 * n + 8);
  const bits = new Uint16Array(store.tensor("w").bytes().slice().buffer);
  return { bits, rounding: tally.result()! };
}

/** Numbers that float16 holds, or that lie between two of them, of every size. */
function withinHalves(): Float32Array<ArrayBuffer> {
  const draw = draws(9);
  const values = Float32Array.from(
    { length: MANY },
    () => draw(1, 2) * 2 ** Math.floor(draw(-45, 15)) * Math.sign(draw()),
  );
  // Ties, the ends of both ranges, and what is nearest to 0 and to the largest.
  const ties = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25, 65504, 65519, 2 ** -14, -0];
  values.set(ties);
  return values;
}

Deno.test("float32 is rounded to float16 to nearest, ties to even, subnormals too, and counted", async () => {
  const values = withinHalves();
  const expected = new Float16Array(values);
  const { bits, rounding } = await loadHalves("float32", values, MANY);
  assert.deepEqual(bits, new Uint16Array(expected.buffer));
  const { changed, zeroed, weights, from, worst } = rounding;
  const different = values.filter((value, i) => value !== expected[i]);
  const gone = values.filter((value, i) => value !== 0 && expected[i] === 0);
  assert.ok(gone.length > 1000);
  assert.deepEqual([changed, zeroed, weights], [different.length, gone.length, MANY]);
  assert.deepEqual([from, worst.name], [["float32"], "w"]);
  const norm = (of: (value: number, i: number) => number): number =>
    Math.sqrt(values.reduce((sum, value, i) => sum + of(value, i) ** 2, 0));
  const error = norm((value, i) => value - expected[i]) / norm((value) => value);
  assert.ok(Math.abs(worst.error / error - 1) < 1e-9);
});

Deno.test("bfloat16 is a float16 exactly from 2^-14 up, and tiny numbers become 0", async () => {
  // Every bfloat16 of a size from 2^-14 to 2^15.
  const normal = Uint16Array.from(
    { length: 30 * 128 * 2 },
    (_, i) => (i >> 1) + (113 << 7) | i << 15,
  );
  const { bits, rounding } = await loadHalves("bfloat16", normal, normal.length);
  const wide = new Float32Array(normal.length);
  bfloat16ToFloat32(normal, wide);
  assert.deepEqual(bits, new Uint16Array(new Float16Array(wide).buffer));
  const { changed, worst, from } = rounding;
  assert.deepEqual([changed, worst.error, from], [0, 0, ["bfloat16"]]);
  // 2^-126 and its negative. (A denormal of float32 too is zero or not as the thread is set.)
  const tiny = await loadHalves("bfloat16", Uint16Array.of(0x0080, 0x8080, 0x3f80), 3);
  assert.deepEqual([...tiny.bits], [0, 0x8000, 0x3c00]);
  assert.deepEqual([tiny.rounding.changed, tiny.rounding.zeroed], [2, 2]);
});

Deno.test("float16 is kept bit by bit", async () => {
  const halves = Uint16Array.from({ length: MANY }, (_, i) => i & 0xfbff);
  const { bits, rounding } = await loadHalves("float16", halves, MANY);
  assert.deepEqual(bits, halves);
  assert.deepEqual([rounding.changed, rounding.weights, rounding.from], [0, MANY, ["float16"]]);
});

Deno.test("a weight beyond float16 is refused by its tensor, place and value, with the way out", async () => {
  for (
    const [dtype, values, value] of [
      ["float32", Float32Array.of(1, 65520), 65520],
      ["float32", Float32Array.of(1, -1e38), Math.fround(-1e38)],
      ["bfloat16", Uint16Array.of(0x3f80, 0x4780), 65536],
    ] as const
  ) {
    const many = new (values.constructor as typeof Float32Array)(MANY);
    many.set(values, 1 << 18);
    await assert.rejects(loadHalves(dtype, many, MANY), {
      name: "RangeError",
      message:
        `Cannot load weights from the checkpoint as float16: element ${(1 << 18) + 1} of "w" is ` +
        `${value}, and float16 ends at 65504; keep the base in float32 with --base-dtype fp32`,
    });
  }
});

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

Deno.test("a piece that cannot be read leaves nothing open but its store", async () => {
  const source = tensorSourceFromMap(tensors());
  const failing: typeof source = {
    ...source,
    read: () => Promise.reject(new Error("cut")),
  };
  const open = openObjects(runtime);
  using store = emptyStore(runtime, config);
  const { tensors: before } = open();
  await assert.rejects(loadWeights(runtime, store, failing), { message: "cut" });
  assert.equal(open().tensors, before);
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
