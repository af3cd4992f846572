/**
 * Qwen3-Medical-SFT's dataset, shuffled and split as its data.py does.
 *
 * In: nothing, or a file of rows and a folder. Out: train.jsonl and val.jsonl in the folder.
 *
 *     deno run -A examples/data.ts                      from ModelScope into data/
 *     deno run -A examples/data.ts rows.jsonl my-data     from a file of yours
 */

import {
  formatPythonJson,
  readDatasetRows,
  resolveDatasetFile,
  splitDataset,
} from "@ortune/ortune";

const [source, folder = "data"] = Deno.args;
const file = source ??
  await resolveDatasetFile("krisfu/delicate_medical_r1_data", "r1_data_example.jsonl", {
    source: "modelscope",
    cacheDir: `${folder}/downloads`,
  });

const rows = await readDatasetRows([file]);
// The order is that of Python's random.seed(42) and random.shuffle().
const { train, validation } = splitDataset(rows.length, { trainRatio: 0.9, seed: 42 });

await Deno.mkdir(folder, { recursive: true });
for (const [name, order] of [["train", train], ["val", validation]] as const) {
  // Bytes as json.dump(row, file, ensure_ascii=False) writes them.
  const lines = order.map((index) => `${formatPythonJson(rows.row(index).value)}\n`);
  await Deno.writeTextFile(`${folder}/${name}.jsonl`, lines.join(""));
  console.log(`${folder}/${name}.jsonl: ${order.length} rows`);
}
