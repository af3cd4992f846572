/**
 * Trackers, which are told of a run's events: the terminal, metrics.jsonl, TensorBoard and SwanLab
 * files; and curves and a report of them.
 *
 * ```ts
 * import { type Tracker } from "@ortune/ortune/track";
 *
 * const losses: number[] = [];
 * const tracker: Tracker = {
 *   event(event) {
 *     if (event.type === "log") losses.push(event.loss);
 *     return Promise.resolve();
 *   },
 *   [Symbol.asyncDispose]: () => Promise.resolve(),
 * };
 * await tracker[Symbol.asyncDispose]();
 * ```
 *
 * @module
 */

export type { Tracker } from "./tracker.ts";
export { formatSample, type Sample, SAMPLES_KEY } from "./sample.ts";
export { type ConsoleTrackerOptions, createConsoleTracker } from "./console_tracker.ts";
export type { TerminalLanguage } from "./console_words.ts";
export { createMetricsLog } from "./metrics_log.ts";
export { createSamplesLog } from "./samples_log.ts";
export { createTensorboardLog, type TensorboardLogOptions } from "./tensorboard_log.ts";
export { createSwanlabLog, type SwanlabLogOptions } from "./swanlab_log.ts";
export { readMetricsLog } from "./read_metrics_log.ts";
export { type LossChartOptions, type LossPoint, renderLossChart } from "./loss_chart.ts";
export { renderReport, type ReportData, type ReportSample, type ReportSummary } from "./report.ts";
