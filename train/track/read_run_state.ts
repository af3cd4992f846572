/**
 * Whether a run goes on, and how it ended.
 *
 * In: a run's folder. Out: its status and times, of the run.json that training writes there; nothing
 * where that file is missing or is not one, as a dashboard looks at files that others write.
 */

import { stat } from "node:fs/promises";
import { isRecord } from "../../internal/json/is_record.ts";
import { readCappedText } from "../../internal/regular_file.ts";
import { METRICS_FILE, RUN_MANIFEST } from "./find_runs.ts";
import type { RunState, RunStatus } from "./run_update.ts";

/** Some kilobytes in use. */
const MAX_BYTES = 1024 * 1024;
/** A run that logged nothing for so long was killed, or is stuck. */
const SILENT_MS = 60 * 60 * 1000;
const ENDED: readonly RunStatus[] = ["completed", "early-stopped", "aborted", "failed"];

/** Reads it. @param now milliseconds since 1970 */
export async function readRunState(
  folder: string,
  now: number = Date.now(),
): Promise<RunState | undefined> {
  const value = await readJsonObject(`${folder}/${RUN_MANIFEST}`);
  if (value === undefined) return undefined;
  const { status, started, ended } = value;
  if (typeof started !== "string" || Number.isNaN(Date.parse(started))) return undefined;
  const done = ENDED.find((each) => each === status);
  if (done !== undefined) {
    const known = typeof ended === "string" && !Number.isNaN(Date.parse(ended));
    return { status: done, started, ended: known ? ended : null };
  }
  const log = await stat(`${folder}/${METRICS_FILE}`).catch(() => undefined);
  const last = Math.max(Date.parse(started), log?.mtimeMs ?? 0);
  return { status: now - last > SILENT_MS ? "silent" : "running", started, ended: null };
}

async function readJsonObject(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    const remedy = "delete it";
    const value: unknown = JSON.parse(await readCappedText(path, { maxBytes: MAX_BYTES, remedy }));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
