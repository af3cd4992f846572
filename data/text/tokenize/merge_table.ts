/**
 * The merges of a BPE model: which two tokens become which, and which goes first.
 *
 * In: `[left, right, merged]` in order of rank. Out: a table from a pair of ids to rank and merged id.
 * Pairs make numbers beyond 32 bits, which a Map keeps as objects; this is a tenth of its memory.
 */

/** Merges by pair of ids. */
export class MergeTable {
  readonly #mask: number;
  // Four numbers a slot: left + 1 (0 where free), right, rank, merged.
  readonly #slots: Int32Array;

  /** A table for at most `count` merges. */
  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.#mask = size - 1;
    this.#slots = new Int32Array(4 * size);
  }

  /** Adds a merge; a pair that comes twice has the later rank, as in the Rust library. */
  set(left: number, right: number, rank: number, merged: number): void {
    const at = this.#slot(left, right);
    this.#slots[at] = left + 1;
    this.#slots[at + 1] = right;
    this.#slots[at + 2] = rank;
    this.#slots[at + 3] = merged;
  }

  /** The rank of a pair; -1 where it is not merged. */
  rank(left: number, right: number): number {
    const at = this.#slot(left, right);
    return this.#slots[at] === 0 ? -1 : this.#slots[at + 2];
  }

  /** What a pair becomes. */
  merged(left: number, right: number): number {
    return this.#slots[this.#slot(left, right) + 3];
  }

  #slot(left: number, right: number): number {
    const slots = this.#slots;
    let index = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    index = (index ^ (index >>> 15)) & this.#mask;
    for (;; index = (index + 1) & this.#mask) {
      const at = 4 * index;
      if (slots[at] === 0 || (slots[at] === left + 1 && slots[at + 1] === right)) return at;
    }
  }
}
