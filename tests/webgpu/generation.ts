/** Generation on WebGPU: the CPU's tokens, of every family of the fixtures that it takes. */

import assert from "node:assert/strict";
import { Decoder } from "../../infer/generate/decoder.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { loadWeights } from "../../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import {
  type FixtureModel,
  fixturePath,
  loadFixtureModel,
  readFixtureJson,
  withFixtureFile,
} from "../support/parity_fixture.ts";
import { REFUSED_MODELS, runtime } from "../support/webgpu_runtime.ts";

const host = new Runtime({ threads: 2 });

// Times the largest logit. Measured on lavapipe over all models: 3.8e-6.
const LOGITS = 2e-5;

interface GenerateFixture {
  readonly max_new_tokens: number;
  readonly rows: readonly { readonly prompt_ids: number[]; readonly new_ids: number[] }[];
}

async function open(on: Runtime, name: string): Promise<FixtureModel & Disposable> {
  const model = await loadFixtureModel(on, name);
  await model.expected[Symbol.asyncDispose]();
  return { ...model, [Symbol.dispose]: () => model.weights[Symbol.dispose]() };
}

/** Models whose blocks decode as others' do. */
const LIKE_OTHERS = ["mistral", "granite", "granitemoehybrid", "olmo2"];
const models = (await withFixtureFile("generate.json"))
  .filter((name) => ![...LIKE_OTHERS, ...REFUSED_MODELS].includes(name));

for (const name of models) {
  Deno.test(`${name}: greedy tokens on WebGPU are Hugging Face's`, async () => {
    using model = await open(runtime, name);
    const { config, weights } = model;
    const { rows, max_new_tokens: maxNewTokens } = await readFixtureJson<GenerateFixture>(
      `${name}/generate.json`,
    );
    const generation = await readGenerationConfig(fixturePath(name), { config });
    using generator = createGenerator({ runtime, config, weights, generation });
    for (const { prompt_ids, new_ids } of rows) {
      const reply = generator.generate(prompt_ids, { maxNewTokens, greedy: true });
      const ids = await Array.fromAsync(reply);
      const ended = generation.eosTokenIds.includes(new_ids.at(-1)!);
      assert.deepEqual(ids, ended ? new_ids.slice(0, -1) : new_ids);
    }
  });

  Deno.test(`${name}: logits on WebGPU are the CPU's, in chunks too and where the cache grows`, async () => {
    using onDevice = await open(runtime, name);
    using onHost = await open(host, name);
    const { config } = onDevice;
    const length = Math.min(270, config.maxPositions - 2);
    const ids = Array.from({ length }, (_, i) => (i * 37 + 5) % config.vocabSize);
    for (const chunk of [256, 50]) {
      using decoder = new Decoder(runtime, config, onDevice.weights, { chunk });
      using reference = new Decoder(host, config, onHost.weights, { chunk });
      for (const step of [ids.slice(0, 40), ids.slice(40), [3], [4]]) {
        const wanted = (await reference.prefill(step)).slice();
        const got = await decoder.prefill(step);
        const label = `${name}, chunk ${chunk}, position ${decoder.position}`;
        const { maxAbsolute } = assertClose(got, wanted, { label, relativeToMax: LOGITS });
        const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        if (Deno.env.get("ORTUNE_REPORT")) {
          console.log(`${label}: ${(maxAbsolute / largest).toExponential(1)}`);
        }
      }
    }
  });
}

for (const name of ["qwen3", "llama", "dora"]) {
  Deno.test(`${name}: greedy tokens with an adapter on WebGPU are PEFT's`, async () => {
    const folder = `../lora/${name}`;
    const { rows } = await readFixtureJson<GenerateFixture>(`${folder}/generate.json`);
    using model = await open(runtime, name === "dora" ? "qwen3" : name);
    const { config, weights: base } = model;
    const path = fixturePath(`${folder}/trained_adapter`);
    using adapted = await loadAdapter(runtime, path, { config, base });
    const { weights, linear } = adapted;
    using generator = createGenerator({ runtime, config, weights, linear });
    for (const { prompt_ids, new_ids } of rows) {
      const options = { greedy: true, maxNewTokens: new_ids.length };
      const ids = await Array.fromAsync(generator.generate(prompt_ids, options));
      assert.deepEqual(ids, new_ids.slice(0, ids.length));
      assert.ok(ids.length >= new_ids.length - 1);
    }
  });
}

Deno.test("weights of any type of a file become float32 on WebGPU, of any length", async () => {
  const layout = layoutParameters([
    { name: "a", shape: [3], decays: false },
    { name: "b", shape: [2, 2], decays: true },
    { name: "c", shape: [1], decays: false },
  ]);
  using store = new ParameterStore(runtime, layout);
  const of = (array: Uint16Array | Float32Array): Uint8Array<ArrayBuffer> =>
    new Uint8Array(array.buffer as ArrayBuffer);
  const source = tensorSourceFromMap(
    new Map([
      ["a", { dtype: "bfloat16", shape: [3], data: of(Uint16Array.of(0x3f80, 0xc000, 0x4040)) }],
      ["b", { dtype: "float32", shape: [2, 2], data: of(Float32Array.of(1, 2, 3, 4)) }],
      ["c", { dtype: "float16", shape: [1], data: of(Uint16Array.of(0x3c00)) }],
    ]),
  );
  await loadWeights(runtime, store, source);
  const values = ["a", "b", "c"].map((name) => [...store.tensor(name).hostFloat32()]);
  assert.deepEqual(values, [[1, -2, 3], [1, 2, 3, 4], [1]]);
  assert.throws(() => store.flat, {
    name: "RangeError",
    message: "Cannot take parameters on webgpu as one tensor: each is a buffer of its own",
  });
});
