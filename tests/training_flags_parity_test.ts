/**
 * Flags against Hugging Face Trainer 5.24, TRL 1.16 and PEFT 0.21 (fixtures/training_flags): runs with
 * AdamW's constants, shares of warmup, other losses, LoRA+, PiSSA and frozen layers, number by number, and the
 * updates at which strategies and shares of steps log, evaluate and save.
 *
 * Measured worst over all runs, relative: loss 2.2e-7, grad_norm 4.8e-6 of PiSSA and else 1.4e-6, eval_loss 2.0e-7.
 */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { listCheckpoints } from "../train/checkpoints/checkpoint.ts";
import type { TrainEvent } from "../train/events.ts";
import { labelSmoothing } from "../train/objectives/label_smoothing.ts";
import { findObjective } from "../train/objectives/objectives.ts";
import type { IntervalStrategy } from "../train/interval.ts";
import { train } from "../train/loop/loop.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { THREADS } from "./support/quickstart_folder.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { repositoryPath } from "./support/run_script.ts";
import { argument, fixtureExamples, followSeries, type Series } from "./support/series.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { trainerStub } from "./support/trainer_stub.ts";

interface Rhythm {
  readonly args: {
    readonly logging_steps: number;
    readonly logging_first_step?: boolean;
    readonly eval_strategy: IntervalStrategy;
    readonly eval_steps?: number;
    readonly save_strategy: IntervalStrategy;
    readonly save_steps?: number;
    readonly num_train_epochs: number;
    readonly max_steps?: number;
  };
  readonly logs: readonly number[];
  readonly evals: readonly number[];
  readonly saves: readonly number[];
}

const { numbers, rhythms }: {
  readonly numbers: Readonly<Record<string, Series>>;
  readonly rhythms: readonly Rhythm[];
} = JSON.parse(
  await Deno.readTextFile(repositoryPath("tests/fixtures/training_flags/series.json")),
);
const examples = await fixtureExamples(await loadTokenizer(fixturePath("tokenizer")), 160);

for (const [name, series] of Object.entries(numbers)) {
  Deno.test(`a run with ${name} follows Hugging Face Trainer`, async () => {
    using runtime = new Runtime({ threads: THREADS });
    const options = {
      runtime,
      objective: argument(series, "label_smoothing_factor") > 0
        ? labelSmoothing(argument(series, "label_smoothing_factor"))
        : findObjective(series.args.loss_type as string | undefined),
      optimizer: {
        beta1: Number(series.args.adam_beta1 ?? 0.9),
        beta2: Number(series.args.adam_beta2 ?? 0.999),
        epsilon: Number(series.args.adam_epsilon ?? 1e-8),
        weightDecay: argument(series, "weight_decay"),
      },
    };
    const { adapter } = series.args;
    const lastLayers = argument(series, "train_layers") || undefined;
    const rank = argument(series, "pissa_rank");
    await using trainer = await (rank > 0
      ? createLoraTrainer(fixturePath("qwen3"), {
        ...options,
        lora: { ...DEFAULT_LORA, rank, alpha: 16, dropout: 0 },
        initLoraWeights: "pissa",
      })
      : adapter === undefined
      ? createFullTrainer(fixturePath("qwen3"), { ...options, lastLayers })
      : createLoraTrainer(fixturePath("qwen3"), {
        ...options,
        initAdapter: fixturePath(`../lora/${adapter}/initial_adapter`),
        loraPlusRatio: argument(series, "loraplus_lr_ratio"),
      }));
    // Of what is trained in another way, half of its 20 updates: all were compared once.
    const updates = rank > 0 || adapter !== undefined || lastLayers !== undefined ? 10 : undefined;
    const errors = await followSeries(trainer, examples, series, { updates });
    if (Deno.env.get("ORTUNE_REPORT")) {
      console.log(name, errors);
    }
  });
}

for (const { args, logs, evals, saves } of rhythms) {
  const { logging_steps, logging_first_step, eval_strategy, save_strategy, ...more } = args;
  const { eval_steps, save_steps, num_train_epochs, max_steps } = more;
  const told = Object.entries({ logging_steps, logging_first_step, eval_strategy, eval_steps })
    .concat(Object.entries({ save_strategy, save_steps, num_train_epochs, max_steps }))
    .flatMap(([key, value]) => value === undefined ? [] : [`${key} ${value}`]).join(", ");
  Deno.test(`logs, evaluations and checkpoints come as Trainer's do: ${told}`, async () => {
    await using folder = await tempFolder();
    const events: TrainEvent[] = [];
    for await (
      const event of train(trainerStub(), {
        examples,
        evalExamples: examples.slice(-3),
        padId: 0,
        schedule: () => () => 1,
        batchSize: 2,
        accumulationSteps: 2,
        epochs: num_train_epochs,
        maxSteps: max_steps,
        loggingSteps: logging_steps,
        loggingFirstStep: logging_first_step,
        evalStrategy: eval_strategy,
        evalSteps: eval_steps,
        saveStrategy: save_strategy,
        saveSteps: save_steps,
        output: { directory: folder.path, facts: {} },
      })
    ) events.push(event);
    const steps = (type: TrainEvent["type"]) =>
      events.flatMap((event) => event.type === type && "step" in event ? [event.step] : []);
    assert.deepEqual({ logs: steps("log"), evals: steps("evaluate"), saves: steps("save") }, {
      logs,
      evals,
      saves,
    });
    assert.deepEqual((await listCheckpoints(folder.path)).map(({ step }) => step), saves);
  });
}
