/**
 * Rows that stand twice in a data set, or nearly so.
 *
 * In: rows, one by one. Out: for each that repeats an earlier one, which one, and whether its texts are
 * the same or alike. Texts are all strings of a row but system prompts and what is no text; letters'
 * case and blanks do not count.
 *
 * Alike are texts of which an estimated 85 % or more of all runs of five characters are shared (Jaccard's
 * index). The estimate is MinHash by one permutation (Li, Owen and Zhang, 2012) with 64 bins of 16
 * bits, filled by rotation (Shrivastava and Li, 2014), whose standard error is some 0.05; candidates
 * come from 8 bands of 5 bins, which miss 1 in 100 at 85 %; of rows that share a band the first is
 * looked at. Nothing is drawn at random: the same rows give the same answer. Memory is some 600 bytes
 * a row.
 */

import { createHash } from "node:crypto";

/** A row that repeats an earlier one. */
export interface Duplicate {
  /** The row, counted from 0 in the order in which rows came. */
  readonly row: number;
  /** The first row that it repeats. */
  readonly of: number;
  /** Whether the texts are the same, and not only alike. */
  readonly exact: boolean;
}

/** Rows of which those that are alike are found: of more, those that are the same. */
const MAX_NEAR_ROWS = 1_000_000;
const SHINGLE = 5;
/** Shorter texts share much by chance, such as two sums. */
const MIN_CHARACTERS = 100;
const BINS = 64;
const BANDS = 8;
const BAND_BINS = 5;
const ALIKE = 0.85;
const SYSTEM_FIELDS: ReadonlySet<string> = new Set(["system", "system_prompt", "system_message"]);
const MULTIPLIER = 0x01000193;
/** What a character is multiplied by once it leaves the run. */
const ROLL_OUT = Number(BigInt.asIntN(32, BigInt(MULTIPLIER) ** BigInt(SHINGLE)));

/** Finds rows that repeat earlier ones. */
export class DuplicateFinder {
  readonly #first = new Map<number, number>();
  /** The first row of each value of a band. */
  readonly #bands: Map<number, number>[] = Array.from({ length: BANDS }, () => new Map());
  /** Signatures of rows that others are compared with, by their rows. */
  readonly #signatures = new Map<number, Uint16Array>();
  #rows = 0;

  /** How many rows came. */
  get rows(): number {
    return this.#rows;
  }

  /** Takes one more row; answers which one it repeats. */
  add(values: Readonly<Record<string, unknown>>): Duplicate | undefined {
    const row = this.#rows++;
    const text = textOf(values);
    const hash = hashText(text);
    const same = this.#first.get(hash);
    if (same !== undefined) return { row, of: same, exact: true };
    this.#first.set(hash, row);
    if (text.length < MIN_CHARACTERS || row >= MAX_NEAR_ROWS) return undefined;
    const signature = sign(text);
    const keys = this.#bands.map((_, band) => hashBand(signature, band));
    const alike = this.#findAlike(signature, keys);
    // What repeats a row is found by that row too.
    if (alike !== undefined) return { row, of: alike, exact: false };
    this.#signatures.set(row, signature);
    for (const [band, key] of keys.entries()) {
      if (!this.#bands[band].has(key)) this.#bands[band].set(key, row);
    }
  }

  #findAlike(signature: Uint16Array, keys: readonly number[]): number | undefined {
    const candidates = new Set<number>();
    for (const [band, key] of keys.entries()) {
      const row = this.#bands[band].get(key);
      if (row !== undefined) candidates.add(row);
    }
    let [best, found] = [ALIKE * BINS, undefined as number | undefined];
    for (const row of [...candidates].sort((a, b) => a - b)) {
      const other = this.#signatures.get(row)!;
      let shared = 0;
      for (let i = 0; i < BINS; i++) if (signature[i] === other[i]) shared++;
      if (shared > best) [best, found] = [shared, row];
    }
    return found;
  }
}

/** All texts of a row, case and blanks made the same. */
function textOf(values: Readonly<Record<string, unknown>>): string {
  const parts: string[] = [];
  const add = (value: unknown): void => {
    if (typeof value === "string") parts.push(value);
    else if (Array.isArray(value)) value.forEach(add);
    else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
      const { role, from } = value as Record<string, unknown>;
      if (role === "system" || from === "system") return;
      for (const [name, item] of Object.entries(value)) {
        if (!SYSTEM_FIELDS.has(name.toLowerCase())) add(item);
      }
    }
  };
  add(values);
  return parts.join("\n").toLowerCase().replace(/\s+/g, " ").trim();
}

/** 53 bits of a text. */
function hashText(text: string): number {
  const hash = createHash("sha256").update(text, "utf16le").digest();
  return Number(hash.readBigUInt64LE() >> 11n);
}

/** The least hash of each bin over all runs of characters. */
function sign(text: string): Uint16Array {
  const bins = new Int32Array(BINS).fill(-1);
  let rolling = 0;
  for (let i = 0; i < text.length; i++) {
    rolling = Math.imul(rolling, MULTIPLIER) + text.charCodeAt(i) | 0;
    if (i >= SHINGLE) rolling = rolling - Math.imul(text.charCodeAt(i - SHINGLE), ROLL_OUT) | 0;
    if (i < SHINGLE - 1) continue;
    const hash = mix(rolling);
    const bin = hash & BINS - 1;
    const value = hash >>> 16;
    if (bins[bin] === -1 || value < bins[bin]) bins[bin] = value;
  }
  const signature = new Uint16Array(BINS);
  for (let i = 0; i < BINS; i++) {
    let from = i;
    while (bins[from] === -1) from = (from + 1) % BINS;
    // Borrowed at another distance it is another value.
    signature[i] = bins[from] + Math.imul((from - i + BINS) % BINS, 0x9e37);
  }
  return signature;
}

function hashBand(signature: Uint16Array, band: number): number {
  let hash = 0;
  for (let i = band * BAND_BINS; i < (band + 1) * BAND_BINS; i++) {
    hash = mix(Math.imul(hash, MULTIPLIER) ^ signature[i]);
  }
  return hash;
}

/** MurmurHash3's finalizer. */
function mix(value: number): number {
  let hash = Math.imul(value ^ value >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return hash ^ hash >>> 16;
}
