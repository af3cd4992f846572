/** Runs a trainer as a Hugging Face Trainer series of the fixtures did, and compares the two. */

import assert from "node:assert/strict";
import type { Example } from "../../data/examples/example.ts";
import { readExamples } from "../../data/examples/read_examples.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { type IntervalStrategy, updatesOf } from "../../train/interval.ts";
import { train } from "../../train/loop/loop.ts";
import type { StepRule } from "../../train/loop/plan_updates.ts";
import { schedules } from "../../train/schedules/schedules.ts";
import type { Trainer } from "../../train/trainer.ts";
import { fixturePath } from "./parity_fixture.ts";

/** A series.json of the fixtures. */
export interface Series {
  readonly args: Readonly<Record<string, number | string>>;
  readonly steps: readonly {
    readonly step: number;
    readonly epoch: number;
    readonly loss: number;
    readonly grad_norm: number;
    readonly learning_rate: number;
  }[];
  readonly evals: readonly { readonly step: number; readonly eval_loss: number }[];
  /** How updates were counted; @default "ceil" */
  readonly rule?: StepRule;
}

/** Largest relative errors of a whole run. */
export interface SeriesErrors {
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly evalLoss: number;
}

// Relative; what was measured is in the tests.
const LOSS = 1e-4;
const GRAD_NORM = 1e-4;
const EXACT = 1e-12;

/** The system prompt of the fixtures, which is the seed's. */
export const SYSTEM = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";

/** The records of the parity fixtures as examples. */
export async function fixtureExamples(
  tokenizer: Tokenizer,
  maxLength: number,
): Promise<Example[]> {
  const path = fixturePath("records.jsonl");
  return (await readExamples(path, { tokenizer, maxLength, system: SYSTEM })).examples;
}

/** A number among a series' arguments, 0 where it is not there. */
export function argument({ args }: Series, key: string): number {
  return Number(args[key] ?? 0);
}

/**
 * Trains on the examples, evaluating on the last three, and checks every figure of the series.
 *
 * @param updates how many of them are made and compared; @default all
 */
export async function followSeries(
  trainer: Trainer,
  examples: readonly Example[],
  series: Series,
  { updates = Infinity }: { readonly updates?: number } = {},
): Promise<SeriesErrors> {
  const followed = <Row extends { readonly step: number }>(rows: readonly Row[]): Row[] =>
    rows.filter(({ step }) => step <= updates);
  const [expectedSteps, expectedEvals] = [followed(series.steps), followed(series.evals)];
  const number = (key: string) => argument(series, key);
  const steps: Series["steps"][number][] = [];
  const evals: Series["evals"][number][] = [];
  for await (
    const event of train(trainer, {
      examples,
      evalExamples: examples.slice(-3),
      padId: 0,
      schedule: (totalSteps) =>
        schedules[series.args.lr_scheduler_type].make({
          peak: number("learning_rate"),
          totalSteps,
          warmupSteps: updatesOf(number("warmup_steps"), totalSteps),
        }),
      batchSize: number("per_device_train_batch_size"),
      evalBatchSize: 1,
      accumulationSteps: number("gradient_accumulation_steps"),
      maxSteps: number("max_steps"),
      epochs: number("num_train_epochs") || undefined,
      stepRule: series.rule,
      evalStrategy: series.args.eval_strategy as IntervalStrategy,
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
    if (steps.length === expectedSteps.length && evals.length === expectedEvals.length) {
      if (updates < Infinity) break;
    }
  }
  assert.ok(expectedSteps.length > 0);
  assert.deepEqual(steps.map(({ step }) => step), expectedSteps.map(({ step }) => step));
  assert.deepEqual(evals.map(({ step }) => step), expectedEvals.map(({ step }) => step));
  const compare = (key: "epoch" | "loss" | "grad_norm" | "learning_rate", relative: number) =>
    assertClose(steps.map((row) => row[key]), expectedSteps.map((row) => row[key]), {
      relative,
      label: key,
    }).maxRelative;
  compare("epoch", EXACT);
  return {
    loss: compare("loss", LOSS),
    gradNorm: compare("grad_norm", GRAD_NORM),
    learningRate: compare("learning_rate", EXACT),
    evalLoss: assertClose(
      evals.map((row) => row.eval_loss),
      expectedEvals.map((row) => row.eval_loss),
      { relative: LOSS, label: "eval_loss" },
    ).maxRelative,
  };
}

/** Largest relative L2 distance of a tensor from what it should be; throws beyond the limit. */
export async function worstRelativeL2(
  actual: TensorSource,
  expected: TensorSource,
  limit: number,
): Promise<number> {
  let worst = 0;
  for (const label of expected.names()) {
    const error = assertRelativeL2(
      await readFloat32(actual, label),
      await readFloat32(expected, label),
      { limit, label },
    );
    worst = Math.max(worst, error);
  }
  return worst;
}

/** Relative L2 distance of two arrays; throws beyond the limit. */
export function assertRelativeL2(
  actual: Float32Array,
  expected: Float32Array,
  { limit, label }: { readonly limit: number; readonly label: string },
): number {
  assert.equal(actual.length, expected.length, label);
  const error = Math.hypot(...actual.map((value, i) => value - expected[i])) /
    Math.hypot(...expected);
  assert.ok(error <= limit, `${label}: relative L2 ${error}, limit ${limit}`);
  return error;
}
