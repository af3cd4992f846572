/**
 * The added tokens of a tokenizer and their ids, given out as Hugging Face's Rust library does.
 *
 * In: the `added_tokens` of tokenizer.json, and tokens that other files add. Out: tokens with ids.
 */

import { describeValue, quoteHead } from "../../../internal/json/describe_value.ts";
import { FieldTable, listFields } from "../../../internal/json/field_table.ts";
import { isRecord } from "../../../internal/json/is_record.ts";
import type { AddedToken, Needle } from "./added_vocabulary.ts";
import type { Normalizer } from "./normalizer.ts";
import { refuse } from "./step_review.ts";
import { isId, MAX_ID, type Vocabulary } from "./vocabulary.ts";

/** All fields of an added token. */
const FIELDS = new FieldTable({
  honoured: ["id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"],
  ignored: ["__type"],
});

/** An added token as a file lists it. */
export interface ListedToken {
  readonly token: AddedToken;
  /** The id that the file gives it, which need not be the one that it gets. */
  readonly id: number | undefined;
}

/**
 * Reads an added token of a file.
 *
 * @param place where it stands, such as `tokenizer.json: added_tokens[3]`
 */
export function readAddedToken(value: unknown, place: string): ListedToken {
  if (!isRecord(value)) refuse(place, `is ${describeValue(value)}, expected an object`);
  const { content } = value;
  const id = value.id ?? undefined;
  if ((id !== undefined && !isId(id)) || typeof content !== "string" || content === "") {
    refuse(place, "has no id or no content");
  }
  if (!content.isWellFormed()) refuse(place, "has a content that is no Unicode text");
  const { unknown } = FIELDS.review(value);
  if (unknown.length > 0) {
    refuse(place, `has fields that ortune doesn't know: ${listFields(unknown)}; remove them`);
  }
  const flag = (name: string, missing: boolean): boolean => {
    const given = value[name] ?? missing;
    if (typeof given !== "boolean") {
      refuse(place, `has ${name} ${describeValue(given)}, expected true or false`);
    }
    return given;
  };
  const special = flag("special", false);
  return {
    id,
    token: {
      content,
      single_word: flag("single_word", false),
      lstrip: flag("lstrip", false),
      rstrip: flag("rstrip", false),
      normalized: flag("normalized", !special),
      special,
    },
  };
}

/** The added tokens of one tokenizer. */
export class AddedTokens {
  readonly #vocabulary: Vocabulary;
  readonly #ids = new Map<string, number>();
  readonly #tokens = new Map<number, AddedToken>();
  readonly #special = new Set<string>();
  readonly #shared: (readonly [string, number, string])[] = [];

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  /**
   * Adds tokens: one that the vocabulary has keeps its id, and each other gets the next free one,
   * whatever its file says.
   *
   * @returns the id of each
   */
  add(tokens: readonly AddedToken[]): number[] {
    const { ids: known } = this.#vocabulary;
    let next = known.size;
    for (const id of this.#tokens.keys()) next = Math.max(next, id + 1);
    return tokens.map((token) => {
      const { content } = token;
      const id = this.#ids.get(content) ?? known.get(content) ?? next++;
      const other = this.#vocabulary.tokens[id];
      if (other !== undefined && other !== content) this.#shared.push([content, id, other]);
      if (id > MAX_ID) refuse("tokenizer.json", `has more than ${MAX_ID} tokens`);
      this.#ids.set(content, id);
      this.#tokens.set(id, token);
      if (token.special) this.#special.add(content);
      return id;
    });
  }

  /** The tokens by id. */
  get tokens(): ReadonlyMap<number, AddedToken> {
    return this.#tokens;
  }

  /** Tokens whose id is that of another token, as happens where a vocabulary leaves out ids. */
  get notes(): string[] {
    if (this.#shared.length === 0) return [];
    const pairs = this.#shared.map(([token, id, other]) => `${token} and ${other} (${id})`);
    return [
      "tokenizer.json: the vocabulary leaves out ids, and so the Rust library and transformers give " +
      `some to two tokens: ${listFields(pairs, 4)}; use a model with another tokenizer`,
    ];
  }

  /** The id of a token, added or not. */
  idOf(content: string): number | undefined {
    return this.#ids.get(content) ?? this.#vocabulary.ids.get(content);
  }

  /** The text of an id, added or not. */
  textOf(id: number): string | undefined {
    return this.#tokens.get(id)?.content ?? this.#vocabulary.tokens[id];
  }

  /** Whether decoding may leave a token out. Once special, a token stays so, as in the Rust library. */
  isSpecial(id: number): boolean {
    const token = this.#tokens.get(id);
    return token !== undefined && this.#special.has(token.content);
  }

  /** What to search a text for: before the normalizer, and after it. */
  needles({ normalize }: Normalizer): { readonly raw: Needle[]; readonly normalized: Needle[] } {
    const raw: Needle[] = [];
    const normalized = new Map<string, Needle>();
    for (const [id, token] of this.#tokens) {
      const { content } = token;
      if (!token.normalized) {
        raw.push({ text: content, id, token });
        continue;
      }
      const text = normalize?.(content) ?? content;
      const other = normalized.get(text);
      if (text === "" || other !== undefined) {
        refuse(
          `tokenizer.json: the added token ${quoteHead(content)}`,
          other === undefined
            ? "is nothing after the normalizer; set its normalized to false"
            : `is ${
              quoteHead(other.token.content)
            } after the normalizer; set its normalized to false`,
        );
      }
      normalized.set(text, { text, id, token });
    }
    return { raw, normalized: [...normalized.values()] };
  }
}
