/** The quickstart's model and records, laid out as a user's folder: models/tiny, data. */

import { writeQuickstartData } from "../../examples/quickstart/write_dataset.ts";
import { writeQuickstartModel } from "../../examples/quickstart/quickstart_model.ts";
import { type TempFolder, tempFolder } from "./temp_folder.ts";

/** Threads of every test, so that results are the same to the bit. */
export const THREADS = 2;

/** A temporary folder with models/tiny, data/train.jsonl and data/val.jsonl. */
export async function quickstartFolder(): Promise<TempFolder> {
  const folder = await tempFolder();
  await writeQuickstartModel(`${folder.path}/models/tiny`, 1);
  await writeQuickstartData(`${folder.path}/data`);
  return folder;
}
