/**
 * Learns the quickstart tokenizer's BPE merges from the embedded records and writes `merges.ts`.
 * Run it after a change to `records.ts`, from the repository root:
 *
 * ```sh
 * deno run --allow-write=examples/quickstart/merges.ts examples/quickstart/learn_merges.ts
 * ```
 *
 * In: the 32 conversations as the chat template writes them, without its special tokens. Out: one
 * `left right` pair a line over GPT-2's byte symbols, in the order they apply. The same records
 * always give the same merges.
 *
 * @module
 */

import { byteSymbols, piecePattern } from "./byte_level.ts";
import { records, systemPrompt } from "./records.ts";

/** How many merges the quickstart tokenizer has: 256 bytes, 763 merges and 5 added tokens are 1024. */
export const mergeCount: number = 763;

/** The texts between special tokens, record by record, as often as training sees them. */
export function learningTexts(): string[] {
  return records.flatMap(({ question, think, answer }) => [
    `system\n${systemPrompt}`,
    "\n",
    `user\n${question}`,
    "\n",
    "assistant\n",
    `\n${think}\n`,
    `\n\n${answer}`,
    "\n",
  ]);
}

/**
 * Learns up to `count` merges, most frequent pair first; among equals the pair whose text comes
 * first in code unit order. Stops early when no pair is left.
 *
 * A merge never joins part of one character to part of another, as plain byte-level BPE may: with
 * 32 records to learn from, whole characters let a small model write valid UTF-8 sooner.
 *
 * Source: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909, algorithm 1.
 *
 * @returns `left right` pairs in the order they apply.
 */
export function learnMerges(texts: readonly string[], count: number): string[] {
  const words = splitWords(texts);
  const known = new Set(byteSymbols);
  const merges: string[] = [];
  while (merges.length < count) {
    const best = bestPair(words, known);
    if (best === undefined) break;
    merges.push(best);
    const [left, right] = best.split(" ");
    known.add(left + right);
    for (const word of words) mergePair(word.symbols, left, right);
  }
  return merges;
}

/** The source text of `merges.ts`. */
export function mergesModule(merges: readonly string[]): string {
  const escaped = merges.join("\n").replace(/[\\`]|\$\{/g, "\\$&");
  return `/**
 * The quickstart tokenizer's BPE merges over GPT-2's byte symbols, \`left right\` a line, in the order
 * they apply. Made by \`learn_merges.ts\` from \`records.ts\`; do not edit.
 *
 * @module
 */

/** ${merges.length} merges, each \`left right\`. */
export const merges: readonly string[] = \`
${escaped}
\`.trim().split("\\n");
`;
}

/** A distinct piece of text, as the symbols it is made of so far, and how often it occurs. */
interface Word {
  readonly symbols: string[];
  count: number;
}

function splitWords(texts: readonly string[]): Word[] {
  const pattern = new RegExp(piecePattern, "gu");
  const encoder = new TextEncoder();
  const words = new Map<string, Word>();
  for (const text of texts) {
    for (const [piece] of text.normalize("NFC").matchAll(pattern)) {
      const word = words.get(piece);
      if (word !== undefined) {
        word.count++;
      } else {
        const symbols = Array.from(encoder.encode(piece), (byte) => byteSymbols[byte]);
        words.set(piece, { symbols, count: 1 });
      }
    }
  }
  return [...words.values()];
}

function bestPair(words: readonly Word[], known: ReadonlySet<string>): string | undefined {
  const counts = new Map<string, number>();
  for (const { symbols, count } of words) {
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]} ${symbols[i]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined;
  let bestCount = 0;
  for (const [pair, count] of counts) {
    if (count < bestCount || (count === bestCount && best !== undefined && pair > best)) continue;
    const merged = pair.replace(" ", "");
    // Two pairs can spell one token; a second merge into it would leave the vocabulary one short.
    if (known.has(merged) || !keepsCharacters(merged)) continue;
    best = pair;
    bestCount = count;
  }
  return best;
}

/** Whether `token` is whole characters only, or lies within a single one. */
function keepsCharacters(token: string): boolean {
  const bytes = Uint8Array.from(token, (symbol) => byteSymbols.indexOf(symbol));
  const isLead = (byte: number): boolean => (byte & 0xc0) !== 0x80;
  // From its second byte on, a part of one character holds continuation bytes only.
  if (!bytes.subarray(1).some(isLead)) return true;
  return !new TextDecoder().decode(bytes).includes("\ufffd");
}

function mergePair(symbols: string[], left: string, right: string): void {
  for (let i = 0; i + 1 < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right);
  }
}

if (import.meta.main) {
  const merges = learnMerges(learningTexts(), mergeCount);
  await Deno.writeTextFile(new URL("./merges.ts", import.meta.url), mergesModule(merges));
  console.log(`Wrote ${merges.length} merges to merges.ts`);
}
