/** How unit tests are run: held to leaving nothing open, many files in one process. */

/**
 * What unit tests are held to: nothing that a test opened or began outlives it. Deno asks for it only where it is
 * told to. Whole runs, servers and processes of `tests/` are not.
 */
export const SANITIZERS: readonly string[] = ["--sanitize-ops", "--sanitize-resources"];
/** Opens ONNX Runtime's library, which stays open by design, before any test. */
export const PRELOADED = "tests/support/load_onnxruntime.ts";

/**
 * Unit tests of signals, servers, processes and libraries, which are not held to that: what these listen to, or load for
 * good, outlives a test. So do a chart's frames, which echarts goes on waiting for.
 */
const UNSANITIZED = [
  ...["cli/process/run_command_test.ts", "cli/process/serve_page_test.ts"],
  ...["comm/mpi_library_test.ts", "comm/nccl/nccl_comm_test.ts", "ort/runtime/api_test.ts"],
  ...["internal/regular_file_test.ts", "train/runs/memory_test.ts"],
  ...["train/track/line_chart_test.ts", "train/track/loss_chart_test.ts"],
  "train/track/report_test.ts",
  ...["train/runs/run_report_test.ts", "cli/export_report/exports_page_test.ts"],
];
/** What holds memory and libraries for as long as its own file's tests run, so that such files don't share a module. */
const HOST_GPU = /\b(?:hostGpu|testGpu)\(/;

/** Whether the tests of a file may share a process with those of others, by its path in the checkout and its text. */
export function mayShareModule(file: string, text: string): boolean {
  return !file.startsWith("tests/") && !UNSANITIZED.includes(file) && !HOST_GPU.test(text);
}

/** A module of test files in a checkout: they load what they test together once, in place of once each. */
export function moduleOf(root: string, files: readonly string[]): string {
  return files.map((file) => `import ${JSON.stringify(`file://${root}/${file}`)};\n`).join("");
}
