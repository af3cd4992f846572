/** The story of a run in Markdown and one chart. In: what was measured. Out: their text. */

import { renderLineChart } from "../../train/track/line_chart.ts";
import type { Answer, Answers } from "./ask.ts";
import type { MeasuredRun } from "./measured_run.ts";

/** What is told. */
export interface SummaryOptions {
  /** The model's name. */
  readonly title: string;
  /** Most new tokens of a reply. */
  readonly maxNewTokens: number;
  readonly command: string;
  readonly machine: string;
  readonly settings: string;
  /** Evaluation loss a token before any update. */
  readonly baseLoss: number;
  readonly base: Answers;
  readonly lora: Trained;
  readonly full: Trained;
  /** How many replies are shown whole. */
  readonly shown: number;
  /** Of the whole script. */
  readonly minutes: number;
}

/** A run and what its model answers. */
export interface Trained {
  readonly run: MeasuredRun;
  readonly answers: Answers;
}

/** Both runs' losses in one chart; evaluation starts at the untrained model. */
export function renderChart({ title, baseLoss, lora, full }: SummaryOptions): Promise<string> {
  const training = ({ run }: Trained) => run.logs.map(({ step, loss }) => ({ step, value: loss }));
  const evaluation = ({ run }: Trained) => [
    { step: 0, value: baseLoss },
    ...run.evaluations.map(({ step, evalTokenLoss }) => ({ step, value: evalTokenLoss })),
  ];
  return renderLineChart({
    title: `${title}: LoRA and full fine-tuning`,
    unit: "loss a token",
    format: (value) => `${Number(value.toFixed(3))}`,
    series: [
      { name: "LoRA, training", color: "trainRaw", width: 1, points: training(lora) },
      { name: "LoRA, evaluation", color: "train", markers: true, points: evaluation(lora) },
      { name: "full, training", color: "learningRate", width: 1, points: training(full) },
      { name: "full, evaluation", color: "evaluation", markers: true, points: evaluation(full) },
    ],
  });
}

/** The figures in words and tables, with the chart beside it as loss.svg. */
export function renderSummary(options: SummaryOptions): string {
  const { title, command, machine, settings, baseLoss, base, lora, full, shown, minutes } = options;
  const steps = full.run.evaluations.map(({ step }) => step);
  const evalLoss = ({ run }: Trained, step: number): string =>
    fixed(run.evaluations.find((each) => each.step === step)?.evalTokenLoss);
  const trainLoss = ({ run }: Trained, step: number): string =>
    fixed(run.logs.findLast((each) => each.step <= step)?.loss);
  const row = (name: string, { run, answers }: Trained): string =>
    `| ${name} | ${run.evaluations.at(-1)!.step} | ${run.minutes.toFixed(1)} | ` +
    `${Math.round(run.peakMiB).toLocaleString("en")} | ${fixed(baseLoss)} → ` +
    `${fixed(run.evaluations.at(-1)!.evalTokenLoss)} | ${formRate(answers)} | ` +
    `${answers.tokensPerSecond.toFixed(1)} |`;
  return `# ${title} learns the think/answer form

${machine}. \`${command}\`, ${minutes.toFixed(1)} minutes in all. ${settings}

| | updates | minutes | peak memory, MiB | evaluation loss a token | replies with the form | tokens/s, greedy |
|---|---|---|---|---|---|---|
| before | 0 | | | ${fixed(baseLoss)} | ${formRate(base)} | ${base.tokensPerSecond.toFixed(1)} |
${row("LoRA", lora)}
${row("full", full)}

A reply has the form if it opens with \`<think>\`, closes it once, thinks and answers, and ends by itself.
No question asked was trained on. ${describeFaults("Before", base)} ${
    describeFaults("LoRA", lora.answers)
  } ${describeFaults("Full", full.answers)}

![Losses](loss.svg)

| update | LoRA, training | full, training | LoRA, evaluation | full, evaluation |
|---|---|---|---|---|
| 0 | | | ${fixed(baseLoss)} | ${fixed(baseLoss)} |
${
    steps.map((step) =>
      `| ${step} | ${trainLoss(lora, step)} | ${trainLoss(full, step)} | ${
        evalLoss(lora, step)
      } | ${evalLoss(full, step)} |`
    ).join("\n")
  }

## Samples

What is learned is the form, not medicine: a model of this size makes up much of what it says, and some
of it would be dangerous to follow. Greedy, at most ${options.maxNewTokens} new tokens; \`⏎\` marks a reply cut there.

${
    base.answers.slice(0, shown).map(({ question }, i) =>
      `### ${question}\n\n` + [
        ["Before", base.answers[i]] as const,
        ["After LoRA", lora.answers.answers[i]] as const,
        ["After full fine-tuning", full.answers.answers[i]] as const,
      ].map(([name, answer]) => `${name}:\n\n${quote(answer)}`).join("\n\n")
    ).join("\n\n")
  }
`;
}

/** Such as "16 of 16". */
export function formRate({ answers }: Answers): string {
  return `${answers.filter(({ faults }) => faults.length === 0).length} of ${answers.length}`;
}

function describeFaults(name: string, { answers }: Answers): string {
  const counts = new Map<string, number>();
  for (const fault of answers.flatMap(({ faults }) => faults)) {
    counts.set(fault, (counts.get(fault) ?? 0) + 1);
  }
  const all = [...counts].map(([fault, count]) => `${count} × ${fault}`).join(", ");
  return `${name}: ${all || "no fault"}.`;
}

/** A reply as a block of text. Backquotes within it cannot end that: the fence has four. */
export function quote({ text, faults }: Answer): string {
  const cut = faults.includes("does not end by itself") ? " ⏎" : "";
  return `\`\`\`\`text\n${text}${cut}\n\`\`\`\``;
}

function fixed(value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(3);
}
