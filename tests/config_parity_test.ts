/** Rotary embeddings of every type that config.json can ask for, against transformers 5.24.0. */

import assert from "node:assert/strict";
import { sequenceGrid } from "../model/engine/batch.ts";
import { loadWeights } from "../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { ExportedDecoder } from "../infer/export/exported_decoder.ts";
import { exportModel } from "../infer/export/export_model.ts";
import { BatchGenerator } from "../infer/generate/batch_generator.ts";
import { Decoder } from "../infer/generate/decoder.ts";
import { type ModelConfig, parseConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { configFixturePath, readConfigFixture } from "./support/config_fixture.ts";
import { tempFolder } from "./support/temp_folder.ts";

// Measured worst over the 35 cases: losses 1.6e-6
// and logits 1.3e-5 absolute, gradients 3.2e-6 of the largest.
const LOSS_ABSOLUTE = 5e-6;
const LOGITS_ABSOLUTE = 1e-4;
const GRADIENT_RELATIVE = 1e-4;

interface Case {
  readonly family: "qwen3" | "llama";
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inv_freq: readonly number[];
  readonly attention_factor: number;
  readonly loss: Readonly<Record<"short" | "long", number>>;
  readonly greedy: readonly number[];
}

interface Fixture {
  readonly kept: readonly number[];
  readonly prompt: number;
  readonly ids: Readonly<Record<"short" | "long", readonly number[]>>;
  readonly cases: readonly Case[];
}

const fixture = await readConfigFixture<Fixture>("ropes.json");
const runtime = new Runtime({ threads: 2 });

async function load({ family }: Case, config: ModelConfig): Promise<ParameterStore> {
  const weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
  await using file = await openSafetensors(configFixturePath(`${family}.safetensors`));
  await loadWeights(runtime, weights, file);
  return weights;
}

function argmax(values: Float32Array): number {
  return values.reduce((best, each, i) => each > values[best] ? i : best, 0);
}

for (const each of fixture.cases) {
  const title = `${each.family} ${each.name}`;
  Deno.test(`${title}: losses, logits and gradients are those of transformers`, async () => {
    const config = parseConfig(each.config);
    using weights = await load(each, config);
    using gradients = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
    using engine = new TrainingEngine(runtime, config, weights, gradients);
    await using expected = await openSafetensors(configFixturePath("expected.safetensors"));
    const report: Record<string, number> = {};
    for (const length of ["short", "long"] as const) {
      const ids = fixture.ids[length];
      const { losses } = await engine.evaluate(sequenceGrid(ids));
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / (ids.length - 1);
      const { maxAbsolute } = assertClose([mean], [each.loss[length]], {
        absolute: LOSS_ABSOLUTE,
        label: `${length} loss`,
      });
      report[length] = maxAbsolute;
    }
    const logits = await engine.logits(
      sequenceGrid(fixture.ids.long),
      Int32Array.from(fixture.kept),
    );
    const wanted = await readFloat32(expected, `${each.family}.${each.name}.logits`);
    report.logits = assertClose([...logits.subarray(0, wanted.length)], [...wanted], {
      absolute: LOGITS_ABSOLUTE,
      label: "logits",
    }).maxAbsolute;

    const prefix = `${each.family}.${each.name}.grad.`;
    if (expected.names().some((name) => name.startsWith(prefix))) {
      report.gradient = 0;
      // What a device runs has its own way to the embedding's gradient.
      for (const graphsOnly of [false, true]) {
        using engine = new TrainingEngine(runtime, config, weights, gradients, { graphsOnly });
        const scale = 1 / (fixture.ids.long.length - 1);
        await engine.forwardBackward(sequenceGrid(fixture.ids.long), { scale, first: true });
        for (const name of gradients.names()) {
          const reference = await readFloat32(expected, prefix + name);
          const { maxAbsolute } = assertClose(gradients.tensor(name).float32(), reference, {
            relativeToMax: GRADIENT_RELATIVE,
            label: `${name}, ${graphsOnly ? "in graphs" : "on the host"}`,
          });
          const largest = reference.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          report.gradient = Math.max(report.gradient, maxAbsolute / largest);
        }
      }
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log(title, report);
  });

  Deno.test(`${title}: greedy tokens with a cache are those of transformers`, async () => {
    const config = parseConfig(each.config);
    using weights = await load(each, config);
    using decoder = new Decoder(runtime, config, weights);
    let logits = await decoder.prefill(fixture.ids.long.slice(0, fixture.prompt));
    const tokens: number[] = [];
    while (tokens.length < each.greedy.length) {
      tokens.push(argmax(logits));
      logits = await decoder.decode(tokens.at(-1)!);
    }
    assert.deepEqual(tokens, each.greedy);
  });
}

for (
  const each of fixture.cases.filter(({ name }) => /^(linear|dynamic|yarn_mscale)$/.test(name))
) {
  const title = `${each.family} ${each.name}`;
  Deno.test(`${title}: a reply in a batch is the same`, async () => {
    const config = parseConfig(each.config);
    using weights = await load(each, config);
    await using batch = new BatchGenerator({ runtime, config, slots: [{ weights }] });
    const prompt = fixture.ids.long.slice(0, fixture.prompt);
    const options = { maxNewTokens: each.greedy.length, greedy: true };
    const [reply] = await Promise.all(
      [prompt, prompt.slice(3)].map((ids) =>
        Array.fromAsync(batch.generator().generate(ids, options))
      ),
    );
    const end = each.greedy.indexOf(each.config.eos_token_id as number);
    assert.deepEqual(reply, end < 0 ? each.greedy : each.greedy.slice(0, end));
  });

  Deno.test(`${title}: an export has the same logits and tokens`, async () => {
    const config = parseConfig(each.config);
    using weights = await load(each, config);
    await using folder = await tempFolder();
    await Deno.mkdir(`${folder.path}/onnx`);
    await exportModel(folder.path, { config, weights, dtype: "fp32" });
    using decoder = new ExportedDecoder(runtime, folder.path, { config, dtype: "fp32" });
    await using expected = await openSafetensors(configFixturePath("expected.safetensors"));
    const wanted = await readFloat32(expected, `${each.family}.${each.name}.logits`);
    const last = await decoder.prefill(fixture.ids.long);
    assertClose([...last], [...wanted.slice(-config.vocabSize)], {
      absolute: LOGITS_ABSOLUTE,
      label: "logits after 60 tokens",
    });
    decoder.reset();
    let logits = await decoder.prefill(fixture.ids.long.slice(0, fixture.prompt));
    for (const token of each.greedy) {
      assert.equal(argmax(logits), token);
      logits = await decoder.decode(token);
    }
  });
}

Deno.test("transformers 4.57.6 has the same losses, but where it reads a file otherwise", async () => {
  const { ropes } = await readConfigFixture<
    { readonly ropes: Readonly<Record<string, Case["loss"] | null>> }
  >("older.json");
  const differing = fixture.cases.filter(({ family, name, loss }) => {
    const older = ropes[`${family}.${name}`];
    return !older || Math.abs(older.short - loss.short) + Math.abs(older.long - loss.long) > 1e-5;
  }).map(({ family, name }) => `${family}.${name}`);
  const parameters = ["yarn_null_factor", "yarn_parameters", "llama3_parameters"];
  const other = ["yarn_top_original", "llama3_no_original", ...parameters];
  assert.deepEqual(
    differing.toSorted(),
    ["qwen3", "llama"].flatMap((family) => other.map((name) => `${family}.${name}`)).toSorted(),
  );
});

Deno.test("a sequence beyond max_position_embeddings is refused where it would change the frequencies", async () => {
  const dynamic = fixture.cases.find(({ name }) => name === "dynamic")!;
  const config = parseConfig(dynamic.config);
  using weights = await load(dynamic, config);
  using gradients = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
  using engine = new TrainingEngine(runtime, config, weights, gradients);
  const ids = Array.from({ length: 65 }, (_, i) => i + 1);
  await assert.rejects(engine.evaluate(sequenceGrid(ids)), {
    name: "RangeError",
    message: "Cannot run position 64: max_position_embeddings is 64, and rotary embeddings of " +
      "type dynamic are computed up to there only; shorten the sequence",
  });
  await engine.evaluate(sequenceGrid(ids.slice(1)));
});
