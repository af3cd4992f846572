/**
 * `deno task replay run.json`: trains again what a manifest describes, after comparing every file
 * with its hash.
 *
 * @module
 */

import { Command } from "commander";
import { createConsoleTracker } from "../track/console_tracker.ts";
import { openRuntime } from "./open_runtime.ts";
import { changedFiles, changedVersions, replayFlags } from "./replay_arguments.ts";
import { runCommand } from "./run_command.ts";
import { currentVersions, readManifest } from "./run_manifest.ts";
import { writeRunReport } from "./run_report.ts";
import { shellCommand } from "./shell_command.ts";
import { terminal } from "./terminal.ts";
import { addTrainingFlags, type TrainingArguments } from "./training_arguments.ts";
import { runTraining } from "./training_run.ts";

interface ReplayFlags {
  readonly manifest: string;
  readonly outputDir?: string;
  readonly allowDifferences?: boolean;
}

// Commands take flags alone; the manifest may stand first without one.
const [first] = Deno.args;
const args = first === undefined || first.startsWith("-")
  ? Deno.args
  : ["--manifest", ...Deno.args];

await runCommand<ReplayFlags>({
  name: "deno task replay",
  description: "Starts a run again from its run.json: deno task replay output/run.json",
  flags: (command) =>
    command
      .requiredOption("--manifest <run.json>", "the manifest; its flag may be left out")
      .option("--output-dir <dir>", "where the new run goes (default: as the first)")
      .option("--allow-differences", "go on though files are not what they were"),
  run: async ({ options, signal }) => {
    const say = (line: string) => terminal.write(`${line}\n`);
    const manifest = await readManifest(options.manifest);
    const flags = replayFlags(manifest, options.outputDir);
    const changes = await changedFiles(manifest.files);
    if (changes.length > 0 && !options.allowDifferences) {
      throw new Error(
        `Cannot replay ${options.manifest}: files are not what they were\n  ` +
          `${changes.join("\n  ")}\nRestore them, or pass --allow-differences`,
      );
    }
    const training = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    addTrainingFlags(training);
    const trainingArgs: TrainingArguments = training.parse(flags, { from: "user" }).opts();
    {
      using runtime = openRuntime(trainingArgs);
      const now = currentVersions(runtime.api.version, runtime.threads);
      const versions = changedVersions(manifest.versions, now);
      for (const line of [...changes, ...versions]) say(`note: ${line}`);
      if (versions.length > 0) say("note: so the last bits of the results may differ");
    }
    const command = shellCommand("deno task train", flags);
    say(command);
    await using console = createConsoleTracker(terminal);
    await using run = await runTraining(trainingArgs, {
      signal,
      say,
      trackers: [console],
      command,
      progress: terminal,
    });
    const title = `Replay of ${options.manifest}`;
    const files = await writeRunReport(run, { args: trainingArgs, title, command });
    say(`curves and report: ${files.join(", ")}`);
  },
}, args);
