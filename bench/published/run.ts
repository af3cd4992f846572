/**
 * What fine-tuning does to a published model: greedy replies to unseen questions, a LoRA run, a
 * full run of as many updates, and replies after each. In: a folder of `deno task import`. Out:
 * summary.md and loss.svg in the output folder, both runs' checkpoints beside them.
 *
 *     deno task bench:published smollm2|gemma3 --model DIR [--output-dir output/NAME] [--num-train-epochs 3]
 *
 * Needs 4 GiB of memory and 3 GiB of disk for SmolLM2, 9 and 6 for Gemma 3. Nothing else may run while
 * the figures are to count.
 */

import { parseArgs } from "node:util";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { ask } from "./ask.ts";
import { measureRun } from "./measured_run.ts";
import { MODELS } from "./models.ts";
import {
  describeMachine,
  lossBefore,
  readQuestions,
  SYSTEM,
  TRAIN_FILE,
  VALIDATION_FILE,
} from "./setting.ts";
import { formRate, renderChart, renderSummary, type Trained } from "./summary.ts";

const MAX_LENGTH = 512;
const SHOWN = 5;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    "output-dir": { type: "string" },
    "num-train-epochs": { type: "string", default: "3" },
    "max-new-tokens": { type: "string", default: "200" },
    threads: { type: "string", default: "2" },
  },
});
const [name] = positionals;
if (positionals.length !== 1 || !Object.hasOwn(MODELS, name)) {
  console.error(`error: give the model's name first: ${Object.keys(MODELS).join(" or ")}`);
  Deno.exit(2);
}
const { title, learningRates } = MODELS[name];
const { model, threads, "num-train-epochs": epochs, "max-new-tokens": maxNewTokens } = values;
const outputDir = values["output-dir"] ?? `output/${name}`;
if (model === undefined) {
  console.error("error: --model is missing: give a folder of `deno task import`");
  Deno.exit(2);
}
const began = performance.now();
await Deno.mkdir(outputDir, { recursive: true });

const runtime = new Runtime({ threads: Number(threads) });
const records = (await readQuestions(TRAIN_FILE)).length;
const questions = await readQuestions(VALIDATION_FILE);
const asking = { runtime, model, system: SYSTEM, questions, maxNewTokens: Number(maxNewTokens) };

console.log(`asking ${questions.length} questions before training`);
const base = await ask(asking);
console.log(`${formRate(base)} replies have the form`);
const baseLoss = await lossBefore(runtime, { model, maxLength: MAX_LENGTH });

const lora = await trained("train_lora", (checkpoint) => ask({ ...asking, adapter: checkpoint }));
const full = await trained("train", (checkpoint) => ask({ ...asking, model: checkpoint }));

const summary = {
  title,
  command: `deno task bench:published ${name} --num-train-epochs ${epochs} ` +
    `--max-new-tokens ${maxNewTokens} --threads ${threads}`,
  maxNewTokens: Number(maxNewTokens),
  machine: describeMachine(runtime, threads),
  settings:
    `${records} records, 4 an update, ${epochs} epochs; LoRA of rank 8, alpha 32, dropout 0.1 on ` +
    `all linear layers at ${learningRates.train_lora}, full at ${learningRates.train}, both ` +
    `falling linearly; ${questions.length} records held out.`,
  baseLoss,
  base,
  lora,
  full,
  shown: SHOWN,
  minutes: (performance.now() - began) / 60_000,
};
await Deno.writeTextFile(`${outputDir}/loss.svg`, await renderChart(summary));
await Deno.writeTextFile(`${outputDir}/summary.md`, renderSummary(summary));
console.log(`${outputDir}/summary.md, ${outputDir}/loss.svg`);
runtime[Symbol.dispose]();

async function trained(
  script: "train" | "train_lora",
  askAfter: (checkpoint: string) => ReturnType<typeof ask>,
): Promise<Trained> {
  const run = await measureRun({
    script,
    reads: [model!, TRAIN_FILE, VALIDATION_FILE],
    outputDir: `${outputDir}/${script}`,
    flags: {
      model: model!,
      "train-file": TRAIN_FILE,
      "validation-file": VALIDATION_FILE,
      system: SYSTEM,
      "num-train-epochs": epochs,
      "learning-rate": learningRates[script],
      "max-length": MAX_LENGTH,
      "logging-steps": 5,
      "eval-steps": 15,
      "save-steps": 0,
      "prediction-samples": 0,
      threads,
      "no-gradient-checkpointing": true,
      "overwrite-output-dir": true,
    },
  });
  const answers = await askAfter(run.checkpoint);
  console.log(`${formRate(answers)} replies have the form after ${script}`);
  return { run, answers };
}
