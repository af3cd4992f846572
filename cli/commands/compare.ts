/**
 * `deno task compare`: the exports of one checkpoint beside each other. In: folders that `deno task export` wrote.
 * Out: a table, a page and JSON.
 *
 * @module
 */

import { UsageError } from "../../internal/usage_error.ts";
import { writeWhole } from "../../internal/write_whole.ts";
import { findOutput } from "../../train/runs/find_file.ts";
import { firstFolder, isBare, OUTPUT } from "../../train/runs/named_folders.ts";
import {
  compareExports,
  type ExportFolder,
  exportsJson,
} from "../export_report/compared_exports.ts";
import { renderExports } from "../export_report/exports_page.ts";
import { formatExports } from "../export_report/exports_table.ts";
import { readParityFile } from "../export_report/parity_file.ts";
import { runCommand } from "../process/run_command.ts";

interface CompareFlags {
  readonly exports: readonly string[];
  readonly outputDir: string;
}

await runCommand<CompareFlags>({
  name: "deno task compare",
  description: "Puts all exports of a checkpoint on one page: size, exactness and replies of each.",
  flags: (command) =>
    command
      .requiredOption(
        "--exports <dirs...>",
        "folders that deno task export wrote, of one checkpoint, also below output/",
      )
      .option("--output-dir <dir>", "where the page and the figures go", "output/compare"),
  run: async ({ options }) => {
    const folders: ExportFolder[] = [];
    for (const folder of new Set(await Promise.all(options.exports.map(findExport)))) {
      folders.push({ folder, file: await readParityFile(folder) });
    }
    const result = compareExports(folders);
    const outputDir = await findOutput(options.outputDir);
    await Deno.mkdir(outputDir, { recursive: true });
    const [figures, page] = [`${outputDir}/exports.json`, `${outputDir}/report.html`];
    await writeWhole(figures, exportsJson(result));
    await writeWhole(page, await renderExports(result));
    for (const line of formatExports(result)) console.log(line);
    console.log(`figures and page: ${figures}, ${page}`);
  },
});

/** The folder as given, or below `output`; without a slash at its end. */
async function findExport(name: string): Promise<string> {
  const path = name.replace(/(?<=.)[/\\]+$/, "");
  if (!isBare(path)) return path;
  const { found } = await firstFolder([path, `${OUTPUT}/${path}`]);
  if (found !== undefined) return found;
  throw new UsageError(
    `Cannot find the export ${name}: there is no folder ${path} or ${OUTPUT}/${path}; give folders that ` +
      "deno task export wrote with --exports",
  );
}
