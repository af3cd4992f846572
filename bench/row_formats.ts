/**
 * The same rows in each format: rows a second and peak memory of reading them beside JSON Lines, the
 * memory of a tenth of the rows, and a tenth tokenized. Rows of some 460 Qwen3 tokens,
 * half in Chinese and half in English. Each measurement has a process of its own; formats take turns.
 * Prints Markdown. Needs 1 GiB of disk in the temporary folder, and for Parquet a Python with pyarrow.
 *
 *     deno run -A bench/row_formats.ts [--rows 100000] [--python python3]
 */

import { parseArgs } from "node:util";
import { createGzip, createZstdCompress } from "node:zlib";
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { readRows } from "../data/records/read_rows.ts";
import { prepareExamples } from "../data/examples/prepare_examples.ts";
import { qwen3Tokenizer } from "../tests/support/qwen3_tokenizer.ts";
import { peakMemory } from "./measure.ts";
import { recordTexts } from "./record_texts.ts";

const TURNS = 3;
const COLUMNS = ["question", "think", "answer"] as const;
/** A format's file name, rows of a Parquet row group, and whether its rows are tokenized too. */
const FILES: readonly {
  readonly name: string;
  readonly group?: number;
  readonly tokenized?: true;
}[] = [
  { name: "rows.jsonl", tokenized: true },
  { name: "rows.json" },
  { name: "rows.csv", tokenized: true },
  { name: "rows.tsv" },
  { name: "rows.jsonl.gz" },
  { name: "rows.jsonl.zst" },
  { name: "1000.parquet", group: 1000, tokenized: true },
  { name: "10000.parquet", group: 10_000 },
  { name: "one.parquet", group: 1_000_000 },
];

interface Measured {
  readonly rowsPerSecond: number;
  readonly peakMib: number;
}

async function measureHere(path: string, work: string): Promise<Measured> {
  let rows = 0;
  let began = performance.now();
  if (work === "read") {
    for await (const _row of readRows(path, (value) => value)) rows++;
  } else {
    const tokenizer = await qwen3Tokenizer();
    const directory = await Deno.makeTempDir();
    began = performance.now();
    const store = { directory, key: () => Promise.resolve("bench") };
    using prepared = await prepareExamples(path, { tokenizer, maxLength: 2048, store });
    rows = prepared.report.rows;
    await Deno.remove(directory, { recursive: true });
  }
  const rowsPerSecond = rows / (performance.now() - began) * 1000;
  return { rowsPerSecond, peakMib: peakMemory() };
}

async function measure(path: string, work: string): Promise<Measured> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", import.meta.filename!, "--file", path, "--work", work],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`Cannot read ${path}: exit code ${code}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Writes the rows in all formats. */
async function writeFiles(folder: string, rows: number, python: string): Promise<void> {
  await Deno.mkdir(folder);
  const text = recordTexts(1);
  const names = ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv"];
  const texts = ["", "[", `${COLUMNS.join(",")}\n`, `${COLUMNS.join("\t")}\n`];
  const cell = (value: string): string => `"${value.replaceAll('"', '""')}"`;
  for (let row = 0; row < rows; row++) {
    const values = [text(60), text(300), text(300)];
    const json = JSON.stringify(Object.fromEntries(COLUMNS.map((name, i) => [name, values[i]])));
    texts[0] += `${json}\n`;
    texts[1] += `${row === 0 ? "" : ",\n"}${json}${row === rows - 1 ? "]" : ""}`;
    texts[2] += `${values.map(cell).join(",")}\n`;
    texts[3] += `${values.map(cell).join("\t")}\n`;
    if (texts[0].length < 1 << 20 && row < rows - 1) continue;
    for (const [i, name] of names.entries()) {
      await Deno.writeTextFile(`${folder}/${name}`, texts[i], { append: true });
    }
    texts.fill("");
  }
  const source = `${folder}/rows.jsonl`;
  await pipeline(createReadStream(source), createGzip(), createWriteStream(`${source}.gz`));
  await pipeline(
    createReadStream(source),
    createZstdCompress(),
    createWriteStream(`${source}.zst`),
  );
  const script = new URL("row_formats.py", import.meta.url).pathname;
  for (const { name, group } of FILES) {
    if (group === undefined) continue;
    const { success, stderr } = await new Deno.Command(python, {
      args: [script, source, `${folder}/${name}`, String(group)],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }
}

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "100000" },
    python: { type: "string", default: "python3" },
    file: { type: "string" },
    work: { type: "string" },
  },
});
if (values.file !== undefined) {
  console.log(JSON.stringify(await measureHere(values.file, values.work!)));
} else {
  const folder = await Deno.makeTempDir();
  try {
    const many = Number(values.rows);
    for (const rows of [many, many / 10]) {
      await writeFiles(`${folder}/${rows}`, rows, values.python);
    }
    const middle = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[TURNS >> 1];
    const read = new Map<string, Measured[]>(FILES.map(({ name }) => [name, []]));
    for (let turn = 0; turn < TURNS; turn++) {
      for (const { name } of FILES) {
        read.get(name)!.push(await measure(`${folder}/${many}/${name}`, "read"));
      }
    }
    const rate = (name: string): number =>
      middle(read.get(name)!.map(({ rowsPerSecond }) => rowsPerSecond));
    console.log(
      "| file | MiB | read, rows/s | to JSON Lines | peak MiB | peak MiB of a tenth | a tenth tokenized, rows/s | peak MiB |\n" +
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    );
    for (const { name, tokenized } of FILES) {
      const tenth = await measure(`${folder}/${many / 10}/${name}`, "read");
      const { size } = await Deno.stat(`${folder}/${many}/${name}`);
      const cells = [
        name,
        (size / 2 ** 20).toFixed(0),
        rate(name).toFixed(0),
        (rate(name) / rate(FILES[0].name)).toFixed(2),
        middle(read.get(name)!.map(({ peakMib }) => peakMib)).toFixed(0),
        tenth.peakMib.toFixed(0),
      ];
      if (tokenized) {
        const all = await measure(`${folder}/${many / 10}/${name}`, "tokenize");
        cells.push(all.rowsPerSecond.toFixed(0), all.peakMib.toFixed(0));
      } else cells.push("", "");
      console.log(`| ${cells.join(" | ")} |`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
