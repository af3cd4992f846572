/**
 * What it costs to make examples of rows: reading, rendering, tokenizing and checking, with Qwen3's real
 * tokenizer and template. Rows of 464 tokens on average, half in Chinese and half in English.
 *
 *     deno run -A bench/encode_rows.ts                    # this checkout
 *     deno run -A bench/encode_rows.ts --beside DIR       # and another one, in turns
 */

import { repositoryPath } from "../tests/support/run_script.ts";
import { recordTexts } from "./record_texts.ts";

const ROWS = 1500;
const TURNS = 5;

/** A worker: encodes the file with the code of one checkout and prints rows a second and tokens. */
const WORKER = `
const [root, file] = Deno.args;
const { readExamples } = await import("@ortune/ortune");
const { qwen3Tokenizer } = await import(root + "/tests/support/qwen3_tokenizer.ts");
const tokenizer = await qwen3Tokenizer();
const options = { tokenizer, maxLength: 2048, system: "Be brief." };
await readExamples(file, { ...options, limit: 300 });
const began = performance.now();
const { report } = await readExamples(file, options);
console.log(report.rows / (performance.now() - began) * 1000, report.tokens);
`;

async function measure(root: string, files: { worker: string; rows: string }): Promise<number[]> {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `--config=${root}/deno.json`, files.worker, root, files.rows],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`Cannot encode with ${root}: ${text(stderr)}`);
  return text(stdout).trim().split(" ").map(Number);
}

const text = recordTexts(1);

const folder = await Deno.makeTempDir();
const files = { worker: `${folder}/worker.ts`, rows: `${folder}/rows.jsonl` };
await Deno.writeTextFile(files.worker, WORKER);
const rows = Array.from(
  { length: ROWS },
  () => JSON.stringify({ question: text(60), think: text(300), answer: text(300) }),
);
await Deno.writeTextFile(files.rows, rows.join("\n"));

const beside = Deno.args.indexOf("--beside");
const roots = [
  repositoryPath(""),
  ...beside < 0 ? [] : [await Deno.realPath(Deno.args[beside + 1])],
].map((root) => root.replace(/\/$/, ""));
const rates = roots.map(() => [] as number[]);
let tokens = 0;
for (let turn = 0; turn < TURNS; turn++) {
  for (const [i, root] of roots.entries()) {
    const [rate, count] = await measure(root, files);
    rates[i].push(rate);
    tokens = count;
  }
}
await Deno.remove(folder, { recursive: true });
const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[TURNS >> 1];
console.log(
  `${ROWS} rows of ${
    Math.round(tokens / ROWS)
  } tokens; rows/s, median of ${TURNS} (lowest–highest)`,
);
for (const [i, root] of roots.entries()) {
  const all = rates[i].map((rate) => Math.round(rate));
  console.log(`${root}: ${middle(all)} (${Math.min(...all)}–${Math.max(...all)})`);
}
if (roots.length > 1) console.log(`ratio ${(middle(rates[0]) / middle(rates[1])).toFixed(2)}`);
