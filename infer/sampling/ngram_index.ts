/**
 * What has followed which tokens.
 *
 * In: ids, more of them each time. Out: the ids that would complete an n-gram that was there
 * before. Not part of the public surface.
 */

/** The n-grams of a sequence that grows, by their first n − 1 ids. */
export class NgramIndex {
  readonly #size: number;
  readonly #followers = new Map<string, number[]>();
  /** Number of ids whose n-grams are in the index. */
  #read = 0;

  /** @param size n: 1 and more */
  constructor(size: number) {
    this.#size = size;
  }

  /** Adds the n-grams that end in ids not read before; `ids` begins with those that were. */
  read(ids: readonly number[]): void {
    for (let end = Math.max(this.#read + 1, this.#size); end <= ids.length; end++) {
      const key = keyOf(ids, end - this.#size, end - 1);
      const followers = this.#followers.get(key);
      if (followers) followers.push(ids[end - 1]);
      else this.#followers.set(key, [ids[end - 1]]);
    }
    this.#read = Math.max(this.#read, ids.length);
  }

  /** Ids that have followed the last n − 1 of `ids`. */
  followers(ids: readonly number[]): readonly number[] {
    if (ids.length < this.#size - 1) return [];
    return this.#followers.get(keyOf(ids, ids.length + 1 - this.#size, ids.length)) ?? [];
  }
}

function keyOf(ids: readonly number[], start: number, end: number): string {
  let key = "";
  for (let i = start; i < end; i++) key += `${ids[i]},`;
  return key;
}
