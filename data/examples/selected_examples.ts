/**
 * Examples of several files in one list, in any order, some of them left out or taken again.
 *
 * In: packed examples of files, and which rows of them. Out: a list that reads them one at a time; 8
 * bytes an example in memory besides the files' own.
 */

import { createHash } from "node:crypto";
import type { Example } from "./example.ts";
import type { ExampleList } from "./example_list.ts";
import { noExample } from "./no_example.ts";
import { bytesOf, type PackedExamples } from "./packed_examples.ts";

/** All examples of one row. */
export interface ExampleRow {
  /** Index of its file. */
  readonly part: number;
  /** Index of the first of its examples there. */
  readonly start: number;
  /** Index after the last of them. */
  readonly end: number;
}

/** The rows that gave the examples of a file, in order. */
export function rowsOf({ lines }: PackedExamples, part: number): ExampleRow[] {
  const rows: ExampleRow[] = [];
  for (let start = 0; start < lines.length;) {
    let end = start + 1;
    while (end < lines.length && lines[end] === lines[start]) end++;
    rows.push({ part, start, end });
    start = end;
  }
  return rows;
}

/** Examples of chosen rows. */
export class SelectedExamples implements ExampleList {
  readonly length: number;
  readonly lengths: Int32Array;
  readonly supervised: Int32Array;
  /** Changes with the examples and with their order. */
  readonly sha256: string;
  readonly #parts: readonly PackedExamples[];
  readonly #part: Int32Array;
  readonly #index: Int32Array;

  /** Takes parts that stay open as long as the list is read. */
  constructor(parts: readonly PackedExamples[], rows: readonly ExampleRow[]) {
    this.#parts = parts;
    this.length = rows.reduce((sum, { start, end }) => sum + end - start, 0);
    this.#part = new Int32Array(this.length);
    this.#index = new Int32Array(this.length);
    let at = 0;
    for (const { part, start, end } of rows) {
      for (let index = start; index < end; index++) {
        this.#part[at] = part;
        this.#index[at++] = index;
      }
    }
    const column = (name: "lengths" | "supervised"): Int32Array =>
      this.#index.map((index, i) => parts[this.#part[i]][name][index]);
    this.lengths = column("lengths");
    this.supervised = column("supervised");
    const hash = createHash("sha256").update(parts.map(({ sha256 }) => sha256).join());
    this.sha256 = hash.update(bytesOf(this.#part)).update(bytesOf(this.#index)).digest("hex");
  }

  /** Reads one example. */
  at(index: number): Example {
    if (!(index in this.#index)) throw noExample(index, this.length);
    return this.#parts[this.#part[index]].at(this.#index[index]);
  }
}
