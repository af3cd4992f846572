/** Runs a trainer on pairs as TRL's DPOTrainer or ORPOTrainer of the fixtures did, and compares the two. */

import assert from "node:assert/strict";
import type { Example } from "../../data/examples/example.ts";
import { joinExample } from "../../data/examples/join_example.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import type { PairObjective } from "../../train/pair_objective.ts";
import { referenceLogps } from "../../train/loop/reference_logps.ts";
import { train } from "../../train/loop/loop.ts";
import { findPairObjective } from "../../train/objectives/pair_objectives.ts";
import { linearSchedule } from "../../train/schedules/schedules.ts";
import type { Trainer } from "../../train/trainer.ts";
import { repositoryPath } from "./run_script.ts";

type Row = Readonly<Record<string, number>> & { readonly step: number };

/** A run of series.json. */
export interface PairSeries {
  readonly args: Readonly<Record<string, number | string>>;
  readonly steps: readonly Row[];
  readonly evals: readonly Row[];
}

const { pairs, runs }: {
  readonly pairs: readonly Readonly<Record<"prompt" | "chosen" | "rejected", number[]>>[];
  readonly runs: Readonly<Record<string, PairSeries>>;
} = JSON.parse(await Deno.readTextFile(repositoryPath("tests/fixtures/pairs/series.json")));

/** All runs, by their names. */
export const PAIR_RUNS: Readonly<Record<string, PairSeries>> = runs;

/** Figures that are the same but for float32's last bit. */
const EXACT = ["step", "epoch", "learning_rate", "rewards/accuracies"];
/** Pairs that are evaluated, the last ones. */
const EVALUATED = 5;

const LOSS = 1e-5; // relative, or absolute of a loss below 1; measured 8.3e-6 of the hinge at beta 0.5, else 1.7e-6
const GRAD_NORM = 1e-4; // likewise; measured 2.8e-5 of norms to 43
// Rewards are differences of log-probabilities near -100, which TRL rounds to float32.
const FIGURE = 3e-5; // absolute; measured 2.4e-5 of logps, 1.2e-5 of rewards

const examples = pairs.flatMap(({ prompt, chosen, rejected }) =>
  [chosen, rejected].map((reply): Example =>
    joinExample(Int32Array.from(prompt), Int32Array.from(reply), {
      maxLength: 512,
      terminated: true,
    })
  )
);

/** What a run minimized. */
export function pairObjectiveOf({ args }: PairSeries): PairObjective {
  return findPairObjective(String(args.loss), Number(args.beta));
}

/**
 * Trains as the run did, and checks every figure.
 *
 * @param updates how many of them are made and compared; @default all
 * @returns the largest errors: of loss and norm, and absolute ones of the other figures
 */
export async function followPairs(
  trainer: Trainer,
  { args, ...expected }: PairSeries,
  { updates = Infinity }: { readonly updates?: number } = {},
): Promise<Readonly<Record<string, number>>> {
  const number = (key: string) => Number(args[key]);
  const followed = (rows: readonly Row[]): Row[] => rows.filter(({ step }) => step <= updates);
  const [steps, evals] = [followed(expected.steps), followed(expected.evals)];
  const learned = examples.slice(0, -2 * EVALUATED);
  const evaluated = examples.slice(-2 * EVALUATED);
  const of = { batchSize: number("per_device_train_batch_size"), padId: 0 };
  const references = {
    examples: await referenceLogps(trainer, learned, of),
    evalExamples: await referenceLogps(trainer, evaluated, of),
  };
  const made: Row[] = [];
  const tested: Row[] = [];
  for await (
    const event of train(trainer, {
      ...of,
      examples: learned,
      evalExamples: evaluated,
      references,
      schedule: () =>
        linearSchedule({ peak: number("learning_rate"), totalSteps: number("max_steps") }),
      accumulationSteps: number("gradient_accumulation_steps"),
      maxSteps: Math.min(updates, number("max_steps")),
      evalStrategy: updates < Infinity ? "no" : "epoch",
      loggingSteps: 1,
    })
  ) {
    if (event.type === "log") {
      const { step, epoch, loss, gradNorm, learningRate, figures } = event;
      made.push({
        ...{ step, epoch, loss, grad_norm: gradNorm, learning_rate: learningRate },
        ...figures,
      });
    } else if (event.type === "evaluate") {
      tested.push({ step: event.step, loss: event.evalLoss, ...event.figures });
    }
  }
  // ORPOTrainer leaves pairs of the last update of an epoch out of its figures where its last batch is not full:
  // accelerate's gather_for_metrics takes those before it for the last one.
  const leavesOut = (key: string): boolean =>
    args.loss === "orpo" &&
    !["loss", "grad_norm", "step", "epoch", "learning_rate"].includes(key);
  // Before the first update a pair's rewards are equal, but for rounding.
  const isOpen = (row: Row): boolean => Math.abs(row["rewards/margins"]) < FIGURE;
  const worst: Record<string, number> = {};
  for (
    const [kind, got, wanted] of [["", made, steps], [
      "eval ",
      tested,
      updates < Infinity ? [] : evals,
    ]] as const
  ) {
    assert.equal(got.length, wanted.length);
    for (const key of Object.keys(wanted[0] ?? {})) {
      const compared = wanted.map((row) =>
        !(leavesOut(key) && Number.isInteger(row.epoch)) &&
        !(key === "rewards/accuracies" && isOpen(row))
      );
      const of = (rows: readonly Row[]): number[] =>
        rows.filter((_, i) => compared[i]).map((row) => row[key]);
      const label = kind + key;
      if (EXACT.includes(key)) {
        assertClose(of(got), of(wanted), { absolute: 1e-7, label });
      } else if (key === "loss" || key === "grad_norm") {
        const limit = key === "loss" ? LOSS : GRAD_NORM;
        const bounds = { relative: limit, absolute: limit, label };
        worst[label] = assertClose(of(got), of(wanted), bounds).maxAbsolute;
      } else {
        const bounds = { absolute: FIGURE, label };
        worst[label] = assertClose(of(got), of(wanted), bounds).maxAbsolute;
      }
    }
  }
  return worst;
}
