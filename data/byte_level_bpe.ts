/**
 * Byte-level BPE on numbers in place of strings: what @huggingface/tokenizers computes, faster.
 *
 * In: the parsed tokenizer.json of a model such as Qwen's or Llama 3's. Out: a function from text to
 * ids, [tokens], or nothing where the tokenizer is of another kind, which the library then encodes.
 */

import {
  SequencePreTokenizer,
  type Tokenizer as HuggingFaceTokenizer,
} from "@huggingface/tokenizers";
import { BYTE_TO_CHAR } from "./gpt2_bytes.ts";

/** What a byte-level tokenizer is made of, once it is known to be one. */
export interface ByteLevelParts {
  /** Ids by the tokens' text, added tokens left out. */
  readonly vocab: ReadonlyMap<string, number>;
  /** Ids of left part, right part and whole of each merge, in the order of merging, `[3 · n]`. */
  readonly merges: Int32Array;
  /** Takes a token whole where the vocabulary has it, merges or not. */
  readonly ignoreMerges: boolean;
  /** The steps that split a text, without the last one, which maps bytes to characters. */
  readonly preTokenizers: readonly unknown[];
  /** Ids of the added tokens by their text. */
  readonly added: ReadonlyMap<string, number>;
}

/** The parts of a tokenizer.json, or `undefined` where this file cannot do what the library does. */
export function byteLevelParts(
  tokenizerJson: Readonly<Record<string, unknown>>,
  tokenizerConfig: Readonly<Record<string, unknown>>,
): ByteLevelParts | undefined {
  const { model, pre_tokenizer, post_processor, normalizer, added_tokens } = tokenizerJson;
  if (!isRecord(model) || model.type !== "BPE" || !isRecord(model.vocab)) return undefined;
  const changed = [
    ...[model.unk_token, model.end_of_word_suffix, model.continuing_subword_prefix],
    ...[model.continuing_subword_suffix, model.byte_fallback, model.fuse_unk, model.dropout],
    ...[tokenizerConfig.remove_space, tokenizerConfig.do_lowercase_and_remove_accent],
  ];
  if (changed.some(Boolean) || !addsOnlySpecialTokens(post_processor)) return undefined;
  const steps = isRecord(pre_tokenizer) && pre_tokenizer.type === "Sequence"
    ? pre_tokenizer.pretokenizers
    : [pre_tokenizer];
  if (!Array.isArray(steps) || !mapsBytes(steps.at(-1))) return undefined;

  const added = new Map<string, number>();
  for (const token of Array.isArray(added_tokens) ? added_tokens : []) {
    const { content, id, lstrip, rstrip, special, normalized = !special } = token;
    if (lstrip || rstrip || (normalized && normalizer)) return undefined;
    added.set(content, id);
  }
  const vocab = new Map<string, number>();
  for (const token in model.vocab) vocab.set(token, Number(model.vocab[token]));
  if (vocab.values().some((id) => !Number.isInteger(id))) return undefined;
  if (!BYTE_TO_CHAR.every((char) => vocab.has(char))) return undefined;
  const merges = parseMerges(model.merges, vocab);
  if (merges === undefined) return undefined;
  return {
    vocab,
    merges,
    ignoreMerges: model.ignore_merges === true,
    preTokenizers: steps.slice(0, -1),
    added,
  };
}

