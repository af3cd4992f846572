/** Trackers that write into a run's output folder. In: what reports are wanted. Out: each, with its file or folder. */

import { VERSION } from "../../internal/version.ts";
import { METRICS_FILE, SAMPLES_FILE } from "../track/find_runs.ts";
import { createMetricsLog } from "../track/metrics_log.ts";
import { createSamplesLog } from "../track/samples_log.ts";
import { createSwanlabLog } from "../track/swanlab_log.ts";
import { createTensorboardLog } from "../track/tensorboard_log.ts";
import type { Tracker } from "../track/tracker.ts";
import { folderName } from "./folder_name.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** metrics.jsonl, samples.jsonl, and what `reportTo` names. */
export function fileTrackers(
  args: TrainingArguments,
  { directory, onnxRuntime }: {
    readonly directory: string;
    /** ONNX Runtime's version. */
    readonly onnxRuntime: string;
  },
): readonly (readonly [path: string, tracker: Tracker])[] {
  const config = { ...args };
  const path = (name: string): string => `${directory}/${name}`;
  // What TensorBoard and SwanLab call a run without a name of its own; TensorBoard takes it from the path.
  const name = folderName(directory);
  const versions = { ortune: VERSION, onnxruntime: onnxRuntime };
  const trackers: (readonly [string, Tracker])[] = [
    [path(METRICS_FILE), createMetricsLog(path(METRICS_FILE))],
    [path(SAMPLES_FILE), createSamplesLog(path(SAMPLES_FILE))],
  ];
  if (args.reportTo.includes("tensorboard")) {
    trackers.push([
      path("tensorboard"),
      createTensorboardLog(path(`tensorboard/${name}`), { config }),
    ]);
  }
  if (args.reportTo.includes("swanlab")) {
    const named = createSwanlabLog(path("swanlog"), {
      name: args.runName ?? name,
      config,
      versions,
    });
    trackers.push([path("swanlog"), named]);
  }
  return trackers;
}
