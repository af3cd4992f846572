/**
 * `deno task data --preview`, and the flags by which data are read as training reads them. In: files
 * and a model. Out: their rows token by token, in the terminal and as a page.
 */

import type { Command } from "commander";
import type { Teach } from "../../data/examples/taught_turns.ts";
import type { EmptyThink } from "../../data/examples/to_examples.ts";
import type { Truncation } from "../../data/examples/truncation.ts";
import { describeRowFile } from "../../data/records/row_file.ts";
import type { RowColumns } from "../../data/records/row_shapes.ts";
import { loadTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { readChatTemplate } from "../../infer/chat/read_chat_template.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { findFile } from "../../train/runs/find_file.ts";
import { findModel, findTrained } from "../../train/runs/find_model.ts";
import { DATA } from "../../train/runs/named_folders.ts";
import { expandRows, findRows } from "../../train/runs/row_paths.ts";
import { columnsFlag } from "../arguments/columns_flag.ts";
import { count } from "../arguments/flag_values.ts";
import {
  chatTemplateFlag,
  emptyThinkFlag,
  teachFlag,
  truncationFlag,
} from "../arguments/teach_flags.ts";
import { renderPreview } from "../data_report/preview_page.ts";
import { previewRows } from "../data_report/preview_rows.ts";
import { formatPreview } from "../data_report/preview_table.ts";
import { writeTogether } from "../data_report/write_split.ts";
import { terminal } from "../terminal/terminal.ts";

/** What is learned of rows, and which are shown. */
export interface PreviewFlags {
  readonly model?: string;
  readonly maxLength: number;
  readonly system?: string;
  readonly outputDir: string;
  readonly chatTemplate?: string;
  readonly emptyThink: EmptyThink;
  readonly columns?: RowColumns;
  readonly teach: Teach;
  readonly truncation: Truncation;
  readonly preview?: readonly string[];
  readonly previewRows: number;
}

/** Adds those that `deno task data` has for it alone. */
export function addPreviewFlags(command: Command): void {
  command
    .addOption(chatTemplateFlag())
    .addOption(emptyThinkFlag())
    .addOption(columnsFlag())
    .addOption(teachFlag())
    .addOption(truncationFlag())
    .option(
      "--preview <paths...>",
      "split nothing, but show rows token by token as training reads them, in the terminal and in preview.html: " +
        "files, folders or patterns, also below data/, as --train-file takes them; needs --model",
    )
    .option("--preview-rows <n>", "most rows of a preview, shared by its files", count, 200);
}

/** The tokenizer of a model, by its folder or its name; none of none. */
export async function openTokenizer(
  { model, chatTemplate }: Pick<PreviewFlags, "model" | "chatTemplate">,
): Promise<Tokenizer | undefined> {
  if (model === undefined) return undefined;
  const path = chatTemplate && await findFile(chatTemplate, { flag: "--chat-template" });
  return await loadTokenizer(await findTrained(await findModel(model), "tokenizer.json"), {
    chatTemplate: await readChatTemplate(path || undefined),
  });
}

/** Shows rows as training reads them. */
export async function previewCommand(
  names: readonly string[],
  { outputDir, maxLength, emptyThink, columns, teach, truncation, ...options }: PreviewFlags,
  signal: AbortSignal,
): Promise<void> {
  const tokenizer = await openTokenizer(options);
  if (tokenizer === undefined) {
    throw new UsageError(
      "Cannot show tokens without a tokenizer: give --model, a model's folder or its id below models/",
    );
  }
  const places = names.map((name) => findRows(name, { flag: "--preview", folders: [DATA] }));
  const sources = await expandRows(await Promise.all(places));
  for (const file of sources.flatMap(({ files }) => files)) {
    const { note } = await describeRowFile(file);
    if (note !== undefined) console.log(note);
  }
  const system = options.system || undefined;
  const most = options.previewRows;
  const taught = { emptyThink, columns, teach, truncation };
  const shown = await previewRows(sources, {
    tokenizer,
    maxLength,
    system,
    most,
    signal,
    ...taught,
  });
  const path = `${outputDir}/preview.html`;
  await Deno.mkdir(outputDir, { recursive: true });
  await writeTogether([{ path, parts: [await renderPreview(shown)] }]);
  const color = Deno.stdout.isTerminal() && !Deno.noColor;
  const width = terminal.columns();
  console.log([...formatPreview(shown, { width, color }), path].join("\n"));
}
