/** The quickstart's records as JSONL files, like a downloaded data set. */

import { evalRecords, type QuickstartRecord, trainRecords } from "./records.ts";

/** Writes train.jsonl and val.jsonl. */
export async function writeQuickstartData(directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  const jsonl = (records: readonly QuickstartRecord[]) =>
    records.map((record) => JSON.stringify(record) + "\n").join("");
  await Deno.writeTextFile(`${directory}/train.jsonl`, jsonl(trainRecords));
  await Deno.writeTextFile(`${directory}/val.jsonl`, jsonl(evalRecords));
}