/** Encodes with these parts and the library's normalizer. */
export function createByteLevelEncoder(
  { vocab, merges, ignoreMerges, preTokenizers, added }: ByteLevelParts,
  normalizer: HuggingFaceTokenizer["normalizer"],
): (text: string) => Int32Array {
  const table = new MergeTable(merges);
  const byteIds = Int32Array.from(BYTE_TO_CHAR, (char) => vocab.get(char)!);
  const splitWords = new SequencePreTokenizer(
    { type: "Sequence", pretokenizers: preTokenizers } as ConstructorParameters<
      typeof SequencePreTokenizer
    >[0],
  );
  const splitAdded = added.size === 0 ? undefined : alternatives([...added.keys()]);
  const utf8 = new TextEncoder();
  const text8 = new TextDecoder("utf-8", { ignoreBOM: true });
  const known = new RecentWords();

  const encodeWord = (word: string): readonly number[] => {
    const kept = word.length <= LONGEST_KEPT;
    const found = kept ? known.get(word) : undefined;
    if (found !== undefined) return found;
    const bytes = utf8.encode(word);
    const whole = ignoreMerges
      ? vocab.get(Array.from(bytes, (byte) => BYTE_TO_CHAR[byte]).join(""))
      : undefined;
    const ids = whole === undefined ? table.merge(bytes, byteIds) : [whole];
    // The word may be a view of a whole text, which a cache would keep alive.
    if (kept) known.set(text8.decode(bytes), ids);
    return ids;
  };

  return (text: string): Int32Array => {
    const ids: number[] = [];
    const sections = splitAdded === undefined ? [text] : text.split(splitAdded).filter(Boolean);
    for (const [section_index, section] of sections.entries()) {
      const plain = added.has(section) ? section : normalizer?.(section) ?? section;
      const id = added.get(plain);
      if (id !== undefined) ids.push(id);
      else if (plain !== "") {
        for (const word of splitWords(plain, { section_index })) {
          for (const id of encodeWord(word)) ids.push(id);
        }
      }
    }
    return Int32Array.from(ids);
  };
}

/** Words kept are at most this long: Chinese clauses are words to a tokenizer, and do not recur. */
const LONGEST_KEPT = 16;
/** Words in a generation; two of them take some 3 MB. */
const GENERATION = 1 << 13;

/** The ids of words that came lately: when a generation is full, the one before it is forgotten. */
class RecentWords {
  #young = new Map<string, readonly number[]>();
  #old = new Map<string, readonly number[]>();

  get(word: string): readonly number[] | undefined {
    const ids = this.#young.get(word);
    if (ids !== undefined) return ids;
    const older = this.#old.get(word);
    if (older !== undefined) this.set(word, older);
    return older;
  }

  set(word: string, ids: readonly number[]): void {
    if (this.#young.size >= GENERATION) [this.#old, this.#young] = [this.#young, new Map()];
    this.#young.set(word, ids);
  }
}

const NONE = -1;
/** Positions in a word are below this: a line of JSON has at most 4 MiB. */
const POSITIONS = 2 ** 24;

/**
 * The merges by the ids of their pairs, in a hash table of ranks. Most pairs that are asked for are
 * no merge, and an empty slot says so: 4 bytes each, so that the table fits a processor's cache.
 */
class MergeTable {
  /** Ranks, by the hash of their pair. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  /** Ids of left part, right part and whole of each rank, `[3 · n]`. */
  readonly #merges: Int32Array;
  // Scratch of merge(), grown to the longest word.
  #ids = new Int32Array(64);
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  #ranks = new Int32Array(64);

  constructor(merges: Int32Array) {
    const count = merges.length / 3;
    const size = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.#mask = size - 1;
    this.#slots = new Int32Array(size).fill(NONE);
    this.#merges = merges;
    for (let rank = 0; rank < count; rank++) {
      this.#slots[this.#slot(merges[3 * rank], merges[3 * rank + 1])] = rank;
    }
  }

  /** Where a pair stands, or would. */
  #slot(left: number, right: number): number {
    const [slots, merges, mask] = [this.#slots, this.#merges, this.#mask];
    // Murmur3's last steps, so that the low bits depend on all of both ids.
    let hash = Math.imul(left, 0x9e3779b1) + right;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash ^= hash >>> 13;
    for (let at = hash & mask;; at = (at + 1) & mask) {
      const rank = slots[at];
      if (rank < 0 || (merges[3 * rank] === left && merges[3 * rank + 1] === right)) return at;
    }
  }

  /** The rank of a pair; below 0 where it is no merge. */
  #rank(left: number, right: number): number {
    return this.#slots[this.#slot(left, right)];
  }

