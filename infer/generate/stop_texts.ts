/**
 * Ends a reply whose text contains one of some texts.
 *
 * In: token ids, one after another. Out: whether a stop text ends in the last of them.
 *
 * The text is that of the prompt and the reply, special tokens included, compared byte by byte, as
 * Hugging Face's StopStringCriteria does: the token in which the text ends is part of the reply,
 * whatever else it has.
 */

/** Texts that end a reply, and how to read tokens as text. */
export interface StopTexts {
  /** Not empty, and none of them empty. */
  readonly texts: readonly string[];
  /** The bytes of a token. */
  readonly tokenBytes: (id: number) => Uint8Array;
}

/** Looks for stop texts in tokens that come one after another. */
export class StopTextMatcher {
  readonly #stops: readonly Uint8Array[];
  readonly #tokenBytes: StopTexts["tokenBytes"];
  /** Bytes that a stop text may have before the last token. */
  readonly #kept: number;
  #tail = new Uint8Array();

  constructor({ texts, tokenBytes }: StopTexts, promptIds: ArrayLike<number>) {
    const encoder = new TextEncoder();
    this.#stops = texts.map((text) => encoder.encode(text));
    this.#tokenBytes = tokenBytes;
    this.#kept = Math.max(...this.#stops.map(({ length }) => length)) - 1;
    // Each token has a byte at least, but for those outside the vocabulary.
    for (let i = Math.max(0, promptIds.length - this.#kept); i < promptIds.length; i++) {
      this.push(promptIds[i]);
    }
  }

  /** Takes a token; answers whether a stop text ends in it. */
  push(id: number): boolean {
    const bytes = this.#tokenBytes(id);
    const tail = this.#tail;
    const known = new Uint8Array(tail.length + bytes.length);
    known.set(tail);
    known.set(bytes, tail.length);
    this.#tail = known.slice(Math.max(0, known.length - this.#kept));
    return this.#stops.some((stop) => endsAfter(known, stop, tail.length));
  }
}

/** Whether `stop` is in `text` and ends behind its first `before` bytes. */
function endsAfter(text: Uint8Array, stop: Uint8Array, before: number): boolean {
  const first = Math.max(0, before - stop.length + 1);
  for (let start = first; start + stop.length <= text.length; start++) {
    let i = 0;
    while (i < stop.length && text[start + i] === stop[i]) i++;
    if (i === stop.length) return true;
  }
  return false;
}
