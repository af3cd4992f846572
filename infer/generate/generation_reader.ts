/**
 * Fields of generation_config.json by their types.
 *
 * In: a parsed JSON object. Out: a field's value, `undefined` where it is missing or null, or an
 * error that names file, field and value. Not part of the public surface.
 */

import { isCount } from "../../internal/json/is_count.ts";
import type { LogitsProcessorOptions, SequenceBias } from "../sampling/logits_processors.ts";

/** Most ids of a list: a vocabulary has some 10⁵. */
const MAX_IDS = 1 << 20;

/** Reads fields of one file. */
export class GenerationReader {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #vocabSize: number;

  constructor(fields: Readonly<Record<string, unknown>>, { path, vocabSize }: {
    readonly path: string;
    readonly vocabSize: number;
  }) {
    this.#fields = fields;
    this.#path = path;
    this.#vocabSize = vocabSize;
  }

  /** An error about a field. */
  error(field: string, expected: string): RangeError {
    return new RangeError(
      `Cannot read ${this.#path}: ${field} ${expected}, got ${
        JSON.stringify(this.#fields[field])?.slice(0, 100)
      }`,
    );
  }

  /** A number. */
  number(field: string): number | undefined {
    const value = this.#fields[field] ?? undefined;
    if (value === undefined || typeof value === "number") return value;
    throw this.error(field, "must be a number");
  }

  /** A whole number from `least` up. */
  count(field: string, least = 0): number | undefined {
    const value = this.number(field);
    if (value === undefined || Number.isSafeInteger(value) && value >= least) return value;
    throw this.error(field, `must be a whole number from ${least} up`);
  }

  /** A switch, off where it is missing. */
  boolean(field: string): boolean {
    const value = this.#fields[field] ?? false;
    if (typeof value === "boolean") return value;
    throw this.error(field, "must be true or false");
  }

  /** One text or several. */
  texts(field: string, most: number): readonly string[] | undefined {
    const value = this.#fields[field] ?? undefined;
    if (value === undefined) return undefined;
    const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
    const good = (text: unknown): text is string => typeof text === "string" && text !== "";
    if (texts.length <= most && texts.every(good)) return texts;
    throw this.error(field, `must be a text or up to ${most}, none of them empty`);
  }

  /** One token id or a list of them. */
  ids(field: string, { inVocabulary = false, one = false }: {
    /** Whether ids that the model does not have are an error; else they have no effect. */
    readonly inVocabulary?: boolean;
    readonly one?: boolean;
  } = {}): readonly number[] | undefined {
    const value = this.#fields[field] ?? undefined;
    if (value === undefined) return undefined;
    const ids: readonly unknown[] = Array.isArray(value) && !one ? value : [value];
    const good = inVocabulary ? ids.every((id) => this.#isId(id)) : ids.every(isCount);
    if (good && ids.length <= MAX_IDS) return ids as readonly number[];
    const what = one ? "a token id" : "token ids";
    throw this.error(field, `must be ${what}${inVocabulary ? ` below ${this.#vocabSize}` : ""}`);
  }

  /** Lists of one token id or more. */
  sequences(field: string): readonly (readonly number[])[] | undefined {
    const value = this.#fields[field] ?? undefined;
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((each) => this.#isSequence(each))) return value;
    throw this.error(field, `must be lists of token ids below ${this.#vocabSize}`);
  }

  /** Lists of one token id or more, each with a number: `[[[5, 6], -2.5]]`. */
  biases(field: string): readonly SequenceBias[] | undefined {
    const value = this.#fields[field] ?? undefined;
    if (value === undefined) return undefined;
    const good = (each: unknown): each is [number[], number] =>
      Array.isArray(each) && each.length === 2 && this.#isSequence(each[0]) &&
      typeof each[1] === "number";
    if (Array.isArray(value) && value.every(good)) {
      return value.map(([ids, bias]) => ({ ids, bias }));
    }
    throw this.error(
      field,
      `must be pairs of token ids below ${this.#vocabSize} and a number, such as [[[5, 6], -2.5]]`,
    );
  }

  /** A number of tokens and a factor. */
  decay(field: string): LogitsProcessorOptions["exponentialDecayLengthPenalty"] {
    const value = this.#fields[field] ?? undefined;
    if (value === undefined) return undefined;
    const good = Array.isArray(value) && value.length === 2 && isCount(value[0]) &&
      typeof value[1] === "number" && value[1] > 0;
    if (good) return { start: value[0], factor: value[1] };
    throw this.error(field, "must be a number of tokens and a factor above 0, such as [20, 1.05]");
  }

  #isId(value: unknown): boolean {
    return isCount(value) && value < this.#vocabSize;
  }

  #isSequence(value: unknown): boolean {
    return Array.isArray(value) && value.length > 0 && value.every((id) => this.#isId(id));
  }
}
