/** Whole runs on pairs of replies: resumed, of several processes, on a base in 8 bits, and what they refuse. */

import assert from "node:assert/strict";
import { cp as copyFolder } from "node:fs/promises";
import type { Comm } from "../comm/comm.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { ProcessGroup } from "../train/distributed/process_group.ts";
import type { TrainEvent } from "../train/events.ts";
import { train } from "../train/loop/loop.ts";
import { referenceLogps } from "../train/loop/reference_logps.ts";
import { findPairObjective } from "../train/objectives/pair_objectives.ts";
import { runTraining } from "../train/runs/run_training.ts";
import type { TrainingOptions } from "../train/runs/training_arguments.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { localComms } from "./support/local_comm.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { draws } from "./support/random.ts";
import { tinyConfig, tinyModelFolder } from "./support/tiny_model.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

// Relative, or absolute of what is below 1; measured 1.2e-5 of log-probabilities near -100, else below 1e-6.
const SAME = 1e-5;

/** Writes pairs of replies, some of which are cut, as a run's rows. */
async function writePairs(path: string, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => ({
    question: `${i} + 1?`,
    system: "Be brief.",
    chosen: `${i + 1}`,
    rejected: `It is ${2 * i}, I think, ${"or more, ".repeat(i % 3)}and so on.`,
  }));
  await Deno.writeTextFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

for (
  const [title, how] of Object.entries<TrainingOptions>({
    "DPO of all weights": { loss: "dpo" },
    "ORPO of an adapter": { loss: "orpo", beta: 0.2, lora: { rank: 2, dropout: 0.1 } },
  })
) {
  Deno.test(`a run of ${title} that was cut ends in the same bytes when it is resumed`, async () => {
    await using folder = await quickstartFolder();
    await writePairs(`${folder.path}/pairs.jsonl`, 11);
    const said: string[] = [];
    const run = async (name: string, more: TrainingOptions): Promise<string> => {
      await using done = await runTraining({
        model: `${folder.path}/models/tiny`,
        trainFile: `${folder.path}/pairs.jsonl`,
        validationSplitPercentage: 30,
        outputDir: `${folder.path}/${name}`,
        perDeviceTrainBatchSize: 2,
        gradientAccumulationSteps: 2,
        learningRate: 1e-3,
        maxLength: 64,
        maxSteps: 3,
        loggingSteps: 3,
        evalSteps: 2,
        saveSteps: 2,
        metricForBestModel: "eval_rewards/accuracies",
        loadBestModelAtEnd: true,
        reportTo: [],
        threads: THREADS,
        ...how,
        ...more,
      }, { say: (line) => said.push(line), table: { head: 1, tail: 1 } });
      return done.end.best?.metric ?? "";
    };
    assert.equal(await run("whole", {}), "eval_rewards/accuracies");
    const { loss, beta = 0.1 } = how;
    const compared = loss === "orpo" ? "" : ", compared with the model as training starts from it";
    assert.ok(said.includes(`loss: ${loss} with beta ${beta}${compared}`), said.join("\n"));
    assert.ok(
      said.some((line) => /^ {2}rejected {3}.*It is .*\(what it is preferred to\)$/.test(line)),
    );
    await copyFolder(`${folder.path}/whole`, `${folder.path}/cut`, { recursive: true });
    await Deno.remove(`${folder.path}/cut/checkpoint-3`, { recursive: true });
    await run("cut", { resumeFromCheckpoint: true });
    assert.deepEqual(
      await folderHashes(`${folder.path}/cut/checkpoint-3`),
      await folderHashes(`${folder.path}/whole/checkpoint-3`),
    );
    if (how.loss === "orpo") return;
    const reference = `${folder.path}/cut/reference.json`;
    for (
      const [text, why] of [
        [undefined, "is missing"],
        ["{", "is no valid JSON"],
        ['{"fingerprint":"0"}', "is of another model, adapter or other rows"],
      ] as const
    ) {
      await (text === undefined ? Deno.remove(reference) : Deno.writeTextFile(reference, text));
      await assert.rejects(run("cut", { resumeFromCheckpoint: true }), {
        message:
          `Cannot resume from ${folder.path}/cut/checkpoint-3: what its run compares replies with is kept in ` +
          `${reference}, which ${why}; start again with --overwrite-output-dir, or from the checkpoint's weights ` +
          "with --model",
      });
    }
  });
}

