/**
 * What a frozen base in 8 and 4 bits does to LoRA on a published model: as many updates on each from the same
 * seed, evaluation loss before and after, tokens/s, memory, and greedy replies to unseen questions. In: the
 * folder that deno task import made. Out: quantized.md in the output folder, the runs beside it.
 *
 *     deno run -A bench/published/quantized.ts --model DIR [--output-dir output/quantized] [--max-steps 200]
 *       [--only fp32,int8,int4,int8-fp32,int4-fp32] [--max-new-tokens 128] [--threads 2]
 *       [--python PATH] [--python-steps 10]
 *
 * `int8` and `int4` compute in int8, `int8-fp32` and `int4-fp32` in float32. Needs 2 GiB of memory for SmolLM2.
 * With `--python`, an interpreter that has torch, transformers and peft, Trainer takes some updates on the same rows.
 * Nothing else may run while the figures are to count.
 */

import { parseArgs } from "node:util";
import { readExamples } from "../../data/examples/read_examples.ts";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { BaseOptions } from "../../train/resolve_base_storage.ts";
import { median } from "../measure.ts";
import { runMain } from "../run_main.ts";
import { type Answers, ask } from "./ask.ts";
import { type MeasuredRun, measureRun } from "./measured_run.ts";
import { MODELS } from "./models.ts";
import {
  describeMachine,
  lossBefore,
  readQuestions,
  SYSTEM,
  TRAIN_FILE,
  VALIDATION_FILE,
} from "./setting.ts";
import { formRate, quote } from "./summary.ts";

/** Every record fits. */
const MAX_LENGTH = 256;
/** Of the learning rate for three epochs: 200 updates of 4 are eight. */
const LEARNING_RATE = MODELS.smollm2.learningRates.train_lora / 4;
const ROWS = 4;
const SHOWN = 3;

/** What is compared, the first with the others. */
const BASES: Readonly<Record<string, BaseOptions>> = {
  "fp32": {},
  "int8": { baseDtype: "int8" },
  "int4": { baseDtype: "int4" },
  "int8-fp32": { baseDtype: "int8", baseCompute: "fp32" },
  "int4-fp32": { baseDtype: "int4", baseCompute: "fp32" },
};

/** What Trainer came to in one number format. */
interface TrainerRun {
  readonly dtype: string;
  /** Of all updates but the first. */
  readonly tokensPerSecond: number;
  readonly peakMiB: number;
}

/** What was measured on one base. */
interface Measured {
  readonly name: string;
  readonly before: number;
  readonly run: MeasuredRun;
  readonly answers: Answers;
}

await runMain(async () => {
  const { values } = parseArgs({
    options: {
      model: { type: "string" },
      "output-dir": { type: "string", default: "output/quantized" },
      "max-steps": { type: "string", default: "200" },
      "max-new-tokens": { type: "string", default: "128" },
      threads: { type: "string", default: "2" },
      only: { type: "string", default: "fp32,int8,int4" },
      python: { type: "string" },
      "python-steps": { type: "string", default: "10" },
    },
  });
  const { model, only, threads, "output-dir": outputDir, "max-steps": steps } = values;
  const names = only.split(",");
  const unknown = names.find((name) => !Object.hasOwn(BASES, name));
  if (model === undefined) throw new Error("Give --model, the folder that deno task import made");
  if (unknown !== undefined) {
    throw new Error(`--only has ${unknown}: it takes ${Object.keys(BASES).join(", ")}`);
  }
  const began = performance.now();
  await Deno.mkdir(outputDir, { recursive: true });
  using runtime = new Runtime({ threads: Number(threads) });
  const questions = await readQuestions(VALIDATION_FILE);
  const asking = {
    ...{ runtime, model, system: SYSTEM, questions },
    maxNewTokens: Number(values["max-new-tokens"]),
  };
  const all: Measured[] = [];
  for (const name of names) {
    const base = BASES[name];
    const before = await lossBefore(runtime, { model, maxLength: MAX_LENGTH, base });
    console.log(`${name}: evaluation loss ${before.toFixed(4)} before training`);
    const run = await measureRun({
      script: "train_lora",
      reads: [model, TRAIN_FILE, VALIDATION_FILE],
      outputDir: `${outputDir}/${name}`,
      flags: {
        model,
        "train-file": TRAIN_FILE,
        "validation-file": VALIDATION_FILE,
        system: SYSTEM,
        "max-steps": steps,
        "per-device-train-batch-size": 1,
        "gradient-accumulation-steps": ROWS,
        "learning-rate": LEARNING_RATE,
        "max-length": MAX_LENGTH,
        "logging-steps": Math.min(10, Number(steps)),
        "eval-steps": Math.ceil(Number(steps) / 4),
        "save-steps": 0,
        "prediction-samples": 0,
        threads,
        "no-gradient-checkpointing": true,
        "overwrite-output-dir": true,
        ...base.baseDtype && { "base-dtype": base.baseDtype },
        ...base.baseCompute && { "base-compute": base.baseCompute },
      },
    });
    all.push({ name, before, run, answers: await ask({ ...asking, adapter: run.checkpoint }) });
  }
  const trainer = values.python === undefined ? [] : await measureTrainer(values.python, {
    model,
    threads: Number(threads),
    steps: Number(values["python-steps"]),
  });
  const records = (await readQuestions(TRAIN_FILE)).length;
  const text = `# LoRA on a base in fewer bits

${describeMachine(runtime, threads)}, load ${
    Deno.loadavg()[0].toFixed(1)
  } at the end. \`deno run -A bench/published/quantized.ts --max-steps ${steps} --only ${only} --threads ${threads}\`, ${
    ((performance.now() - began) / 60_000).toFixed(1)
  } minutes in all. ${records} records, ${ROWS} an update one by one, ${steps} updates; rank 8, alpha 32, dropout 0.1 on all linear layers at ${LEARNING_RATE}, falling linearly; blocks of 128; ${questions.length} records held out.

${table(all)}

${
    trainerTable(trainer, all)
  }Losses are a token's. Replies are greedy, at most ${asking.maxNewTokens} new tokens, of the adapter on the weights that it was trained over, as \`inference:lora\` has it. The peak of a base in fewer bits counts in the float32 weights that its loss is compared with at the start; resident is the most that a line of the log tells.

${samples(all, questions)}`;
  await Deno.writeTextFile(`${outputDir}/quantized.md`, text);
  console.log(`\n${table(all)}\n\n${trainerTable(trainer, all)}${outputDir}/quantized.md`);
});

