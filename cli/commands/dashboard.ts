/**
 * `deno task dashboard`: the curves and samples of runs, live, in a browser on this machine. In: a
 * folder of runs. Out: a page on 127.0.0.1, or one HTML file.
 *
 * @module
 */

import { readRun } from "../../train/track/dashboard_data.ts";
import { createDashboardHandler } from "../../train/track/dashboard_handler.ts";
import { renderRunsPage } from "../../train/track/dashboard_page.ts";
import { findRuns } from "../../train/track/find_runs.ts";
import { giveUp } from "../process/give_up.ts";
import { runCommand } from "../process/run_command.ts";
import { port } from "../arguments/port.ts";
import { HOSTNAME, servePage } from "../process/serve_page.ts";
import { plural } from "../../internal/plural.ts";

interface DashboardFlags {
  readonly outputDir: string;
  readonly port: number;
  readonly report?: string;
}

await runCommand<DashboardFlags>({
  name: "deno task dashboard",
  description: "Shows the runs below a folder in a browser, live, or writes them as one HTML file.",
  flags: (command) =>
    command
      .option("--output-dir <dir>", "folder whose runs are shown", "output")
      .option("--port <number>", "port on 127.0.0.1; 0 for any free one", port, 6006)
      .option("--report <file>", "write an HTML file and end, such as output/compare.html"),
  run: async ({ options, signal }) => {
    // The task may do both, for either way to use it; each gives up what is the other's.
    if (options.report !== undefined) {
      await giveUp("net");
      await writeReport(options.outputDir, options.report);
    } else {
      await giveUp("write");
      await serve(options, signal);
    }
  },
});

async function writeReport(directory: string, file: string): Promise<void> {
  const names = await findRuns(directory);
  if (names.length === 0) {
    throw new Error(
      `Cannot write ${file}: no folder below ${directory} has a metrics.jsonl; ` +
        "train first, or give another --output-dir",
    );
  }
  const runs = await Promise.all(names.map((name) => readRun(`${directory}/${name}`, name)));
  await Deno.writeTextFile(file, await renderRunsPage(runs));
  console.log(`${file}: ${names.length} ${plural(names.length, "run")}`);
}

async function serve(
  { outputDir, port }: DashboardFlags,
  signal: AbortSignal,
): Promise<void> {
  let hosts: readonly string[] = [];
  const handler = createDashboardHandler({ directory: outputDir, hosts: () => hosts });
  await servePage(handler, {
    port,
    signal,
    onListen: (port) => {
      hosts = [`${HOSTNAME}:${port}`, `localhost:${port}`];
      console.log(`http://${HOSTNAME}:${port}/ shows the runs in ${outputDir}; Ctrl-C ends`);
    },
    failed: "Cannot read the runs",
  });
}
