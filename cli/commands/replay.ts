/**
 * `deno task replay run.json`: trains again what a manifest describes, after comparing every file
 * with its hash.
 *
 * @module
 */

import { Command } from "commander";
import { addLoraFlags, loraArguments, type LoraFlags } from "../arguments/lora_flags.ts";
import { openRuntime } from "../process/open_runtime.ts";
import {
  changedFiles,
  changedVersions,
  replayFlags,
  trainsAdapter,
} from "../arguments/replay_arguments.ts";
import { runCommand } from "../process/run_command.ts";
import { currentVersions, readManifest } from "../../train/runs/run_manifest.ts";
import { shellCommand } from "../process/shell_command.ts";
import { terminal } from "../terminal/terminal.ts";
import { processRank, trainCommand } from "./train_command.ts";
import { addTrainingFlags, type TrainingFlags } from "../arguments/training_flags.ts";

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
  description: "Starts a run again from its run.json: deno task replay output/my-run/run.json",
  flags: (command) =>
    command
      .requiredOption("--manifest <run.json>", "the manifest; its flag may be left out")
      .option("--output-dir <dir>", "where the new run goes (default: as the first)")
      .option("--allow-differences", "go on though files are not what they were"),
  rank: processRank(),
  run: async ({ options, signal }) => {
    const say = (line: string) => terminal.write(`${line}\n`);
    const manifest = await readManifest(options.manifest);
    const { manifest: path, outputDir } = options;
    const flags = replayFlags(manifest, { path, outputDir });
    const changes = await changedFiles(manifest.files);
    if (changes.length > 0 && !options.allowDifferences) {
      throw new Error(
        `Cannot replay ${options.manifest}: files are not what they were\n  ` +
          `${changes.join("\n  ")}\nRestore them, or pass --allow-differences`,
      );
    }
    const training = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    addTrainingFlags(training);
    addLoraFlags(training);
    const parsed: TrainingFlags & LoraFlags = training.parse(flags, { from: "user" }).opts();
    const lora = trainsAdapter(manifest) ? loraArguments(parsed) : undefined;
    {
      using runtime = openRuntime(parsed);
      const now = currentVersions(runtime.api.version, runtime.threads);
      const versions = changedVersions(manifest.versions, now);
      for (const line of [...changes, ...versions]) say(`note: ${line}`);
      if (versions.length > 0) say("note: so the last bits of the results may differ");
    }
    const task = lora ? "deno task train:lora" : "deno task train";
    say(shellCommand(task, flags));
    const title = () => `Replay of ${options.manifest}`;
    const { distributed, ...again } = parsed;
    await trainCommand({ ...again, lora }, { task, title, flags, distributed, signal });
  },
}, args);