/** Updates of Hugging Face's Trainer with PEFT on the rows that ours had, in float32 and bfloat16. */
async function measureTrainer(
  python: string,
  setting: { readonly model: string; readonly threads: number; readonly steps: number },
): Promise<TrainerRun[]> {
  const tokenizer = await loadTokenizer(setting.model);
  const options = { tokenizer, maxLength: MAX_LENGTH, system: SYSTEM };
  const { examples } = await readExamples(TRAIN_FILE, options);
  const rows = examples.map(({ inputIds, labels }) => ({
    inputIds: [...inputIds],
    labels: [...labels],
  }));
  const script = new URL("trainer_lora.py", import.meta.url).pathname;
  const file = await Deno.makeTempFile({ suffix: ".json" });
  const runs: TrainerRun[] = [];
  for (const dtype of ["float32", "bfloat16"]) {
    const told = { ...setting, dtype, rows: ROWS, learningRate: LEARNING_RATE, examples: rows };
    await Deno.writeTextFile(file, JSON.stringify(told));
    const { success, stdout } = await new Deno.Command(python, {
      args: [script, file],
      stderr: "inherit",
    }).output();
    if (!success) throw new Error(`Cannot go on: ${script} failed in ${dtype}`);
    const line = new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1)!;
    console.log(`Trainer in ${dtype}: ${line}`);
    runs.push({ ...JSON.parse(line), dtype });
  }
  await Deno.remove(file);
  return runs;
}

/** A row a number format of Trainer's, with how much faster each base of ours is. */
function trainerTable(runs: readonly TrainerRun[], all: readonly Measured[]): string {
  if (runs.length === 0) return "";
  const head = [
    "Trainer and PEFT",
    "tokens/s",
    "peak MiB",
    ...all.map(({ name }) => `ours, ${name}`),
  ];
  const rows = runs.map(({ dtype, tokensPerSecond, peakMiB }) => [
    dtype,
    tokensPerSecond.toFixed(0),
    `${Math.round(peakMiB)}`,
    ...all.map((each) => `${(speedOf(each) / tokensPerSecond).toFixed(2)}×`),
  ]);
  return `${markdownTable(head, rows)}\n\n`;
}

/** Tokens a second, in the middle of what a run logged. */
function speedOf({ run }: Measured): number {
  return median(run.logs.map(({ tokensPerSecond }) => tokensPerSecond));
}

function markdownTable(head: readonly string[], rows: readonly string[][]): string {
  return [head, head.map((_, i) => i === 0 ? "---" : "---:"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** A row a base. */
function table(all: readonly Measured[]): string {
  const [reference] = all;
  const after = ({ run }: Measured): number => run.evaluations.at(-1)!.evalTokenLoss;
  const lowest = ({ run }: Measured): number =>
    Math.min(...run.evaluations.map(({ evalTokenLoss }) => evalTokenLoss));
  const beside = (each: Measured, of: (each: Measured) => number): string => {
    const change = 100 * (of(each) / of(reference) - 1);
    return `${of(each).toFixed(4)} (${change < 0 ? "" : "+"}${change.toFixed(2)} %)`;
  };
  const rows = all.map((each) => {
    const { name, run, answers } = each;
    const resident = Math.max(...run.logs.map(({ memoryBytes = NaN }) => memoryBytes)) / 2 ** 20;
    return [
      name,
      beside(each, ({ before }) => before),
      beside(each, after),
      beside(each, lowest),
      `${speedOf(each).toFixed(0)} (${(speedOf(each) / speedOf(reference)).toFixed(2)}×)`,
      `${Math.round(run.peakMiB)}`,
      `${Math.round(resident)}`,
      run.minutes.toFixed(1),
      formRate(answers),
    ];
  });
  const head = [
    "base",
    "loss before",
    "after",
    "lowest",
    "tokens/s",
    "peak MiB",
    "resident MiB",
    "minutes",
    "replies with the form",
  ];
  return markdownTable(head, rows);
}

function samples(all: readonly Measured[], questions: readonly string[]): string {
  return questions.slice(0, SHOWN).map((question, i) =>
    `## ${question}\n\n` + all.map(({ name, answers }) =>
      `${name}:\n\n${quote(answers.answers[i])}`
    ).join("\n\n") + "\n"
  ).join("\n");
}
