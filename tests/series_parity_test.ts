/**
 * Whole runs against Hugging Face Trainer in float64: loss, grad_norm, learning rate and eval_loss
 * of every update, and the final weights. From records and tokenizer files on, so tokenization,
 * masks, order, accumulation, clipping, schedule and optimizer are all in it.
 */

import assert from "node:assert/strict";
import { type Example, IGNORED } from "../data/example.ts";
import { readExamples } from "../data/read_examples.ts";
import { loadTokenizer, type Tokenizer } from "../data/tokenizer.ts";
import { writeSafetensors } from "../tensor/safetensors_writer.ts";
import { openSafetensors } from "../tensor/safetensors_file.ts";
import { readAll, readFloat32, tensorSourceFromMap } from "../tensor/tensor_source.ts";
import { Runtime } from "../ort/runtime.ts";
import { train } from "../train/loop.ts";
import { schedules } from "../train/schedule.ts";
import { createFullTrainer } from "../train/full_trainer.ts";
import { assertClose } from "../tensor/assert_close.ts";
import { fixturePath, readFixtureJson, recipeTensors } from "./support/parity_fixture.ts";
import { qwen3Tokenizer } from "./support/qwen3_tokenizer.ts";

// Relative; the limits of the comparison, with the worst seen over the four runs.
const LOSS = 1e-4; // measured 9.7e-7
const GRAD_NORM = 1e-4; // measured 1.9e-5
const LEARNING_RATE = 1e-12;
const FINAL_WEIGHTS = 1e-4; // L2 a tensor, measured 3.8e-6

const SYSTEM = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";

interface TokenRow {
  readonly input_ids: readonly number[];
  readonly labels: readonly number[];
}

interface Series {
  readonly args: Readonly<Record<string, number | string>>;
  readonly steps: readonly {
    readonly step: number;
    readonly epoch: number;
    readonly loss: number;
    readonly grad_norm: number;
    readonly learning_rate: number;
  }[];
  readonly evals: readonly { readonly step: number; readonly eval_loss: number }[];
}

async function encode(tokenizer: Tokenizer, maxLength: number): Promise<Example[]> {
  const path = fixturePath("records.jsonl");
  return (await readExamples(path, { tokenizer, maxLength, system: SYSTEM })).examples;
}

const cases = [
  {
    tokens: "tokens.json",
    maxLength: 160,
    tokenizer: () => loadTokenizer(fixturePath("tokenizer")),
  },
  { tokens: "qwen3-vocab/tokens.json", maxLength: 64, tokenizer: qwen3Tokenizer },
];

for (const { tokens, maxLength, tokenizer } of cases) {
  Deno.test(`${tokens}: ids and labels are those of transformers, row for row`, async () => {
    const expected = await readFixtureJson<TokenRow[]>(tokens);
    const examples = await encode(await tokenizer(), maxLength);
    assert.equal(examples.length, expected.length);
    examples.forEach(({ inputIds, labels }, row) => {
      assert.deepEqual([...inputIds], expected[row].input_ids, `row ${row}`);
      assert.deepEqual([...labels], expected[row].labels, `row ${row}`);
    });
  });
}

const runtime = new Runtime({ threads: 2 });

for (const name of ["qwen3", "qwen2", "llama", "qwen3-vocab"]) {
  Deno.test(`${name}: a whole run follows Hugging Face Trainer`, async () => {
    const series = await readFixtureJson<Series>(`${name}/series.json`);
    const { args } = series;
    const number = (key: string) => Number(args[key] ?? 0);
    const real = name === "qwen3-vocab";
    const examples = real
      ? await encode(await qwen3Tokenizer(), 64)
      : await encode(await loadTokenizer(fixturePath("tokenizer")), 160);

    const folder = await Deno.makeTempDir();
    if (real) {
      await Deno.copyFile(fixturePath(`${name}/config.json`), `${folder}/config.json`);
      const weights = tensorSourceFromMap(await recipeTensors(name));
      await writeSafetensors(`${folder}/model.safetensors`, weights);
    }
    await using trainer = await createFullTrainer(real ? folder : fixturePath(name), {
      runtime,
      optimizer: { weightDecay: number("weight_decay") },
      maxGradNorm: number("max_grad_norm"),
    });
    const steps: Series["steps"][number][] = [];
    const evals: Series["evals"][number][] = [];
    for await (
      const event of train(trainer, {
        examples,
        evalExamples: examples.slice(-3),
        padId: 0,
        schedule: (totalSteps) =>
          schedules[args.lr_scheduler_type]({
            peak: number("learning_rate"),
            totalSteps,
            warmupSteps: number("warmup_steps"),
          }),
        batchSize: number("per_device_train_batch_size"),
        evalBatchSize: 1,
        accumulationSteps: number("gradient_accumulation_steps"),
        maxSteps: number("max_steps"),
        evalSteps: number("eval_steps"),
        seed: number("seed"),
        loggingSteps: 1,
      })
    ) {
      if (event.type === "log") {
        const { step, epoch, loss, gradNorm: grad_norm, learningRate: learning_rate } = event;
        steps.push({ step, epoch, loss, grad_norm, learning_rate });
      } else if (event.type === "evaluate") {
        evals.push({ step: event.step, eval_loss: event.evalLoss });
      }
    }
    assert.deepEqual(steps.map(({ step }) => step), series.steps.map(({ step }) => step));
    const compare = (key: "epoch" | "loss" | "grad_norm" | "learning_rate", relative: number) =>
      assertClose(steps.map((row) => row[key]), series.steps.map((row) => row[key]), {
        relative,
        label: key,
      });
    compare("epoch", 1e-12);
    const report = {
      loss: compare("loss", LOSS).maxRelative,
      gradNorm: compare("grad_norm", GRAD_NORM).maxRelative,
      learningRate: compare("learning_rate", LEARNING_RATE).maxRelative,
      evalLoss: assertClose(
        evals.map((row) => row.eval_loss),
        series.evals.map((row) => row.eval_loss),
        { relative: LOSS, label: "eval_loss" },
      ).maxRelative,
      weights: 0,
    };
    await using final = await openSafetensors(fixturePath(`${name}/final.safetensors`));
    for (const parameter of trainer.weights.names()) {
      const width = trainer.config.hiddenSize;
      let got = await readFloat32(trainer.weights, parameter);
      const wanted = await readFloat32(final, parameter);
      if (wanted.length !== got.length) {
        const rows = new BigInt64Array((await readAll(final, "final_rows")).buffer);
        const all = got;
        got = Float32Array.from(
          wanted,
          (_, i) => all[Number(rows[Math.floor(i / width)]) * width + i % width],
        );
      }
      const error = Math.hypot(...got.map((value, i) => value - wanted[i])) /
        Math.hypot(...wanted);
      assert.ok(error <= FINAL_WEIGHTS, `${parameter}: relative L2 ${error}`);
      report.weights = Math.max(report.weights, error);
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, report);
    assert.equal(IGNORED, -100);
    await Deno.remove(folder, { recursive: true });
  });
}
