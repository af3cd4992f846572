/**
 * Many examples in little memory: their token ids end to end, and a few numbers an example.
 *
 * In: examples as joinExample makes them, one after another. Out: a list of them; 24 bytes an
 * example in memory, and 4 bytes a token in memory or in a file.
 */

import { createHash } from "node:crypto";
import type { LocatedExample } from "./encode_rows.ts";
import type { RowUnit } from "../records/jsonl_error.ts";
import { type Example, IGNORED } from "./example.ts";
import type { ExampleList } from "./example_list.ts";
import { noExample } from "./no_example.ts";

/** Takes token ids in order, and gives any run of them back. */
export interface TokenStorage extends Disposable {
  /** Fills `into` with the ids from `offset` on, both counted in tokens. */
  read(offset: number, into: Int32Array): void;
}

/** A storage that is being filled. */
export interface TokenSink {
  /** Takes ids to stand after those that came before; they may change afterwards. */
  append(ids: Int32Array): void;
}

/** Columns of numbers, one an example: all of it that is not token ids. */
export interface ExampleColumns {
  /** Tokens, `[n]`. */
  readonly lengths: Int32Array;
  /** Supervised tokens, which are the last ones, `[n]`. */
  readonly supervised: Int32Array;
  /** Twice the tokens that were cut, and one more where the reply is terminated, `[n]`. */
  readonly endings: Int32Array;
  /** 1-based lines of their rows, `[n]`. */
  readonly lines: Int32Array;
}

/** What {@linkcode PackedExamples} are made of. */
export interface PackedExamplesParts extends ExampleColumns {
  /** Where the token ids lie. */
  readonly tokens: TokenStorage;
  /** The file of their rows. */
  readonly file: string;
  /** What `lines` count. @default {"line"} */
  readonly unit?: RowUnit;
  /** As {@linkcode PackedExamples.sha256}. */
  readonly sha256: string;
}

/** Examples whose tokens lie end to end, and are read when they are asked for. */
export class PackedExamples implements ExampleList, Disposable {
  readonly length: number;
  readonly lengths: Int32Array;
  readonly supervised: Int32Array;
  /** 1-based lines of their rows, `[n]`; examples of one row stand together. */
  readonly lines: Int32Array;
  /** The sha256 of ids and labels of all examples, in turns, as little-endian 32-bit integers. */
  readonly sha256: string;
  readonly #parts: PackedExamplesParts;
  readonly #offsets: Float64Array;

  /** Takes the storage over, and frees it when it is disposed of. */
  constructor(parts: PackedExamplesParts) {
    this.#parts = parts;
    this.length = parts.lengths.length;
    this.lengths = parts.lengths;
    this.supervised = parts.supervised;
    this.lines = parts.lines;
    this.sha256 = parts.sha256;
    this.#offsets = new Float64Array(this.length);
    for (let i = 1; i < this.length; i++) {
      this.#offsets[i] = this.#offsets[i - 1] + parts.lengths[i - 1];
    }
  }

  /** Reads one example. */
  at(index: number): Example {
    const { tokens, endings, lines, file, unit } = this.#parts;
    if (!(index in this.lengths)) throw noExample(index, this.length);
    const inputIds = new Int32Array(this.lengths[index]);
    tokens.read(this.#offsets[index], inputIds);
    const supervised = this.supervised[index];
    const promptLength = inputIds.length - supervised;
    return {
      inputIds,
      labels: inputIds.slice().fill(IGNORED, 0, promptLength),
      promptLength,
      truncatedTokens: endings[index] >> 1,
      supervised,
      terminated: (endings[index] & 1) === 1,
      source: { file, line: lines[index], ...unit === "row" ? { unit } : {} },
    };
  }

  /** Closes the storage. */
  [Symbol.dispose](): void {
    this.#parts.tokens[Symbol.dispose]();
  }
}

/** Packs examples one by one. */
export class ExamplePacker {
  readonly #sink: TokenSink;
  readonly #hash = createHash("sha256");
  readonly #lengths = new Column();
  readonly #supervised = new Column();
  readonly #endings = new Column();
  readonly #lines = new Column();

  constructor(sink: TokenSink) {
    this.#sink = sink;
  }

  /**
   * Takes one more example.
   *
   * @throws {TypeError} if its labels are not -100 under the prompt and the ids under the reply,
   *   as only such can be given back.
   */
  add({ inputIds, labels, supervised, terminated, truncatedTokens, source }: LocatedExample): void {
    const promptLength = inputIds.length - supervised;
    const derived = labels.length === inputIds.length &&
      labels.every((label, i) => label === (i < promptLength ? IGNORED : inputIds[i]));
    if (!derived) {
      throw new TypeError(
        `Cannot pack an example: its labels are not those of a prompt of ${promptLength} tokens ` +
          `and a reply of ${supervised}; use readExamples`,
      );
    }
    this.#sink.append(inputIds);
    this.#hash.update(bytesOf(inputIds)).update(bytesOf(labels));
    this.#lengths.push(inputIds.length);
    this.#supervised.push(supervised);
    this.#endings.push(2 * truncatedTokens + Number(terminated));
    this.#lines.push(source.line);
  }

  /** What came, but for the tokens. */
  finish(): ExampleColumns & { readonly sha256: string } {
    return {
      lengths: this.#lengths.values(),
      supervised: this.#supervised.values(),
      endings: this.#endings.values(),
      lines: this.#lines.values(),
      sha256: this.#hash.digest("hex"),
    };
  }
}

const CHUNK_TOKENS = 1 << 20;

/** Tokens in memory, 4 bytes each. */
export class TokenMemory implements TokenStorage, TokenSink {
  readonly #chunks: Int32Array[] = [];
  #length = 0;

  append(ids: Int32Array): void {
    for (let from = 0; from < ids.length;) {
      const at = this.#length % CHUNK_TOKENS;
      if (at === 0) this.#chunks.push(new Int32Array(CHUNK_TOKENS));
      const part = ids.subarray(from, from + CHUNK_TOKENS - at);
      this.#chunks.at(-1)!.set(part, at);
      this.#length += part.length;
      from += part.length;
    }
  }

  read(offset: number, into: Int32Array): void {
    for (let from = 0; from < into.length;) {
      const at = (offset + from) % CHUNK_TOKENS;
      const chunk = this.#chunks[Math.floor((offset + from) / CHUNK_TOKENS)];
      const part = chunk.subarray(at, at + into.length - from);
      into.set(part, from);
      from += part.length;
    }
  }

  /** Closes the storage. */
  [Symbol.dispose](): void {
    this.#chunks.length = 0;
  }
}

/** The bytes of an array, little-endian on every platform that ONNX Runtime has binaries for. */
export function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Integers, more and more of them. */
class Column {
  #values = new Int32Array(256);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const more = new Int32Array(2 * this.#length);
      more.set(this.#values);
      this.#values = more;
    }
    this.#values[this.#length++] = value;
  }

  values(): Int32Array {
    return this.#values.slice(0, this.#length);
  }
}