Deno.test("what does not go with pairs is refused, with exit code 2 and a way out", async () => {
  await using folder = await quickstartFolder();
  const refused: Readonly<Record<string, string>> = {
    "--loss=dpo --packing":
      "Cannot use --packing with --loss dpo: a batch has as many pairs as rows; leave it out",
    "--loss=orpo --tokens-per-step=99":
      "Cannot use --packing with --loss orpo: a batch has as many pairs as rows; leave it out",
    "--loss=dpo --teach=marked":
      "Cannot use --teach marked with --loss dpo: of a pair both replies count, and none before them; leave it out",
    "--loss=dpo --truncation=left":
      "Cannot use --truncation left with --loss dpo: both replies would lose other turns of their prompt; leave it out",
    "--loss=ipo --compat=seed":
      "Cannot use --compat seed with --loss ipo: the seed knows no pairs; leave it out",
    "--loss=orpo --neftune-noise-alpha=5":
      "Cannot use --neftune-noise-alpha with --loss orpo: replies are compared without noise; leave it out",
    "--loss=dpo --label-smoothing-factor=0.1":
      "Cannot smooth labels of the loss dpo: leave out --label-smoothing-factor or --loss",
    "--loss=dpo --device=cuda":
      "Cannot use --device cuda:0 with --loss dpo: pairs are weighed on the host between the forward and the " +
      "backward pass, which a run on CUDA does not wait for; give --device cpu or --device webgpu",
    "--beta=0.2":
      "Cannot use --beta 0.2 with the loss cross_entropy: it is of pairs; leave it out, or give --loss dpo or " +
      "--loss orpo",
    "--metric-for-best-model=eval_rewards/margins":
      "Cannot use --metric-for-best-model eval_rewards/margins with the loss cross_entropy: it is of pairs; leave it " +
      "out, or give --loss dpo or --loss orpo",
  };
  for (const [flags, message] of Object.entries(refused)) {
    const { code, stderr } = await trainCommand([
      ...trainFlags(folder.path),
      ...flags.split(" "),
    ]);
    assert.deepEqual([code, stderr.split("\n")[0]], [2, `error: ${message}`], flags);
  }
  const { code, stderr } = await trainCommand([...trainFlags(folder.path), "--loss=dpo"]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /train\.jsonl with --loss dpo: \d+ of \d+ rows are no pairs of a chosen and a rejected reply; leave the flag out/,
  );
});

Deno.test("several processes, and graphs of a device, make the updates of one process on pairs", async () => {
  using runtime = new Runtime({ threads: THREADS });
  const config = tinyConfig({ hidden_size: 32, intermediate_size: 64 });
  await using folder = await tinyModelFolder(runtime, config);
  const draw = draws(5);
  const ids = (length: number) =>
    Int32Array.from({ length }, () => Math.floor(draw(0, config.vocabSize)));
  const examples = [3, 9, 20, 5, 14, 7, 11].flatMap((length, i) => {
    const prompt = ids(4 + i);
    return [ids(length), ids(21 - length)].map((reply) =>
      joinExample(prompt, reply, { maxLength: 64, terminated: true })
    );
  });
  const run = async (
    { loss, lora = false, graphsOnly, comm }: {
      readonly loss: string;
      readonly lora?: boolean;
      readonly graphsOnly?: boolean;
      readonly comm?: Comm;
    },
  ): Promise<readonly number[]> => {
    const options = { runtime, comm, graphsOnly, pairs: findPairObjective(loss, 0.5) };
    await using trainer = await (lora
      ? createLoraTrainer(folder.path, {
        ...options,
        baseDtype: "int8",
        baseCompute: "fp32",
        lora: { ...DEFAULT_LORA, rank: 2 },
      })
      : createFullTrainer(folder.path, options));
    const of = { batchSize: 2, padId: 0 };
    const references = {
      examples: await referenceLogps(trainer, examples, {
        ...of,
        group: new ProcessGroup(comm, undefined),
      }),
      evalExamples: new Float64Array(6),
    };
    const events: readonly TrainEvent[] = await Array.fromAsync(train(trainer, {
      ...of,
      examples,
      evalExamples: examples.slice(0, 6),
      references,
      schedule: () => () => 1e-3,
      accumulationSteps: 2,
      maxSteps: 4,
      loggingSteps: 2,
      comm,
    }));
    return events.flatMap((event) =>
      event.type === "step" || event.type === "log"
        ? [event.loss, event.gradNorm, ...Object.values(event.figures!)]
        : event.type === "evaluate"
        ? [event.evalLoss, event.evalTokenLoss, ...Object.values(event.figures!)]
        : []
    );
  };
  const worst: Record<string, number> = {};
  for (const how of [{ loss: "dpo" }, { loss: "orpo" }, { loss: "dpo", lora: true }]) {
    const alone = await run(how);
    const compare = (label: string, got: readonly number[]): void => {
      const bounds = { relative: SAME, absolute: SAME, label };
      worst[`${label} ${how.loss}`] = assertClose(got, alone, bounds).maxAbsolute;
    };
    if (!how.lora) compare("graphs", await run({ ...how, graphsOnly: true }));
    const parts = await Promise.all(localComms(2).map((comm) => run({ ...how, comm })));
    assert.deepEqual(parts[0], parts[1]);
    compare("processes", parts[0]);
  }
  if (Deno.env.get("ORTUNE_REPORT")) console.log(worst);
});
