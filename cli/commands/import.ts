/**
 * `deno task import`: a model folder of a GGUF file. In: the file, as of llama.cpp or Ollama. Out: config,
 * tokenizer and weights in Hugging Face's layout, which `--model` takes.
 *
 * @module
 */

import { Option } from "commander";
import { basename } from "node:path";
import { importGguf } from "../../infer/gguf/import_gguf.ts";
import type { ImportedDtype } from "../../infer/gguf/imported_weights.ts";
import { readCappedText } from "../../internal/regular_file.ts";
import { stageFolder } from "../../train/checkpoints/staged_folder.ts";
import { createProgressLine } from "../../train/runs/progress_line.ts";
import { formatBytes } from "../../train/track/format_units.ts";
import { runCommand } from "../process/run_command.ts";
import { terminal } from "../terminal/terminal.ts";

interface ImportFlags {
  readonly model: string;
  readonly outputDir?: string;
  readonly dtype: keyof typeof DTYPES;
  readonly chatTemplate?: string;
}

const DTYPES = {
  fp32: "float32",
  bf16: "bfloat16",
  fp16: "float16",
} as const satisfies Readonly<Record<string, ImportedDtype>>;

/** Templates have some thousand characters. */
const MAX_TEMPLATE_BYTES = 1024 * 1024;

await runCommand<ImportFlags>({
  name: "deno task import",
  description: "Makes a model folder of a GGUF file, as of llama.cpp or Ollama.",
  flags: (command) =>
    command
      .requiredOption("--model <file>", "the GGUF file")
      .option("--output-dir <dir>", "a new folder (default: models/ and the file's name)")
      .addOption(
        new Option("--dtype <name>", "numbers of the weights; fp32 loses nothing")
          .choices(Object.keys(DTYPES)).default("fp32"),
      )
      .option("--chat-template <path>", "Jinja file of a chat template, for a model without one"),
  run: async ({ options: { model, outputDir, dtype, chatTemplate: templatePath }, signal }) => {
    const directory = outputDir ?? `models/${basename(model).replace(/\.gguf$/i, "")}`;
    await using folder = await stageFolder(directory, "import");
    const chatTemplate = templatePath === undefined
      ? undefined
      : await readCappedText(templatePath, {
        maxBytes: MAX_TEMPLATE_BYTES,
        remedy: "give a Jinja file",
        root: null,
      });
    const progress = createProgressLine(terminal);
    const made = await importGguf(model, folder.path, {
      dtype: DTYPES[dtype],
      chatTemplate,
      signal,
      onBytes: (written, total) =>
        progress.update({
          fraction: written / total,
          whole: written === total,
          describe: () => `${formatBytes(written)} of ${formatBytes(total)}`,
        }),
    });
    await folder.finish();
    progress.finish();
    for (const note of made.notes) console.error(`note: ${note}`);
    console.log(
      `${directory}: ${made.modelType}, ${made.parameters.toLocaleString("en")} parameters, ` +
        `${made.tokens.toLocaleString("en")} tokens`,
    );
  },
});
