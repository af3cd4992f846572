/**
 * `deno task quickstart`: fine-tunes a small embedded Qwen3 on embedded medical records, from
 * records to an answer. Everything is written below the output folder; nothing is downloaded.
 *
 * @module
 */

import { RUN_WORDS } from "../../cli/terminal/run_words.ts";
import { standardOutput } from "../../cli/terminal/standard_output.ts";
import { reply } from "../../infer/chat/reply.ts";
import { runCommand } from "../../cli/process/run_command.ts";
import { writeRunReport } from "../../train/runs/run_report.ts";
import { terminal } from "../../cli/terminal/terminal.ts";
import { runTraining, type TrainingRun } from "../../train/runs/run_training.ts";
import { count, device, DEVICE_HELP, positive, seed } from "../../cli/arguments/flag_values.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import type { Message } from "../../data/text/message.ts";
import { createConsoleTracker } from "../../train/track/console_tracker.ts";
import type { ReportSample } from "../../train/track/report.ts";
import { writeQuickstartData } from "./write_dataset.ts";
import { writeQuickstartModel } from "./quickstart_model.ts";
import { systemPrompt, trainRecords } from "./records.ts";
import { ortLibrary } from "../../cli/process/open_runtime.ts";
import type { TrainingOptions } from "../../train/runs/training_arguments.ts";

/**
 * What other commands import from npm. Where a program of a few tenths of a second is the first to
 * import a package, Deno still asks the registry about it, and its progress bar erases what the
 * program prints, such as an error; this one runs long enough, and most people run it first.
 */
const _otherPackages = (): Promise<unknown>[] => [
  import("@huggingface/hub"),
  import("dompurify"),
  import("js-yaml"),
  import("marked"),
];

interface QuickstartFlags {
  readonly outputDir: string;
  readonly numTrainEpochs: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly device: string;
  readonly threads?: number;
}

const MAX_NEW_TOKENS = 256;
const words = RUN_WORDS[terminal.language];

await runCommand<QuickstartFlags>({
  name: "deno task quickstart",
  description: "Fine-tunes a small Qwen3 on embedded records and asks it a question.",
  flags: (command) =>
    command
      .option("--output-dir <dir>", "where everything goes", "output/quickstart")
      .option("--num-train-epochs <n>", "passes over the records", positive, 30)
      .option("--learning-rate <rate>", "peak learning rate", positive, 3e-3)
      .option("--seed <n>", "seed of the weights and the data order", seed, 42)
      .option("--device <name>", DEVICE_HELP, device, "cpu")
      .option("--threads <n>", "processor threads (default: all cores)", count),
  run: async ({ options, signal }) => {
    const { outputDir } = options;
    const say = (line: string) => terminal.write(`${line}\n`);
    const [model, data] = [`${outputDir}/model`, `${outputDir}/data`];
    await writeQuickstartModel(model, options.seed);
    await writeQuickstartData(data);
    say(words.wrote(model, trainRecords.length, data));
    const training: TrainingOptions = {
      ...options,
      model,
      trainFile: `${data}/train.jsonl`,
      validationFile: `${data}/val.jsonl`,
      overwriteOutputDir: true,
      system: systemPrompt,
      perDeviceEvalBatchSize: 4,
      gradientAccumulationSteps: 1,
      lrSchedulerType: "cosine",
      warmupSteps: 10,
      maxLength: 512,
      packing: true,
      gradientCheckpointing: false,
      loggingSteps: 5,
      evalSteps: 20,
      saveSteps: 0,
      saveTotalLimit: 2,
      predictionSamples: 0,
    };
    await using console = createConsoleTracker(terminal);
    await using run = await runTraining(training, {
      signal,
      say,
      trackers: [console],
      libraryPath: ortLibrary(),
    });
    if (run.end.reason === "aborted") return;
    const sample = await ask(run, { model, signal });
    for (const tracker of run.trackers) await tracker.samples?.(run.end.step, [sample]);
    const files = await writeRunReport(run, {
      title: "ortune quickstart",
      command: ["deno task quickstart", ...Deno.args].join(" "),
      samples: [sample],
      say,
    });
    if (files.length > 0) say(words.curves(files.join(", ")));
    say(words.ask(`deno task inference --model ${run.checkpoint}`));
  },
});

/** Asks the first training question of the model as it is now. */
async function ask(
  { runtime, trainer, tokenizer }: TrainingRun,
  { model, signal }: { readonly model: string; readonly signal: AbortSignal },
): Promise<ReportSample> {
  const { question, think, answer } = trainRecords[0];
  const { config, weights } = trainer;
  const generation = await readGenerationConfig(model, { config, tokenizer });
  using generator = createGenerator({ runtime, config, weights, generation });
  const output = standardOutput();
  await output.write(`\n${question}\n\n`);
  const messages: Message[] = [
    { role: "system", content: systemPrompt },
    { role: "user", content: question },
  ];
  const said = await reply({ generator, tokenizer }, {
    messages,
    output,
    maxNewTokens: MAX_NEW_TOKENS,
    greedy: true,
    signal,
  });
  const verbatim = said.think.trim() === think && said.answer.trim() === answer;
  await output.write(`\n${verbatim ? words.verbatim : words.notVerbatim}\n`);
  return { question, think: said.think, answer: said.answer, reference: answer };
}
