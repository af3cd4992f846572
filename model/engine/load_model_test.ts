import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { readFloat32 } from "../../ort/tensor/tensor_source.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import {
  familyConfig,
  randomWeights,
  tinyConfig,
  tinyModelFolder,
} from "../../tests/support/tiny_model.ts";
import { openObjects } from "../../tests/support/open_objects.ts";
import { numbersOf } from "../../tests/support/numbers.ts";
import { BASE_STORAGES } from "../base_storage.ts";
import type { Quantization } from "../quantization.ts";
import { roundedSource } from "../weights/rounded_source.ts";
import { loadModel } from "./load_model.ts";

const runtime = new Runtime({ threads: 2 });
const CONFIG = tinyConfig({ num_hidden_layers: 1 });
const folder = await tinyModelFolder(runtime, CONFIG);
globalThis.addEventListener("unload", () => rmSync(folder.path, { recursive: true }));

const NORM = /norm\.weight$/;
/** Weights of all matrices: the embedding's, a block's four of attention and three of its MLP. */
const MATRICES = 64 * 16 + 2 * (16 * 32 + 16 * 16) + 3 * 16 * 24;

Deno.test("a model is loaded in the device's precision, with its config", async () => {
  using expected = randomWeights(runtime, CONFIG);
  const { config, weights, rounding } = await loadModel(runtime, folder.path);
  using _weights = weights;
  assert.deepEqual([config.hiddenSize, config.raw, rounding], [16, CONFIG.raw, undefined]);
  assert.deepEqual(weights.names(), expected.names());
  for (const name of expected.names()) {
    assert.deepEqual(weights.tensor(name).float32(), expected.tensor(name).float32(), name);
  }
});

Deno.test("a model is loaded in another precision, or its matrices alone in another type", async () => {
  const typesOf = async (options: Parameters<typeof loadModel>[2]) => {
    const { weights, rounding } = await loadModel(runtime, folder.path, options);
    using _weights = weights;
    const types = (norm: boolean): string[] => [
      ...new Set(
        weights.names().filter((name) => NORM.test(name) === norm)
          .map((name) => weights.tensor(name).dtype),
      ),
    ];
    return { norms: types(true), matrices: types(false), rounding };
  };
  assert.deepEqual(await typesOf({ precision: "bfloat16" }), {
    ...{ norms: ["bfloat16"], matrices: ["bfloat16"], rounding: undefined },
  });
  const { rounding: half, ...types } = await typesOf({ storage: BASE_STORAGES.fp16 });
  assert.deepEqual(types, { norms: ["float32"], matrices: ["float16"] });
  assert.deepEqual([half!.from, half!.weights], [["float32"], MATRICES]);
  assert.ok(half!.changed > MATRICES / 2 && half!.worst.error < 2 ** -11);
  const { rounding: whole, ...stored } = await typesOf({ storage: BASE_STORAGES.int8 });
  // The embedding's numbers and scales; all else lies in products.
  assert.deepEqual(stored, { norms: ["float32"], matrices: ["int8", "float32"] });
  assert.deepEqual([whole!.from, whole!.weights], [["float32"], MATRICES]);
  assert.ok(whole!.changed > MATRICES / 2 && whole!.worst.error < 2 ** -6);
});

Deno.test("a model's matrices are loaded as a base in fewer bits has them", async () => {
  const rounded: Quantization = { bits: 4, block: 32, compute: "fp32" };
  await using file = await openSafetensors(`${folder.path}/model.safetensors`);
  const expected = roundedSource(file, CONFIG, rounded);
  const { weights, rounding } = await loadModel(runtime, folder.path, { rounded });
  using _weights = weights;
  assert.equal(rounding, undefined);
  for (const name of weights.names()) {
    assert.deepEqual(numbersOf(weights.tensor(name)), await readFloat32(expected, name), name);
    const same = (await readFloat32(file, name)).every((each, i) =>
      each === numbersOf(weights.tensor(name))[i]
    );
    assert.equal(same, NORM.test(name), name);
  }
});

Deno.test("a load that is stopped or fails says why, in either storage", async () => {
  using own = new Runtime({ threads: 1 });
  const open = openObjects(own);
  for (const storage of [BASE_STORAGES.fp32, BASE_STORAGES.int8]) {
    const reason = new Error("stopped");
    await assert.rejects(
      loadModel(own, folder.path, { storage, signal: AbortSignal.abort(reason) }),
      (error: unknown) => error === reason,
    );
    await using broken = await tinyModelFolder(runtime, CONFIG);
    const path = `${broken.path}/model.safetensors`;
    const bytes = await readFile(path);
    bytes.writeFloatLE(NaN, bytes.length - 4);
    await writeFile(path, bytes);
    await assert.rejects(
      loadModel(own, broken.path, { storage }),
      ({ name, message }: Error) =>
        name === "RangeError" && message.startsWith(`Cannot load weights from ${broken.path}: `) &&
        message.includes("NaN or infinity"),
    );
    assert.deepEqual(open(), { sessions: 0, bindings: 0, tensors: 0 });
  }
});

Deno.test("a model is not loaded for a device that cannot run it", async () => {
  await using linear = await tinyModelFolder(
    runtime,
    familyConfig("qwen3_5_text", { num_key_value_heads: 2 }),
  );
  const gpu = { device: { kind: "webgpu" } } as unknown as Runtime;
  await assert.rejects(loadModel(gpu, linear.path), {
    name: "RangeError",
    message: "Cannot run qwen3_5_text on webgpu: ONNX Runtime has no kernel there for Scan, by " +
      "which layers of linear_attention go from token to token; pass --device cpu",
  });
});
