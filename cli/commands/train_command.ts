/**
 * What `deno task train`, `deno task train:lora` and `deno task replay` share: a dry run, or a run
 * with its progress in the terminal, its samples and its report. In: training arguments. Out: all
 * that a run leaves in its folder.
 */

import type { Comm } from "../../comm/comm.ts";
import { abortOnError } from "../../comm/abort_on_error.ts";
import { COMM_VARIABLES, launchedRank } from "../../comm/mpi_launch.ts";
import { type CommChoice, openComm } from "../../comm/open_comm.ts";
import { createConsoleTracker } from "../../train/track/console_tracker.ts";
import { dryRun } from "../../train/runs/dry_run.ts";
import { predict } from "../../train/runs/predictions.ts";
import type { Output } from "../../infer/chat/reply.ts";
import { writeRunReport } from "../../train/runs/run_report.ts";
import { resolveTraining } from "../../train/runs/resolve_training.ts";
import { printConfig } from "../arguments/print_config.ts";
import { describeFailure, failureCode } from "../process/run_command.ts";
import { readableVariables } from "../terminal/readable_variables.ts";
import { resumeCommand } from "../process/resume_command.ts";
import { shellCommand } from "../process/shell_command.ts";
import { RUN_WORDS } from "../terminal/run_words.ts";
import { standardOutput } from "../terminal/standard_output.ts";
import { terminal } from "../terminal/terminal.ts";
import { ortLibrary } from "../process/open_runtime.ts";
import type { Tracker } from "../../train/track/tracker.ts";
import type { TrainingOptions } from "../../train/runs/training_arguments.ts";
import { runTraining } from "../../train/runs/run_training.ts";

/** How the run is told of. */
export interface TrainCommandOptions {
  /** As it is called, such as `deno task train`. */
  readonly task: string;
  /** Title of the report, of the model's folder. */
  readonly title: (model: string) => string;
  /** Flags that start the same run. @default the process's arguments */
  readonly flags?: readonly string[];
  /** Only prints all arguments as a file for `--config`. @default false */
  readonly printConfig?: boolean;
  /** Only looks at what training would be. @default false */
  readonly dryRun?: boolean;
  /** Processes that train together. @default those that a launcher started */
  readonly distributed?: CommChoice;
  readonly signal: AbortSignal;
}

// Tokens of the first example that a run shows; a dry run shows more.
const HEAD = 8;
const TAIL = 8;
/** Seconds that a process may wait for others: the first may prepare a lot of data, or write to a slow disk. */
const LONGEST_WAIT = 6 * 3600;
const words = RUN_WORDS[terminal.language];

/** The number of this process, as far as its launcher tells it: what comes before MPI is told once by it. */
export function processRank(): number {
  return launchedRank(readableVariables(COMM_VARIABLES));
}

/** Trains, or only looks at what training would be. */
export async function trainCommand(
  options: TrainingOptions,
  how: TrainCommandOptions,
): Promise<void> {
  await using comm = await openComm(how.distributed ?? "auto", {
    environment: readableVariables(COMM_VARIABLES),
    timeoutSeconds: LONGEST_WAIT,
  });
  await abortOnError(comm, () => trainOnRank(options, how, comm), {
    describe: describeFailure,
    exitCode: failureCode,
  });
}

async function trainOnRank(
  options: TrainingOptions,
  { task, title, flags = Deno.args, printConfig: prints, dryRun: isDry, signal }:
    TrainCommandOptions,
  comm: Comm,
): Promise<void> {
  const tells = comm.rank === 0;
  // They are the first one's.
  if (!tells && (prints || isDry)) return;
  const say = (line: string) => terminal.write(`${line}\n`);
  const libraryPath = ortLibrary();
  if (prints) {
    const { args } = await resolveTraining(options, { libraryPath });
    return await standardOutput().write(printConfig(args));
  }
  if (isDry) {
    const color = terminal.isTty;
    return await dryRun(options, { signal, say, color, progress: terminal, libraryPath });
  }
  const command = shellCommand(task, flags);
  await using console = createConsoleTracker(terminal);
  const progress = announceStop(signal, tells);
  await using run = await runTraining(options, {
    signal,
    say,
    trackers: [console, progress],
    command,
    progress: terminal,
    table: { head: HEAD, tail: TAIL, color: terminal.isTty },
    libraryPath,
    comm,
  });
  if (!tells) return;
  const { args, end, checkpoint, trackers } = run;
  if (end.step === 0 && checkpoint === "") {
    return say(words.nothingTrained(command));
  }
  if (end.best?.loaded) say(words.wentBack(checkpoint));
  const samples = signal.aborted ? [] : await predict(run, { output: errorOutput, signal });
  if (samples.length > 0) {
    for (const tracker of trackers) await tracker.samples?.(end.step, samples);
  }
  const files = await writeRunReport(run, { title: title(args.model), command, samples, say });
  if (files.length > 0) say(words.curves(files.join(", ")));
  const ask = args.lora ? "inference:lora --adapter" : "inference --model";
  if (checkpoint === "") return say(words.noCheckpoint);
  say(words.ask(shellCommand(`deno task ${ask}`, [checkpoint])));
  if (!signal.aborted || end.reason !== "aborted") return;
  say(
    args.saveOnlyModel
      ? words.weightsOnly(checkpoint)
      : words.goOn(resumeCommand(task, flags, checkpoint)),
  );
}

/** Says at once that Ctrl-C was heard, above the live line. */
function announceStop(signal: AbortSignal, tells: boolean): Tracker {
  let training = false;
  const say = () => {
    if (!tells) return;
    const clear = terminal.isTty ? "\r\x1b[K" : "";
    terminal.write(`${clear}${words.stopping(training)}\n`);
  };
  signal.addEventListener("abort", say, { once: true });
  return {
    event: ({ type }) => void (training = type !== "end"),
    [Symbol.asyncDispose]: () => Promise.resolve(signal.removeEventListener("abort", say)),
  };
}

/** Samples go where progress goes. */
const errorOutput: Output = {
  // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
  write: async (text) => terminal.write(text),
  isTty: terminal.isTty,
};
