/**
 * Whether the rows in `data/` are Qwen3-Medical-SFT's, whose prompt then goes above them.
 *
 * In: the folder. Out: what `deno task data` wrote down of where its rows came from.
 */

import { isRecord } from "../../internal/json/is_record.ts";
import { readJson } from "../../internal/json/read_json.ts";

/** The dataset of the seed project, on ModelScope. */
export const SEED_DATASET = "krisfu/delicate_medical_r1_data";
/** Where `deno task data` writes down what it split, beside the rows. */
export const SPLIT_FILE = "split.json";

/** The text of the file. @param source the dataset's id, or the path of a file */
export function formatSplit(
  source: string,
  more: Readonly<Record<string, string | number | boolean>>,
): string {
  return JSON.stringify({ source, ...more }, null, 2) + "\n";
}

/** Whether they are; rows without the file are, as those of the seed's own data.py. */
export async function isSeedData(directory: string): Promise<boolean> {
  const path = `${directory}/${SPLIT_FILE}`;
  const split = await readJson(path, "split the data again with deno task data, or delete it");
  return split === undefined || isRecord(split) && split.source === SEED_DATASET;
}
