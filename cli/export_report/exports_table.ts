/** A comparison of exports as a table for the terminal. In: the comparison. Out: lines. */

import { formatBytes, formatLoss } from "../../train/track/format_units.ts";
import { formatTable } from "../terminal/format_table.ts";
import type { ComparedExport, ComparedExports } from "./compared_exports.ts";
import { exportsText, type ExportsWords } from "./exports_words.ts";

/** A change as a percentage with its sign. */
export function formatChange(change: number): string {
  const percent = 100 * change;
  const digits = Math.abs(percent) >= 10 ? 1 : Math.abs(percent) >= 0.1 ? 2 : 3;
  const text = percent.toFixed(digits).replace(/^-(?=[0.]+$)/, "");
  return `${Number(text) > 0 ? "+" : ""}${text} %`;
}

/** A difference of logits. */
export function formatLogits(difference: number): string {
  return Number.isFinite(difference) ? difference.toExponential(1) : `${difference}`;
}

/** How many of all, as the share that they are; empty where there are none. */
export function formatShare(same: number, all: number): string {
  return all === 0 ? "" : `${(100 * same / all).toFixed(1)} %`;
}

/** Greedy tokens of all prompts together that are the same. */
export function greedyShare(
  { compared }: Required<Pick<ComparedExport, "compared">>,
): readonly [same: number, all: number] {
  const { same, tokens } = compared.parity.greedy;
  return [same.reduce((sum, each) => sum + each, 0), tokens * same.length];
}

/** What llama.cpp tells of a file, in words; empty where it was not asked. */
export function llamaWords(
  { template, tokens, ends, agrees }: ExportsWords,
  { llama }: ComparedExport,
): string {
  if (llama === undefined) return "";
  const faults = [
    ...llama.template ? [] : [template],
    ...llama.texts.same === llama.texts.all ? [] : [tokens(llama.texts.same, llama.texts.all)],
    ...llama.ends.same === llama.ends.all ? [] : [ends(llama.ends.same, llama.ends.all)],
  ];
  return faults.length === 0 ? agrees : faults.join(", ");
}

const say = (choose: (words: ExportsWords) => string): string => exportsText(choose).en;

/** Columns of text; those of figures end below each other. */
const LEFT = 1;

/** The table. */
export function formatExports(
  { bytes, bitsPerWeight, perplexity, exports }: ComparedExports,
): string[] {
  const header = [
    say(({ model }) => model),
    say(({ size }) => size),
    say(({ bits }) => bits),
    say(({ perplexity }) => perplexity),
    say(({ change }) => change),
    say(({ logits }) => logits),
    say(({ likeliest }) => likeliest),
    say(({ greedy }) => greedy),
    say(({ llama }) => llama),
  ];
  const rows = [
    [
      say(({ checkpoint }) => checkpoint),
      ...sizes(bytes, bitsPerWeight),
      perplexity === undefined ? "" : formatLoss(perplexity),
    ],
    ...exports.map((each) => [
      `${each.name} (${each.folder})`,
      ...sizes(each.bytes, each.bitsPerWeight),
      ...figures(each),
    ]),
  ];
  return [
    ...formatTable([header, ...rows.map((row) => header.map((_, i) => row[i] ?? ""))], {
      left: LEFT,
    }),
    ...exports.filter(({ compared }) => !compared).map((each) =>
      `${each.name}: ${say(({ notCompared }) => notCompared(each))}`
    ),
  ];
}

function sizes(bytes: number, bits: number): string[] {
  return [formatBytes(bytes), bits.toFixed(2)];
}

function figures(each: ComparedExport): string[] {
  const { compared } = each;
  if (compared === undefined) return [];
  const { parity, change } = compared;
  return [
    formatLoss(parity.perplexity.export),
    formatChange(change),
    `${formatLogits(parity.maxAbsolute)}, ${formatLogits(parity.meanAbsolute)}`,
    formatShare(parity.positions.same, parity.positions.all),
    formatShare(...greedyShare({ compared })),
    exportsText((words) => llamaWords(words, each)).en,
  ];
}
