/**
 * What an adapter_config.json says against PEFT in float64: loss, logits and greedy tokens of adapters
 * whose layers, ranks and scales are chosen in every way, whole runs of Hugging Face Trainer from three
 * of them, and what becomes of each field of LoraConfig. Fixtures: `tests/fixtures/adapters/make.py`.
 *
 * Measured worst of the runs, relative: loss 3.7e-8, grad_norm 2.5e-6, eval_loss 5.0e-8.
 */

import assert from "node:assert/strict";
import { makeBatches } from "../data/batches/batches.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import type { LabelledGrid } from "../model/engine/batch.ts";
import { loadModel } from "../model/engine/load_model.ts";
import type { ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { BatchGenerator } from "../infer/generate/batch_generator.ts";
import { createGenerator, type Generator } from "../infer/generate/generator.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "../lora/adapter_config.ts";
import { ADAPTER_FIELDS } from "../lora/adapter_fields.ts";
import { type AdaptedModel, loadAdapter } from "../lora/load_adapter.ts";
import { mergeAdapter } from "../lora/merge_adapter.ts";
import { mergedSource } from "../lora/merged_source.ts";
import { openAdapter } from "../lora/open_adapter.ts";
import { fromPeft } from "../lora/peft_source.ts";
import type { ModelConfig } from "../model/config.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { expectedBatch, fixturePath } from "./support/parity_fixture.ts";
import {
  argument,
  fixtureExamples,
  followSeries,
  type Series,
  worstRelativeL2,
} from "./support/series.ts";
import { tempFolder } from "./support/temp_folder.ts";

const LOSS = 1e-5; // measured 3.5e-7
const LOGITS = 1e-4; // measured 1.6e-5
const MERGED = 1e-4; // logits with the adapter merged, against those beside it; measured 1.3e-5
const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 2.1e-7

interface Expected {
  readonly base: string;
  readonly loss: number;
  /** Of each row's last token, [3, vocab]. */
  readonly logits: readonly (readonly number[])[];
}

interface Effect {
  readonly changes: Readonly<Record<string, unknown>>;
  /** The loss with the adapter `plain` and the changes. */
  readonly loss?: number;
  /** Why PEFT refuses them. */
  readonly error?: string;
}

const runtime = new Runtime({ threads: 2 });
const adapters = (path: string) => fixturePath(`../adapters/${path}`);
const report = (...figures: unknown[]): void => {
  if (Deno.env.get("ORTUNE_REPORT")) console.log(...figures);
};

async function readFixture<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(adapters(path))) as T;
}

/** Loss and last logits of the fixtures' batch. */
async function results(
  { config, base, adapted }: {
    readonly config: ModelConfig;
    readonly base: ParameterStore;
    readonly adapted?: Pick<AdaptedModel, "block" | "weights">;
  },
): Promise<{ readonly loss: number; readonly logits: Float32Array }> {
  await using file = await openSafetensors(adapters("batch.safetensors"));
  const batch: LabelledGrid = await expectedBatch(file);
  using engine = new TrainingEngine(runtime, config, base, undefined, {
    adapter: adapted && { block: adapted.block, weights: adapted.weights },
  });
  const { losses } = await engine.evaluate(batch);
  const last = Array.from({ length: batch.rows }, (_, row) => {
    const ids = batch.segmentIds.subarray(row * batch.length, (row + 1) * batch.length);
    return row * batch.length + ids.lastIndexOf(row + 1);
  });
  const logits = (await engine.logits(batch, Int32Array.from(last))).slice();
  return { loss: losses.reduce((sum, each) => sum + each, 0) / losses.length, logits };
}

const VARIANTS = [
  ...[
    "plain",
    "layers",
    "layer",
    "exclude",
    "exclude-list",
    "names",
    "regex",
    "patterns",
    "rslora",
  ],
  "dora",
];

