/**
 * LoRA fine-tuning as one call: all that `deno task train:lora` does, its checks, run.json and
 * trackers included.
 *
 * In: a model's folder and two JSON Lines files. Out: adapter checkpoints in PEFT's layout.
 *
 *     deno run -A examples/train_lora.ts models/Qwen/Qwen3-0.6B data/train.jsonl data/val.jsonl output/mine
 */

import { createConsoleTracker, runTraining } from "@ortune/ortune";

const [
  model = "models/Qwen/Qwen3-1.7B",
  trainFile = "data/train.jsonl",
  validationFile = "data/val.jsonl",
  outputDir = "output/example-lora",
] = Deno.args;

// The first Ctrl-C ends the run after the step under way, with a checkpoint.
const interrupt = new AbortController();
const onInterrupt = () => interrupt.abort();
Deno.addSignalListener("SIGINT", onInterrupt);

const write = (text: string) => Deno.stderr.writeSync(new TextEncoder().encode(text));
await using console = createConsoleTracker({ write, isTty: Deno.stderr.isTerminal() });
await using run = await runTraining({
  model,
  trainFile,
  validationFile,
  outputDir,
  system: "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。",
  lora: { rank: 8, alpha: 32, dropout: 0.1 },
  learningRate: 1e-4,
  numTrainEpochs: 2,
  reportTo: ["tensorboard", "swanlab"],
}, { signal: interrupt.signal, say: (line) => write(`${line}\n`), trackers: [console] });

write(`the adapter is in ${run.checkpoint}\n`);
Deno.removeSignalListener("SIGINT", onInterrupt);
