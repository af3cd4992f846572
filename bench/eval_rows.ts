/**
 * Rows to show `deno task eval` with: sums in words with their thinking, and choices.
 *
 *     deno run -A bench/eval_rows.ts data/sums
 *
 * In: a folder. Out: `train.jsonl` (1,000 rows) and `test.jsonl` (500 others), the same for everyone. A quarter of the
 * test rows are a choice file's, with C-Eval's columns; training has such rows as they are asked. All is made here
 * from lists and a seed.
 */

import { mkdir } from "node:fs/promises";
import { parseChoiceRow } from "../infer/evaluate/choice_row.ts";
import { MersenneTwister } from "../ort/tensor/mersenne_twister.ts";

const TRAIN = 1000;
const TEST = 500;
/** Every so many rows one is a choice. */
const CHOICES = 4;

const NAMES = ["Anna", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana", "Ivan", "Julia"];
const THINGS = ["apples", "pencils", "stamps", "marbles", "cards", "books", "shells", "coins"];
const KINDS: Readonly<Record<string, readonly string[]>> = {
  animal: ["horse", "eagle", "salmon", "beetle", "otter", "goat", "lizard", "whale"],
  fruit: ["plum", "banana", "cherry", "grape", "mango", "pear", "lemon", "apricot"],
  tool: ["hammer", "saw", "chisel", "wrench", "drill", "pliers", "file", "screwdriver"],
  country: ["Norway", "Kenya", "Chile", "Japan", "Egypt", "Canada", "Poland", "Vietnam"],
  colour: ["green", "purple", "white", "yellow", "brown", "grey", "violet", "blue"],
  instrument: ["violin", "trumpet", "harp", "drum", "flute", "piano", "cello", "oboe"],
};

const random = MersenneTwister.fromSeed(20);
const upTo = (count: number): number => Math.floor(random.nextFloat53() * count);
const between = (low: number, high: number): number => low + upTo(high - low + 1);
const oneOf = <T>(list: readonly T[]): T => list[upTo(list.length)];

type Row = Readonly<Record<string, string>> & { readonly question: string };

/** A sum in words: its thinking, and an answer that ends as GSM8K's. */
function sum(): Row {
  const [name, things, place] = [
    oneOf(NAMES),
    oneOf(THINGS),
    oneOf(["at home", "in a bag", "on a shelf"]),
  ];
  const [a, b, c] = [between(12, 60), between(3, 29), between(2, 9)];
  const row = (question: string, think: string, number: number, answer: string): Row => ({
    question,
    think,
    answer: `${answer}\n#### ${number}`,
  });
  switch (upTo(5)) {
    case 0:
      return row(
        `${name} has ${a} ${things} ${place} and buys ${b} more. How many ${things} are there now?`,
        `There are ${a} at first, and ${b} are added. ${a} + ${b} = ${a + b}.`,
        a + b,
        `${name} has ${a + b} ${things} now.`,
      );
    case 1:
      return row(
        `${name} keeps ${a + b} ${things} ${place} and gives ${b} of them away. How many are left?`,
        `There are ${a + b} at first, and ${b} are taken away. ${a + b} - ${b} = ${a}.`,
        a,
        `${name} has ${a} ${things} left.`,
      );
    case 2:
      return row(
        `${name} fills ${c} boxes with ${b} ${things} each. How many ${things} is that?`,
        `Each of ${c} boxes has ${b}. ${c} * ${b} = ${c * b}.`,
        c * b,
        `That is ${c * b} ${things}.`,
      );
    case 3:
      return row(
        `${name} shares ${b * c} ${things} among ${c} friends. How many does each friend get?`,
        `${b * c} are shared among ${c}. ${b * c} / ${c} = ${b}.`,
        b,
        `Each friend gets ${b} ${things}.`,
      );
    default:
      return row(
        `${name} has ${a} ${things}, finds ${b} more and loses ${c}. How many ${things} are left?`,
        `First ${a} + ${b} = ${a + b}. Then ${a + b} - ${c} = ${a + b - c}.`,
        a + b - c,
        `${name} has ${a + b - c} ${things} left.`,
      );
  }
}

/** A question with four options, as C-Eval writes it. */
function choice(): Row {
  const kinds = Object.keys(KINDS);
  const kind = oneOf(kinds);
  const right = oneOf(KINDS[kind]);
  const wrong = new Set<string>();
  while (wrong.size < 3) wrong.add(oneOf(KINDS[oneOf(kinds.filter((each) => each !== kind))]));
  const at = upTo(4);
  const [A, B, C, D] = [...wrong].toSpliced(at, 0, right);
  const article = /^[aio]/.test(kind) ? "an" : "a";
  return { question: `Which of these is ${article} ${kind}?`, A, B, C, D, answer: "ABCD"[at] };
}

const [folder = "data/sums"] = Deno.args;
await mkdir(folder, { recursive: true });
const seen = new Set<string>();
const rows: Row[] = [];
while (rows.length < TRAIN + TEST) {
  const row = rows.length % CHOICES === 0 ? choice() : sum();
  const key = JSON.stringify(row);
  if (seen.has(key)) continue;
  seen.add(key);
  rows.push(row);
}
const train = rows.slice(0, TRAIN).map((row) => {
  const asked = parseChoiceRow(row, { file: "train.jsonl", line: 1 });
  if (asked === undefined) return row;
  const { question, answer } = asked.record;
  const text = asked.choice.options[answer];
  return { question, think: `${text} is the one.`, answer };
});
for (const [name, each] of [["train", train], ["test", rows.slice(TRAIN)]] as const) {
  const path = `${folder}/${name}.jsonl`;
  await Deno.writeTextFile(path, each.map((row) => `${JSON.stringify(row)}\n`).join(""));
  console.log(`${path}: ${each.length} rows`);
}