for (const name of VARIANTS) {
  Deno.test(`${name}: loss, logits and greedy tokens are PEFT's, beside the base and merged`, async () => {
    const expected = await readFixture<Expected>(`${name}/expected.json`);
    const { config, weights: base } = await loadModel(runtime, fixturePath(expected.base));
    using _base = base;
    using adapted = await loadAdapter(runtime, adapters(`${name}/adapter`), { config, base });
    const { loss, logits } = await results({ config, base, adapted });
    const wanted = Float32Array.from(expected.logits.flat());
    const error = assertClose(logits, wanted, { absolute: LOGITS, label: "logits" });
    assertClose([loss], [expected.loss], { absolute: LOSS, label: "loss" });

    const { rows } = await readFixture<{ rows: { prompt_ids: number[]; new_ids: number[] }[] }>(
      `${name}/generate.json`,
    );
    const greedy = async (generator: Pick<Generator, "generate">) => {
      for (const { prompt_ids, new_ids } of rows) {
        const ids = await Array.fromAsync(
          generator.generate(prompt_ids, { greedy: true, maxNewTokens: new_ids.length }),
        );
        assert.ok(ids.length >= new_ids.length - 1);
        assert.deepEqual(ids, new_ids.slice(0, ids.length));
      }
    };
    const { weights, linear } = adapted;
    {
      using generator = createGenerator({ runtime, config, weights, linear });
      await greedy(generator);
      // As it is served.
      const slots = [{ weights: base }, { weights, linear }];
      await using batch = new BatchGenerator({ runtime, config, slots, maxRows: 2 });
      await greedy(batch.generator(1));
    }

    // Merged on the way, from the file, and in memory.
    await using folder = await openAdapter(adapters(`${name}/adapter`), config);
    using source = mergedSource(runtime, {
      ...{ config, base, adapter: folder.weights, lora: folder.lora },
    });
    const read: [string, Float32Array][] = [];
    for (const each of base.names()) read.push([each, await readFloat32(source, each)]);
    mergeAdapter(runtime, { config, base, adapted });
    for (const [each, values] of read) {
      assertClose(base.tensor(each).float32(), values, { absolute: 1e-6, label: each });
    }
    const merged = await results({ config, base });
    const mergedError = assertClose(merged.logits, logits, { absolute: MERGED, label: "merged" });
    using generator = createGenerator({ runtime, config, weights: base });
    await greedy(generator);
    report(name, {
      ...{ loss: Math.abs(loss - expected.loss), logits: error.maxAbsolute },
      merged: mergedError.maxAbsolute,
    });
  });
}

for (const name of ["regex", "patterns", "dora"]) {
  const adapter = adapters(`${name}/adapter`);
  const model = fixturePath("qwen3");

  Deno.test(`${name}: a whole run follows Hugging Face Trainer with PEFT, and saves PEFT's tensors`, async () => {
    const series = await readFixture<Series>(`${name}/series.json`);
    const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
    await using trainer = await createLoraTrainer(model, {
      runtime,
      initAdapter: adapter,
      optimizer: { weightDecay: argument(series, "weight_decay") },
      maxGradNorm: argument(series, "max_grad_norm"),
    });
    const errors = await followSeries(trainer, await fixtureExamples(tokenizer, 160), series);
    await using folder = await tempFolder();
    await trainer.save(folder.path);
    await using saved = await openSafetensors(`${folder.path}/${ADAPTER_WEIGHTS}`);
    await using final = await openSafetensors(adapters(`${name}/final_adapter.safetensors`));
    await using initial = await openSafetensors(`${adapter}/${ADAPTER_WEIGHTS}`);
    const shapes = (file: typeof saved) =>
      Object.fromEntries(file.names().toSorted().map((each) => [each, file.info(each).shape]));
    assert.deepEqual(shapes(saved), shapes(initial));
    const worst = await worstRelativeL2(saved, final, FINAL_WEIGHTS);
    report(name, errors, "weights", worst);

    // The settings go along, and what only makes all blocks alike is zero as before.
    const { config } = trainer;
    const [first, then] = await Promise.all([adapter, folder.path].map(async (path) => {
      await using opened = await openAdapter(path, config);
      const { notes: _, targetModules, ...settings } = opened.lora;
      return { ...settings, targetModules: [targetModules].flat().toSorted() };
    }));
    assert.deepEqual(then, first);
    const own = fromPeft(saved);
    const held = new Set(own.names());
    let [numbers, filling] = [0, 0];
    for (const each of trainer.weights.names().filter((name) => /\.lora_[ABm]/.test(name))) {
      const values = await readFloat32(trainer.weights, each);
      const kept = held.has(each) ? await readFloat32(own, each) : new Float32Array();
      numbers += kept.length;
      filling += values.length - kept.length;
      const count = (of: Float32Array) => of.filter((value) => value !== 0).length;
      assert.equal(count(values), count(kept), each);
    }
    assert.equal(trainer.trainableParameters, numbers);
    assert.ok(filling > 0);
  });

  Deno.test(`${name}: a resumed run goes on byte for byte`, async () => {
    const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
    const examples = await fixtureExamples(tokenizer, 160);
    const batches = [...makeBatches(examples, { batchSize: 2, padId: 0, seed: 1, epoch: 0 })];
    await using folder = await tempFolder();
    const [half, whole, resumed] = await Promise.all(
      ["half", "whole", "resumed"].map(async (each) => {
        await Deno.mkdir(`${folder.path}/${each}`);
        return `${folder.path}/${each}`;
      }),
    );
    const options = { runtime, seed: 3, optimizer: { weightDecay: 0.1 } };
    const step = (trainer: Awaited<ReturnType<typeof createLoraTrainer>>) =>
      trainer.trainStep(batches, { learningRate: 3e-3 });
    {
      await using trainer = await createLoraTrainer(model, { ...options, initAdapter: adapter });
      for (let i = 0; i < 2; i++) await step(trainer);
      await trainer.save(half);
      for (let i = 0; i < 2; i++) await step(trainer);
      await trainer.save(whole);
    }
    await using trainer = await createLoraTrainer(model, {
      ...options,
      initAdapter: half,
      deferLoad: true,
    });
    await trainer.resume(half, 2);
    for (let i = 0; i < 2; i++) await step(trainer);
    await trainer.save(resumed);
    for (const file of [ADAPTER_CONFIG, ADAPTER_WEIGHTS, "optimizer.state"]) {
      const [a, b] = await Promise.all(
        [whole, resumed].map((path) => Deno.readFile(`${path}/${file}`)),
      );
      assert.deepEqual(a, b, file);
    }
  });
}

