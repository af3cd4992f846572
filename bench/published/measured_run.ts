/**
 * A training script in a process of its own, measured. In: a script of cli/ and its flags. Out: its
 * figures by step, minutes and the most memory it ever had.
 */

import { readMetricsLog } from "../../train/track/read_metrics_log.ts";
import type { EvaluateEvent, LogEvent } from "../../train/events.ts";

/** What a run came to. */
export interface MeasuredRun {
  readonly logs: readonly LogEvent[];
  readonly evaluations: readonly EvaluateEvent[];
  /** Loading, evaluations and saving counted in. */
  readonly minutes: number;
  /** High-water mark of resident memory in MiB; NaN where the system does not tell. */
  readonly peakMiB: number;
  /** Folder of the last checkpoint. */
  readonly checkpoint: string;
}

/** What a run reads and writes; all else is forbidden to it, as to `deno task train`. */
export interface MeasuredRunOptions {
  readonly script: "train" | "train_lora";
  readonly reads: readonly string[];
  readonly outputDir: string;
  readonly flags: Readonly<Record<string, string | number | boolean>>;
}

const POLL_MS = 200;

/** Runs the script; its output goes to the terminal. */
export async function measureRun(options: MeasuredRunOptions): Promise<MeasuredRun> {
  const { script, reads, outputDir } = options;
  const flags: MeasuredRunOptions["flags"] = { ...options.flags, "output-dir": outputDir };
  const began = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-ffi",
      "--allow-env=ORTUNE_ORT_LIB",
      "--allow-sys=systemMemoryInfo",
      `--allow-read=${[...reads, outputDir].join(",")}`,
      `--allow-write=${outputDir}`,
      new URL(`../../cli/commands/${script}.ts`, import.meta.url).pathname,
      ...Object.entries(flags).flatMap(([name, value]) =>
        value === true ? [`--${name}`] : [`--${name}`, `${value}`]
      ),
    ],
  }).spawn();
  let peakMiB = NaN;
  const poll = setInterval(() => peakMiB = highWaterMark(child.pid) ?? peakMiB, POLL_MS);
  const { code } = await child.status;
  clearInterval(poll);
  if (code !== 0) throw new Error(`Cannot go on: cli/commands/${script}.ts exited ${code}`);
  const minutes = (performance.now() - began) / 60_000;
  const events = await readMetricsLog(`${outputDir}/metrics.jsonl`);
  const logs = events.filter((event): event is LogEvent => event.type === "log");
  const evaluations = events.filter((event): event is EvaluateEvent => event.type === "evaluate");
  const checkpoint = `${outputDir}/checkpoint-${evaluations.at(-1)!.step}`;
  return { logs, evaluations, minutes, peakMiB, checkpoint };
}

/** Linux keeps the mark, so that polling misses only what comes after the last look. */
function highWaterMark(pid: number): number | undefined {
  try {
    const [, kib] = /VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`)) ?? [];
    return kib === undefined ? undefined : Number(kib) / 1024;
  } catch {
    return undefined;
  }
}
