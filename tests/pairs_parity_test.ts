/**
 * Training on pairs against TRL 1.16's DPOTrainer and ORPOTrainer (fixtures/pairs): whole runs of all weights and of
 * adapters, figure by figure, with an accumulation of 2 and 4 and batches that are not full.
 */

import assert from "node:assert/strict";
import type { Example } from "../data/examples/example.ts";
import { encodeRecord } from "../data/examples/encode_record.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { parseRecord } from "../data/records/record.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { linearSchedule } from "../train/schedules/schedules.ts";
import { findPairObjective } from "../train/objectives/pair_objectives.ts";
import { referenceLogps } from "../train/loop/reference_logps.ts";
import { train } from "../train/loop/loop.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { THREADS } from "./support/quickstart_folder.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { repositoryPath } from "./support/run_script.ts";
import { argument, type Series } from "./support/series.ts";

/** A row, and what TRL makes of it. */
interface EncodedRow {
  readonly row: Record<string, unknown>;
  readonly prompt: readonly number[];
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
}

type Row = Readonly<Record<string, number>> & { readonly step: number };

const { pairs, runs }: {
  readonly pairs: readonly Readonly<Record<"prompt" | "chosen" | "rejected", number[]>>[];
  readonly runs: Readonly<
    Record<
      string,
      Pick<Series, "args"> & { readonly steps: readonly Row[]; readonly evals: readonly Row[] }
    >
  >;
} = JSON.parse(await Deno.readTextFile(repositoryPath("tests/fixtures/pairs/series.json")));

/** Figures that are the same but for float32's last bit. */
const EXACT = ["step", "epoch", "learning_rate", "rewards/accuracies"];
/** Pairs that are evaluated, the last ones. */
const EVALUATED = 5;

const LOSS = 1e-5; // relative, or absolute of a loss below 1; measured 8.3e-6 of hinge losses near 5, else 1.7e-6
const GRAD_NORM = 1e-4; // likewise; measured 2.8e-5 of norms near 20
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

for (const [name, { args, steps, evals }] of Object.entries(runs)) {
  Deno.test(`${name} follows TRL`, async () => {
    using runtime = new Runtime({ threads: THREADS });
    const number = (key: string) => argument({ args, steps: [], evals: [] }, key);
    const options = { runtime, pairs: findPairObjective(String(args.loss), number("beta")) };
    const { adapter } = args;
    await using trainer = await (adapter === undefined
      ? createFullTrainer(fixturePath("qwen3"), options)
      : createLoraTrainer(fixturePath("qwen3"), {
        ...options,
        initAdapter: fixturePath(`../lora/qwen3/${adapter}`),
      }));
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
        schedule: (totalSteps) =>
          linearSchedule({ peak: number("learning_rate"), totalSteps }),
        accumulationSteps: number("gradient_accumulation_steps"),
        maxSteps: number("max_steps"),
        evalStrategy: "epoch",
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
    const worst: Record<string, number> = {};
    for (const [kind, got, expected] of [["", made, steps], ["eval ", tested, evals]] as const) {
      assert.equal(got.length, expected.length);
      for (const key of Object.keys(expected[0])) {
        const of = (rows: readonly Row[]): number[] =>
          rows.filter(({ epoch }) => !leavesOut(key) || !Number.isInteger(epoch))
            .map((row) => row[key]);
        const label = kind + key;
        if (EXACT.includes(key)) {
          assertClose(of(got), of(expected), { absolute: 1e-7, label });
        } else if (key === "loss" || key === "grad_norm") {
          const limit = key === "loss" ? LOSS : GRAD_NORM;
          const bounds = { relative: limit, absolute: limit, label };
          worst[label] = assertClose(of(got), of(expected), bounds).maxAbsolute;
        } else {
          const bounds = { absolute: FIGURE, label };
          worst[label] = assertClose(of(got), of(expected), bounds).maxAbsolute;
        }
      }
    }
    if (Deno.env.get("ORTUNE_REPORT")) console.log(name, worst);
  });
}

Deno.test("rows of pairs are encoded as TRL does, but for the line break after a chat's end", async () => {
  const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
  const rows: readonly EncodedRow[] = JSON.parse(
    await Deno.readTextFile(repositoryPath("tests/fixtures/pairs/rows.json")),
  );
  for (const [index, { row, prompt, ...replies }] of rows.entries()) {
    const record = parseRecord(row, { file: "rows.jsonl", line: index + 1 });
    const made = encodeRecord(record, { tokenizer, maxLength: 512 });
    assert.equal(made.length, 2);
    for (const [i, half] of (["chosen", "rejected"] as const).entries()) {
      const ids = [...made[i].inputIds];
      const whole = [...prompt, ...replies[half]];
      const end = whole.lastIndexOf(tokenizer.eosTokenId!) + 1;
      assert.equal(tokenizer.decode(whole.slice(end)).trim(), "");
      assert.deepEqual(ids, whole.slice(0, end), `row ${index} ${half}`);
    }
  }
});