/** Fields that change nothing in the fixture's loss, and nothing here. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  ...["auto_mapping", "peft_version", "base_model_name_or_path", "inference_mode", "megatron_core"],
  ...["loftq_config", "eva_config", "corda_config", "lora_ga_config", "fan_in_fan_out"],
  ...["qalora_group_size", "runtime_config", "ensure_weight_tying", "lora_dropout"],
]);
/** Values of init_lora_weights that do not change the base. */
const PLAIN_INITS: readonly unknown[] = [
  ...[true, false, "gaussian", "Gaussian", "eva", "orthogonal"],
];
/** Fields whose other value needs another file of weights, and the adapter that has both. */
const SHOWN_BY: Readonly<Record<string, string>> = {
  ...{ r: "plain", target_modules: "names", exclude_modules: "exclude", use_dora: "dora" },
  ...{ layers_to_transform: "layers", rank_pattern: "patterns" },
};

Deno.test("no field of PEFT's LoraConfig is passed over: its result is PEFT's, or it is named, or it has no effect", async () => {
  const fields = await readFixture<Record<string, unknown>>("fields.json");
  const effects = await readFixture<Effect[]>("effects.json");
  assert.deepEqual(Object.keys(fields).filter((field) => !ADAPTER_FIELDS.knows(field)), []);
  const tried = new Set(effects.flatMap(({ changes }) => Object.keys(changes)));
  assert.deepEqual(Object.keys(fields).filter((field) => !tried.has(field)), []);

  const { config, weights: base } = await loadModel(runtime, fixturePath("qwen3"));
  using _base = base;
  const [{ loss: plain }] = effects;
  const source = adapters("plain/adapter");
  const json = JSON.parse(await Deno.readTextFile(`${source}/${ADAPTER_CONFIG}`));
  await using folder = await tempFolder();
  await Deno.copyFile(`${source}/${ADAPTER_WEIGHTS}`, `${folder.path}/${ADAPTER_WEIGHTS}`);
  for (const { changes, loss: wanted } of effects) {
    const [field = "nothing"] = Object.keys(changes);
    const label = JSON.stringify(changes);
    await folder.write(ADAPTER_CONFIG, JSON.stringify({ ...json, ...changes }));
    let adapted: AdaptedModel;
    try {
      adapted = await loadAdapter(runtime, folder.path, { config, base });
    } catch (error) {
      const { message } = error as Error;
      if (field === "layers_pattern") {
        // By itself PEFT refuses it too; the adapter `layers` has both.
        assert.match(message, /layers_pattern needs layers_to_transform beside it/);
      } else if (field in SHOWN_BY) {
        assert.match(message, /they do not fit its adapter_config\.json/, label);
        const shown = await readFixture<Record<string, unknown>>(
          `${SHOWN_BY[field]}/adapter/${ADAPTER_CONFIG}`,
        );
        assert.notDeepEqual(shown[field], fields[field], label);
      } else {
        assert.match(message, new RegExp(`adapter_config\\.json: ${field} `), label);
        assert.match(message, /merge|PEFT|use |load |convert/, label);
      }
      continue;
    }
    using _adapted = adapted;
    assert.ok(wanted !== undefined, `PEFT refuses ${label}`);
    const { loss } = await results({ config, base, adapted });
    assertClose([loss], [wanted], { absolute: LOSS, label });
    const named = adapted.notes.some((note) => note.includes(`adapter_config.json: ${field} is`));
    const changed = Math.abs(wanted - plain!) > 100 * LOSS;
    const quiet = WITHOUT_EFFECT.has(field) ||
      field === "init_lora_weights" && PLAIN_INITS.includes(changes[field]);
    assert.ok(
      field === "nothing" || changed || named || quiet,
      `${label} is passed over: ${adapted.notes}`,
    );
    assert.ok(!(changed && quiet), label);
  }
});
