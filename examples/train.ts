/**
 * Full fine-tuning, put together from its parts: tokenizer, examples, trainer, schedule, loop, trackers.
 *
 * In: a model's folder and two JSON Lines files. Out: checkpoints in a folder of their own.
 *
 *     deno run -A examples/train.ts models/Qwen/Qwen3-0.6B data/train.jsonl data/val.jsonl output/mine
 */

import {
  createConsoleTracker,
  createFullTrainer,
  createMetricsLog,
  linearSchedule,
  loadTokenizer,
  readExamples,
  Runtime,
  train,
} from "@ortune/ortune";

const [
  model = "models/Qwen/Qwen3-1.7B",
  trainFile = "data/train.jsonl",
  validationFile = "data/val.jsonl",
  output = "output/example",
] = Deno.args;
const system = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";

const tokenizer = await loadTokenizer(model);
const options = { tokenizer, maxLength: 2048, system };
const { examples } = await readExamples(trainFile, options);
const { examples: evalExamples } = await readExamples(validationFile, options);

using runtime = new Runtime();
await using trainer = await createFullTrainer(model, { runtime });
await Deno.mkdir(output, { recursive: true });
const write = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(text));
const trackers = [
  createConsoleTracker({ write, isTty: Deno.stderr.isTerminal() }),
  createMetricsLog(`${output}/metrics.jsonl`),
];
const events = train(trainer, {
  examples,
  evalExamples,
  padId: tokenizer.padTokenId!,
  schedule: (totalSteps) => linearSchedule({ peak: 1e-4, totalSteps }),
  accumulationSteps: 4,
  epochs: 2,
  loggingSteps: 10,
  evalSteps: 100,
  output: {
    directory: output,
    copyFiles: ["tokenizer.json", "tokenizer_config.json"].map((name) => `${model}/${name}`),
    facts: { model, trainFile },
  },
});
for await (const event of events) {
  for (const tracker of trackers) await tracker.event(event);
}
for (const tracker of trackers) await tracker[Symbol.asyncDispose]();
