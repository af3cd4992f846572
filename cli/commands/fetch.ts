/**
 * `deno task fetch`: a model from Hugging Face or ModelScope into a folder. In: an id. Out: config,
 * tokenizer and weights, checked, in `models/{owner}/{name}`.
 *
 * @module
 */

import { type Command, Option } from "commander";
import type { HubSource } from "../../hub/hub_options.ts";
import { resolveModel } from "../../hub/resolve_model.ts";
import { createByteProgress } from "../terminal/byte_progress.ts";
import { repositoryId } from "../arguments/flag_values.ts";
import { hubEnvironment } from "../process/hub_environment.ts";
import { runCommand } from "../process/run_command.ts";
import { terminal } from "../terminal/terminal.ts";

interface FetchFlags {
  readonly model: string;
  readonly source: HubSource;
  readonly revision?: string;
  readonly outputDir: string;
  readonly offline?: boolean;
}

await runCommand<FetchFlags>({
  name: "deno task fetch",
  description: "Fetches a model or an adapter, whole and checked; an interrupted download goes on.",
  flags: (command: Command) =>
    command
      .requiredOption("--model <id>", "such as Qwen/Qwen3-0.6B", repositoryId)
      .addOption(
        new Option("--source <hub>", "where from").choices(["huggingface", "modelscope"])
          .default("modelscope"),
      )
      .option("--revision <name>", "branch, tag or commit")
      .option("--output-dir <dir>", "folder that holds models", "models")
      .option("--offline", "make no request, only look whether it is there"),
  run: async ({ options: { model, source, revision, outputDir, offline }, signal }) => {
    const progress = createByteProgress(terminal);
    try {
      const folder = await resolveModel(model, {
        source,
        revision,
        cacheDir: outputDir,
        offline,
        signal,
        ...hubEnvironment(source),
        onProgress: progress.update,
        onNotice: progress.note,
      });
      progress.finish();
      console.log(folder);
    } finally {
      progress.finish();
    }
  },
});
