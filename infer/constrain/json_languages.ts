/**
 * JSON as languages of bytes: https://www.rfc-editor.org/rfc/rfc8259.
 *
 * In: what an object, an array or a string must be like. Out: the language of its texts. Of white
 * space and of digits there is only so much that no reply goes on with them for ever.
 */

import { type ByteRange, type Language, Languages } from "./languages.ts";

/** Digits of a number's whole part, and of its fraction. */
const MAX_DIGITS = 16;
/** Blanks at the start of a line: eight levels of four. */
const MAX_BLANKS = 32;
/** Tabs there. */
const MAX_TABS = 8;

/** A property that an object has in its place. */
export interface PropertyLanguage {
  readonly name: string;
  readonly value: Language;
  readonly required: boolean;
}

/** The languages of JSON's values. */
export class JsonLanguages {
  /** Where they are made. */
  readonly languages: Languages = new Languages();
  /** Nothing, a blank, or empty lines: what models begin a reply with now and then. */
  readonly start: Language;
  /** Nothing, a blank, or the start of a line. */
  readonly space: Language;
  /** A whole number. */
  readonly integer: Language;
  /** Any number. */
  readonly number: Language;
  /** Any value. */
  readonly any: Language;
  /** One character of a string, escaped or not, but half of none. */
  readonly #character: Language;
  /** One character that is not escaped. */
  readonly #bare: Language;

  /** Makes the languages that have no parameters. */
  constructor() {
    const made = this.languages;
    const range = (first: string, last = first): ByteRange => [
      first.charCodeAt(0),
      last.charCodeAt(0),
    ];
    const digit = made.bytes(range("0", "9"));
    const lines = made.repetition(made.text("\n"), 1, 2);
    const indent = made.choice(
      made.repetition(made.text(" "), 0, MAX_BLANKS),
      made.repetition(made.text("\t"), 1, MAX_TABS),
    );
    this.start = made.choice(made.empty, made.text(" "), lines);
    this.space = made.choice(made.empty, made.text(" "), made.sequence(lines, indent));
    this.integer = made.sequence(
      made.optional(made.text("-")),
      made.choice(
        made.text("0"),
        made.sequence(made.bytes(range("1", "9")), made.repetition(digit, 0, MAX_DIGITS - 1)),
      ),
    );
    this.number = made.sequence(
      this.integer,
      made.optional(made.sequence(made.text("."), made.repetition(digit, 1, MAX_DIGITS))),
      made.optional(made.sequence(
        made.bytes(range("e"), range("E")),
        made.optional(made.bytes(range("+"), range("-"))),
        made.repetition(digit, 1, 2),
      )),
    );
    this.#bare = bareCharacter(made);
    const hex = made.bytes(range("0", "9"), range("a", "f"), range("A", "F"));
    const escape = made.sequence(
      made.text("\\"),
      made.choice(
        made.bytes(...[...'"\\/bfnrt'].map((each) => range(each))),
        made.sequence(
          made.text("u"),
          // No half of a pair of surrogates.
          made.choice(
            made.sequence(
              made.bytes(
                range("0", "9"),
                range("a", "c"),
                range("A", "C"),
                range("e", "f"),
                range("E", "F"),
              ),
              hex,
            ),
            made.sequence(made.bytes(range("d"), range("D")), made.bytes(range("0", "7"))),
          ),
          hex,
          hex,
        ),
      ),
    );
    this.#character = made.choice(this.#bare, escape);
    this.any = made.later(() => this.#anyValue());
  }

  #value: Language | undefined;

  #anyValue(): Language {
    return this.#value ??= this.languages.choice(
      this.string(),
      this.number,
      ...["true", "false", "null"].map((word) => this.languages.text(word)),
      this.object([], this.any),
      this.array(this.any),
    );
  }

  /** A string of so many characters. */
  string(least = 0, most = Infinity): Language {
    const quote = this.languages.text('"');
    return this.languages.sequence(
      quote,
      this.languages.repetition(this.#character, least, most),
      quote,
    );
  }

  /** A value as it is written without white space. */
  literal(value: unknown): Language {
    return this.languages.text(JSON.stringify(value));
  }

  /** An array of so many items. */
  array(item: Language, least = 0, most = Infinity): Language {
    const made = this.languages;
    const more = made.sequence(made.text(","), this.space, item);
    const items = most === 0 ? made.none : made.sequence(
      item,
      made.repetition(more, Math.max(0, least - 1), most - 1),
      this.space,
    );
    return made.sequence(
      made.text("["),
      this.space,
      least === 0 ? made.optional(items) : items,
      made.text("]"),
    );
  }

  /**
   * An object with properties in their order.
   *
   * @param others values of further properties, which come last; @default {there are none}
   */
  object(properties: readonly PropertyLanguage[], others?: Language): Language {
    const made = this.languages;
    const comma = made.sequence(made.text(","), this.space);
    const pair = (key: Language, value: Language): Language =>
      made.sequence(key, made.text(":"), this.space, value);
    // What comes from a property on: where none came before it, and where one did.
    let rest = { first: made.empty, later: this.space };
    if (others) {
      const names = made.choice(...properties.map(({ name }) => this.literal(name)));
      // Without escapes, by which a property's own name could be written in another way.
      const quote = made.text('"');
      const key = made.sequence(quote, made.repetition(this.#bare), quote);
      const other = pair(made.difference(key, names), others);
      const more = made.sequence(made.repetition(made.sequence(comma, other)), this.space);
      rest = { first: made.optional(made.sequence(other, more)), later: more };
    }
    for (const { name, value, required } of properties.toReversed()) {
      const own = made.sequence(pair(this.literal(name), value), rest.later);
      const after = made.sequence(comma, own);
      rest = required ? { first: own, later: after } : {
        first: made.choice(own, made.apart(rest.first)),
        later: made.choice(after, made.apart(rest.later)),
      };
    }
    return made.sequence(made.text("{"), this.space, rest.first, made.text("}"));
  }
}

/** UTF-8's well-formed characters but for quotes, backslashes and controls. */
function bareCharacter(made: Languages): Language {
  const tail = made.bytes([0x80, 0xbf]);
  return made.choice(
    made.bytes([0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7f]),
    made.sequence(made.bytes([0xc2, 0xdf]), tail),
    made.sequence(made.bytes([0xe0, 0xe0]), made.bytes([0xa0, 0xbf]), tail),
    made.sequence(made.bytes([0xe1, 0xec], [0xee, 0xef]), tail, tail),
    made.sequence(made.bytes([0xed, 0xed]), made.bytes([0x80, 0x9f]), tail),
    made.sequence(made.bytes([0xf0, 0xf0]), made.bytes([0x90, 0xbf]), tail, tail),
    made.sequence(made.bytes([0xf1, 0xf3]), tail, tail, tail),
    made.sequence(made.bytes([0xf4, 0xf4]), made.bytes([0x80, 0x8f]), tail, tail),
  );
}
