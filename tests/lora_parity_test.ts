/**
 * LoRA and DoRA against PEFT in float64: logits and gradients, whole runs of Hugging Face Trainer
 * from the same initial adapter, greedy tokens with the adapter beside the base and merged into it,
 * and PEFT's files. Fixtures: `tests/fixtures/lora/make.py`.
 *
 * Measured worst of the three adapters, relative: the runs' loss 6.1e-8, grad_norm 1.5e-6, eval_loss
 * 4.9e-8.
 */

import assert from "node:assert/strict";
import { makeBatches } from "../data/batches/batches.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { loadModel } from "../model/engine/load_model.ts";
import { ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import { gradient } from "../ort/graph/gradient.ts";
import { DROPOUT_MASK } from "../model/graphs/block.ts";
import { parseConfig } from "../model/config.ts";
import { FAMILIES } from "../model/families/families.ts";
import { loadAdapter } from "../lora/load_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { mergeAdapter } from "../lora/merge_adapter.ts";
import { fromPeft } from "../lora/peft_source.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readAll, readFloat32 } from "../ort/tensor/tensor_source.ts";
import { createLoraAdapter, loraA, loraB, loraMagnitude, loraNorm } from "../lora/block_adapter.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { dense } from "./support/reference_interpreter.ts";
import type { Dense } from "./support/dense.ts";
import { runGraph } from "./support/run_graph.ts";
import { expectedBatch, fixturePath } from "./support/parity_fixture.ts";
import {
  argument,
  fixtureExamples,
  followSeries,
  type Series,
  worstRelativeL2,
} from "./support/series.ts";

const LOGITS_ABSOLUTE = 1e-4; // measured 1.8e-5
const GRADIENT_RELATIVE = 1e-4; // of the tensor's largest, measured 5.1e-6
const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 4.7e-6

const LAYER = 1e-6; // one layer: of a tensor's largest, of a magnitude; measured 1.6e-7 (a loss: 0)

const runtime = new Runtime({ threads: 2 });
const lora = (path: string) => fixturePath(`../lora/${path}`);

const SERIES = ["qwen3", "llama", "dora"];

for (const name of new Set([...SERIES, ...Object.keys(FAMILIES)])) {
  // Qwen2's block is Llama's with biases.
  if (name === "qwen2") continue;
  const model = fixturePath(name === "dora" ? "qwen3" : name);
  Deno.test(`${name}: logits and gradients with an adapter are PEFT's`, async () => {
    const { config, weights: base } = await loadModel(runtime, model);
    using adapted = await loadAdapter(runtime, lora(`${name}/trained_adapter`), { config, base });
    using gradients = new ParameterStore(runtime, adapted.trained.layout);
    using engine = new TrainingEngine(runtime, config, base, gradients, {
      headChunk: 50,
      adapter: { block: { ...adapted.block, dropout: 0 }, weights: adapted.weights },
    });
    await using expected = await openSafetensors(lora(`${name}/expected.safetensors`));
    const batch = await expectedBatch(expected);
    const real = Int32Array.from(batch.segmentIds.keys()).filter((i) => batch.segmentIds[i] > 0);
    const logits = await engine.logits(batch, real);
    const wanted = await readFloat32(expected, "logits");
    // Of some models every so manieth column is kept.
    const columns = expected.info("logits").shape.at(-1)!;
    const stride = Math.ceil(config.vocabSize / columns);
    const got = Float32Array.from(
      { length: real.length * columns },
      (_, i) => logits[Math.floor(i / columns) * config.vocabSize + i % columns * stride],
    );
    const reference = got.map((_, i) =>
      wanted[real[Math.floor(i / columns)] * columns + i % columns]
    );
    const { maxAbsolute } = assertClose(got, reference, {
      absolute: LOGITS_ABSOLUTE,
      label: "logits",
    });

    const supervised = batch.targets.filter((target) => target >= 0).length;
    gradients.flat.float32().fill(7);
    for (const first of [true, false]) {
      await engine.forwardBackward(batch, { scale: 0.5 / supervised, first });
    }
    let worst = 0;
    for (const parameter of gradients.names()) {
      const reference = await readFloat32(expected, `grad.base_model.model.${parameter}`);
      const { maxAbsolute } = assertClose(gradients.tensor(parameter).float32(), reference, {
        relativeToMax: GRADIENT_RELATIVE,
        label: parameter,
      });
      const largest = reference.reduce((max, each) => Math.max(max, Math.abs(each)), 0);
      worst = Math.max(worst, maxAbsolute / largest);
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, { logits: maxAbsolute, gradient: worst });
    base[Symbol.dispose]();
  });

  if (SERIES.includes(name)) {
    Deno.test(`${name}: a whole LoRA run follows Hugging Face Trainer with PEFT`, async () => {
      const series = JSON.parse(
        await Deno.readTextFile(lora(`${name}/series.json`)),
      ) as Series;
      const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
      const examples = await fixtureExamples(tokenizer, 160);
      await using trainer = await createLoraTrainer(model, {
        runtime,
        initAdapter: lora(`${name}/initial_adapter`),
        optimizer: { weightDecay: argument(series, "weight_decay") },
        maxGradNorm: argument(series, "max_grad_norm"),
      });
      const errors = await followSeries(trainer, examples, series);
      await using file = await openSafetensors(lora(`${name}/final_adapter.safetensors`));
      const worst = await worstRelativeL2(trainer.weights, fromPeft(file), FINAL_WEIGHTS);
      if (Deno.env.get("ORTUNE_REPORT")) console.log(name, errors, "weights", worst);
    });
  }

  Deno.test(`${name}: greedy tokens with the adapter, beside the base and merged, are PEFT's`, async () => {
    const { rows } = JSON.parse(await Deno.readTextFile(lora(`${name}/generate.json`))) as {
      rows: { prompt_ids: number[]; new_ids: number[] }[];
    };
    const { config, weights: base } = await loadModel(runtime, model);
    using adapted = await loadAdapter(runtime, lora(`${name}/trained_adapter`), { config, base });
    const greedy = async (options: Parameters<typeof createGenerator>[0]) => {
      using generator = createGenerator(options);
      for (const { prompt_ids, new_ids } of rows) {
        const ids = await Array.fromAsync(
          generator.generate(prompt_ids, { greedy: true, maxNewTokens: new_ids.length }),
        );
        assert.deepEqual(ids, new_ids.slice(0, ids.length));
        assert.ok(ids.length >= new_ids.length - 1);
      }
    };
    await greedy({ runtime, config, weights: adapted.weights, linear: adapted.linear });
    mergeAdapter(runtime, { config, base, adapted });
    await greedy({ runtime, config, weights: base });
    base[Symbol.dispose]();
  });
}

Deno.test("a DoRA layer with a bias and dropout is PEFT's, in training and in evaluation", async () => {
  const config = parseConfig({
    model_type: "llama",
    hidden_size: 6,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    head_dim: 4,
    vocab_size: 40,
    attention_bias: true,
  });
  const name = "self_attn.q_proj";
  const { wrap } = createLoraAdapter(config, {
    rank: 4,
    alpha: 16,
    dropout: 0.25,
    targetModules: ["q_proj"],
    rslora: true,
    dora: true,
  });
  await using file = await openSafetensors(lora("dora/dropout.safetensors"));
  const expected: Record<string, Dense> = {};
  for (const tensor of file.names()) {
    const { shape } = file.info(tensor);
    const values = tensor === "mask"
      ? await readAll(file, tensor)
      : await readFloat32(file, tensor);
    expected[tensor] = dense(shape, (i) => values[i]);
  }
  const { x, weight, bias, a, b, m, mask, dy } = expected;
  const norm = dense(m.shape, (row) =>
    Math.hypot(...Array.from({ length: 6 }, (_, column) => {
      const change = [0, 1, 2, 3].map((k) => b.data[row * 4 + k] * a.data[k * 6 + column]);
      return weight.data[row * 6 + column] + 8 * change.reduce((sum, each) => sum + each);
    })));
  const addend = dense([5, 8], (i) => i / 10);
  const inputs = {
    x,
    dy,
    addend,
    [`${name}.weight`]: weight,
    [`${name}.bias`]: bias,
    [loraA(name)]: a,
    [loraB(name)]: b,
    [loraMagnitude(name)]: m,
    [loraNorm(name)]: norm,
    [`${name}${DROPOUT_MASK}`]: mask,
  };
  for (const training of [true, false]) {
    for (const residual of [true, false]) {
      const g = new GraphBuilder("layer");
      const declare = (of: string) => g.input(of, "float32", inputs[of].shape);
      const input = declare("x");
      const own = new Map([`${name}.weight`, `${name}.bias`].map((of) => [of, declare(of)]));
      const { linear, weights } = wrap(g, own, { training });
      const y = linear(name, input, residual ? declare("addend") : undefined);
      const wrt = new Map([["x", input], ...weights]);
      const gradients = gradient(g, {
        seeds: new Map([[y, declare("dy")]]),
        wrt: new Map([...wrt.values()].map((value) => [value, undefined])),
      });
      g.output("y", y);
      for (const [of, value] of wrt) g.output(`grad.${of}`, gradients.get(value)!);
      const got = runGraph(runtime, g.build(), inputs);
      const wanted = expected[training ? "y" : "y_eval"].data;
      const sum = wanted.map((each, i) => residual ? each + addend.data[i] : each);
      const close = (actual: Dense, reference: Float64Array, label: string) =>
        assertClose(actual.data, reference, { relativeToMax: LAYER, label });
      close(got.y, sum, "y");
      if (!training) continue;
      const names = { x: "x", a: loraA(name), b: loraB(name), m: loraMagnitude(name) };
      for (const [short, long] of Object.entries(names)) {
        close(got[`grad.${long}`], expected[`grad.${short}`].data, short);
      }
    }
  }
});

Deno.test("a new DoRA adapter has PEFT's magnitudes and changes no logit", async () => {
  await using file = await openSafetensors(lora("dora/initial_adapter/adapter_model.safetensors"));
  const initial = fromPeft(file);
  await using trainer = await createLoraTrainer(fixturePath("qwen3"), {
    runtime,
    lora: { ...DEFAULT_LORA, dora: true },
  });
  const magnitudes = initial.names().filter((name) => name.endsWith(loraMagnitude("")));
  assert.equal(magnitudes.length, 3 * 7);
  for (const name of magnitudes) {
    assertClose(
      await readFloat32(trainer.weights, name),
      await readFloat32(initial, name),
      { relative: LAYER, label: name },
    );
  }
  const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
  const [batch] = makeBatches((await fixtureExamples(tokenizer, 160)).slice(0, 1), {
    batchSize: 1,
    padId: 0,
    seed: 1,
    epoch: 0,
  });
  const { config, weights } = await loadModel(runtime, fixturePath("qwen3"));
  using engine = new TrainingEngine(runtime, config, weights);
  const { losses } = await engine.evaluate(batch);
  assertClose((await trainer.evaluate(batch)).losses, losses, { absolute: LAYER, label: "losses" });
  weights[Symbol.dispose]();
});
