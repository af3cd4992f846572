/** Curves and a report of a finished run, beside its checkpoints: loss.svg and report.html. */

import { isAbsent } from "../../internal/regular_file.ts";
import type { ReadExamplesReport } from "../../data/examples/read_examples_report.ts";
import { comparableLoss } from "../track/comparable_loss.ts";
import { METRICS_FILE } from "../track/find_runs.ts";
import { renderLossChart } from "../track/loss_chart.ts";
import { readMetricsLog } from "../track/read_metrics_log.ts";
import { renderReport, type ReportSample } from "../track/report.ts";
import type { EvaluateEvent, LogEvent } from "../events.ts";
import type { TrainingRun } from "./run_training.ts";
import { VERSION } from "../../internal/version.ts";
import { writeWhole } from "../../internal/write_whole.ts";

/** What a report takes of a run. */
export interface ReportedRun extends Pick<TrainingRun, "started" | "checkpoint"> {
  /** Where the run wrote, and what it trained where. */
  readonly args: Pick<TrainingRun["args"], "outputDir" | "model" | "device">;
  /** ONNX Runtime's version. */
  readonly runtime: { readonly api: Pick<TrainingRun["runtime"]["api"], "version"> };
  /** What was trained. */
  readonly trainer: Pick<TrainingRun["trainer"], "method" | "trainableParameters">;
  /** Examples, and what was told of them. */
  readonly data: {
    readonly report: Pick<ReadExamplesReport, "rows" | "tokens" | "refused" | "refusedRows">;
    readonly validation: Pick<TrainingRun["data"]["validation"], "length">;
    readonly notes: readonly string[];
  };
  /** Where a run went on. */
  readonly start: Pick<TrainingRun["start"], "resumedStep">;
  /** How it ended. */
  readonly end: Pick<TrainingRun["end"], "reason" | "epoch" | "step" | "seconds" | "tokens">;
}

/** What a report says besides the run's own figures. */
export interface RunReportOptions {
  /** The heading. */
  readonly title: string;
  /** How to start the run again. */
  readonly command: string;
  /** What the model said. @default none */
  readonly samples?: readonly ReportSample[];
  /** Prints a line. */
  readonly say: (line: string) => void;
}

/**
 * Writes both files; answers the paths of those that are written. One that does not fit is told of
 * and left out: the weights, which the run was for, are saved by then.
 */
export async function writeRunReport(
  run: ReportedRun,
  { title, command, samples, say }: RunReportOptions,
): Promise<readonly string[]> {
  const { args } = run;
  const events = await readFigures(`${args.outputDir}/${METRICS_FILE}`, say);
  const logs = events.filter((event): event is LogEvent => event.type === "log");
  const evaluations = events.filter((event): event is EvaluateEvent => event.type === "evaluate");
  const { data, start, end, trainer } = run;
  const page = await renderReport({
    title,
    summary: {
      status: end.reason,
      started: run.started,
      model: args.model,
      method: trainer.method,
      device: args.device,
      // Of an adapter's base the trainer tells no count.
      parameters: trainer.method === "full" ? trainer.trainableParameters : undefined,
      trainableParameters: trainer.trainableParameters,
      trainRows: data.report.rows,
      evalRows: data.validation.length,
      tokens: data.report.tokens,
      epochs: Math.round(end.epoch * 100) / 100,
      steps: end.step,
      seconds: end.seconds,
      tokensPerSecond: end.tokens / end.seconds,
      checkpoint: run.checkpoint || undefined,
      command,
    },
    logs,
    evaluations,
    samples,
    notes: [
      ...data.notes,
      ...describeRefusedRows(data.report),
      ...start.resumedStep > 0 ? [`Resumed after update ${start.resumedStep}.`] : [],
    ],
    versions: {
      ortune: VERSION,
      Deno: Deno.version.deno,
      "ONNX Runtime": run.runtime.api.version,
      system: `${Deno.build.os}-${Deno.build.arch}`,
    },
  });
  const chart = await renderLossChart({ title, train: logs, eval: evaluationLosses(evaluations) });
  const files = { "loss.svg": chart, "report.html": page };
  const written: string[] = [];
  for (const [name, text] of Object.entries(files)) {
    const path = `${args.outputDir}/${name}`;
    try {
      await writeWhole(path, text);
      written.push(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw cause;
      say(
        `warning: Cannot write ${path}: ${
          (cause as Error).message
        }; the run is complete, and its ` +
          `weights are in ${run.checkpoint}. Free space, and see its curves with deno task dashboard`,
      );
    }
  }
  return written;
}

/** Rows that are listed with the reason why they were left out. */
const SHOWN_REFUSED = 200;

function describeRefusedRows(
  { refused, refusedRows }: Pick<ReadExamplesReport, "refused" | "refusedRows">,
): string[] {
  const shown = refused.slice(0, SHOWN_REFUSED)
    .map(({ line, reason }) => `Left out, line ${line}: ${reason}`);
  const rest = refusedRows - shown.length;
  return rest > 0 ? [...shown, `Left out: ${rest} more rows.`] : shown;
}

/** What was logged; a run shorter than --logging-steps has no log. */
async function readFigures(
  path: string,
  say: (line: string) => void,
): ReturnType<typeof readMetricsLog> {
  try {
    return await readMetricsLog(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    if (isAbsent(cause)) return [];
    say(`warning: Cannot read ${path}: ${(cause as Error).message}; the report has no figures`);
    return [];
  }
}

/** What the training loss can be compared with. */
function evaluationLosses(
  evaluations: readonly EvaluateEvent[],
): { step: number; loss: number }[] {
  return evaluations.map((one) => ({ step: one.step, loss: comparableLoss(one) }));
}
