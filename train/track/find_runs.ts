/**
 * The runs below a folder.
 *
 * In: a folder. Out: the folders below it, itself included, that hold a metrics log.
 */

import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { isAbsent } from "../../internal/regular_file.ts";

/** The file that makes a folder a run's. */
export const METRICS_FILE = "metrics.jsonl";
/** What the run's model said, in the same folder. */
export const SAMPLES_FILE = "samples.jsonl";
/** What the run was made of and how it ended, in the same folder. */
export const RUN_MANIFEST = "run.json";

/** Levels below the folder: deeper ones are checkpoints and other people's trees. */
const MAX_DEPTH = 4;
/** More curves than that say nothing in one chart. */
const MAX_RUNS = 100;

/**
 * Paths of the runs relative to `directory`, with `/` between folders, sorted; "." for itself.
 * Links, hidden folders and checkpoints are passed over.
 */
export async function findRuns(directory: string): Promise<string[]> {
  const runs: string[] = [];
  const search = async (path: string, depth: number): Promise<void> => {
    if (runs.length >= MAX_RUNS) return;
    const entries = await list(path === "" ? directory : `${directory}/${path}`);
    if (entries.some((entry) => entry.name === METRICS_FILE && entry.isFile())) {
      runs.push(path === "" ? "." : path);
    }
    if (depth === MAX_DEPTH) return;
    for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
      if (!entry.isDirectory() || /^\.|^checkpoint-/.test(entry.name)) continue;
      await search(path === "" ? entry.name : `${path}/${entry.name}`, depth + 1);
    }
  };
  await search("", 0);
  return runs;
}

/** What is in a folder: nothing in one that does not exist yet, or was removed while others were searched. */
async function list(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}