  /** Merges the pair of lowest rank, the leftmost of equals, until no pair is left. */
  merge(bytes: Uint8Array, byteIds: Int32Array): number[] {
    const { length } = bytes;
    if (length > this.#ids.length) {
      const size = 2 ** Math.ceil(Math.log2(length));
      this.#ids = new Int32Array(size);
      this.#next = new Int32Array(size);
      this.#previous = new Int32Array(size);
      this.#ranks = new Int32Array(size);
    }
    const [ids, next, previous, ranks] = [this.#ids, this.#next, this.#previous, this.#ranks];
    const queue = new LowestFirst();
    // A pair is known by the position of its left part.
    const offer = (at: number): void => {
      const rank = next[at] < length ? this.#rank(ids[at], ids[next[at]]) : NONE;
      ranks[at] = rank;
      if (rank >= 0) queue.push(rank * POSITIONS + at);
    };
    for (let at = 0; at < length; at++) {
      ids[at] = byteIds[bytes[at]];
      next[at] = at + 1;
      previous[at] = at - 1;
    }
    for (let at = 0; at < length; at++) offer(at);
    for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
      const rank = Math.floor(key / POSITIONS);
      const at = key - rank * POSITIONS;
      // One of the two has merged with another since.
      if (ranks[at] !== rank) continue;
      const gone = next[at];
      ids[at] = this.#merges[3 * rank + 2];
      next[at] = next[gone];
      ranks[gone] = NONE;
      if (next[at] < length) previous[next[at]] = at;
      offer(at);
      if (previous[at] >= 0) offer(previous[at]);
    }
    const left: number[] = [];
    for (let at = 0; at < length; at = next[at]) left.push(ids[at]);
    return left;
  }
}

/** A binary heap of numbers. */
class LowestFirst {
  readonly #heap: number[] = [];

  push(key: number): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(key);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent] <= key) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = key;
  }

  pop(): number | undefined {
    const heap = this.#heap;
    const lowest = heap[0];
    const key = heap.pop();
    if (key === undefined || heap.length === 0) return lowest;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= key) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = key;
    return lowest;
  }
}

/** Splits at any of the texts, which it keeps; the longest that fits wins. */
function alternatives(texts: readonly string[]): RegExp {
  const sorted = texts.toSorted((a, b) => b.length - a.length);
  return new RegExp(`(${sorted.map((text) => RegExp.escape(text)).join("|")})`);
}

/** Merges by ids; `undefined` where one is not of tokens, or gives none. */
function parseMerges(
  value: unknown,
  vocab: ReadonlyMap<string, number>,
): Int32Array | undefined {
  // Different tokens of one id could not be told apart.
  if (!Array.isArray(value) || new Set(vocab.values()).size !== vocab.size) return undefined;
  const merges = new Int32Array(3 * value.length);
  for (let rank = 0; rank < value.length; rank++) {
    const merge: unknown = value[rank];
    if (typeof merge !== "string" && !Array.isArray(merge)) return undefined;
    const [left, right] = typeof merge === "string" ? merge.split(" ", 2) : merge;
    const whole = vocab.get(left + right);
    const [leftId, rightId] = [vocab.get(left), vocab.get(right)];
    if (leftId === undefined || rightId === undefined || whole === undefined) return undefined;
    merges[3 * rank] = leftId;
    merges[3 * rank + 1] = rightId;
    merges[3 * rank + 2] = whole;
  }
  return merges;
}

/** Whether a step of the pre-tokenizer maps bytes to characters and does nothing else. */
function mapsBytes(step: unknown): boolean {
  return isRecord(step) && step.type === "ByteLevel" && step.use_regex === false &&
    !step.add_prefix_space;
}

/** Whether a post-processor leaves the ids alone where no special tokens are asked for. */
function addsOnlySpecialTokens(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (!isRecord(value)) return false;
  if (value.type === "Sequence") {
    return Array.isArray(value.processors) && value.processors.every(addsOnlySpecialTokens);
  }
  return value.type === "ByteLevel" || value.type === "TemplateProcessing";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
