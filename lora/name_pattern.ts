/**
 * Patterns on the names of modules, in the syntax of Python's `re`, as PEFT's settings hold them.
 *
 * In: a pattern that a stranger may have written. Out: whether it matches the whole of a name.
 *
 * Each part of a pattern maps the set of positions where it may begin to the set where it may end, so
 * there is no backtracking, and a step count bounds what is left. JavaScript's own RegExp can neither be
 * bounded nor read Python's syntax; RE2's ports have no lookahead, which adapters in use have.
 * https://docs.python.org/3/library/re.html#regular-expression-syntax
 *
 * @module
 */

import { parsePattern, type Part } from "./parse_pattern.ts";

/** Steps that patterns may take over all names: a quarter of a second. Real ones take a hundredth of that. */
const MAX_STEPS = 1e7;

/** Steps that are left to one pattern, or to several together. */
export class StepLimit {
  #left = MAX_STEPS;

  /** Takes some; answers whether there were as many. */
  take(steps: number): boolean {
    return (this.#left -= steps) >= 0;
  }
}

/** A pattern that is ready to be matched. */
export class NamePattern {
  readonly #field: string;
  readonly #source: string;
  readonly #root: Part;
  readonly #limit: StepLimit;

  /**
   * @param field where the pattern stands, for errors
   * @throws {RangeError} naming field and pattern, and what in it is wrong or not supported
   */
  constructor(
    field: string,
    source: string,
    { flags, limit = new StepLimit() }: {
      /** Whether it may begin with flags. @default true */
      readonly flags?: boolean;
      /** @default one of its own */
      readonly limit?: StepLimit;
    } = {},
  ) {
    this.#field = field;
    this.#source = source;
    this.#limit = limit;
    try {
      this.#root = parsePattern(source, { flags });
    } catch (cause) {
      throw this.#error((cause as Error).message);
    }
  }

  /**
   * Whether the pattern matches a whole text, as `re.fullmatch`.
   *
   * @throws {RangeError} where the pattern takes too many steps
   */
  matches(text: string): boolean {
    return this.ends(text, [0]).has(text.length);
  }

  /** Where the pattern may end in a text that it begins to match at one of the positions. */
  ends(text: string, starts: Iterable<number>): ReadonlySet<number> {
    return this.#ends(this.#root, text, new Set(starts));
  }

  #ends(part: Part, text: string, starts: ReadonlySet<number>): ReadonlySet<number> {
    this.#count(starts.size);
    if (starts.size === 0) return starts;
    switch (part.kind) {
      case "text":
        return new Set(
          [...starts].filter((at) => text.startsWith(part.text, at)).map((at) =>
            at + part.text.length
          ),
        );
      case "character":
        return new Set(
          [...starts].filter((at) => at < text.length && part.holds(text[at])).map((at) => at + 1),
        );
      case "assertion":
        return new Set([...starts].filter((at) => part.holds(text, at)));
      case "sequence":
        return part.parts.reduce((from, each) => this.#ends(each, text, from), starts);
      case "choice":
        return new Set(part.parts.flatMap((each) => [...this.#ends(each, text, starts)]));
      case "look":
        return new Set([...starts].filter((at) => this.#looks(part, text, at)));
      case "repeat":
        return this.#repeated(part, text, starts);
    }
  }

  #looks({ part, behind, negative }: Part & { kind: "look" }, text: string, at: number): boolean {
    const from = behind === undefined ? at : at - behind;
    const ends = from < 0 ? new Set<number>() : this.#ends(part, text, new Set([from]));
    const found = behind === undefined ? ends.size > 0 : ends.has(at);
    return found !== negative;
  }

  #repeated(
    { part, least, most }: Part & { kind: "repeat" },
    text: string,
    starts: ReadonlySet<number>,
  ): ReadonlySet<number> {
    let from = starts;
    // After as many rounds as there are positions only what matches nothing goes on, and changes nothing.
    for (let i = 0; i < Math.min(least, text.length + 1); i++) from = this.#ends(part, text, from);
    const all = new Set(from);
    for (let i = least; i < most && from.size > 0; i++) {
      from = new Set([...this.#ends(part, text, from)].filter((end) => !all.has(end)));
      for (const end of from) all.add(end);
    }
    return all;
  }

  #count(steps: number): void {
    if (this.#limit.take(1 + steps)) return;
    throw this.#error(
      `it takes more than ${MAX_STEPS} steps; write it without repeating what repeats, or list the ` +
        "names of the modules",
    );
  }

  #error(why: string): RangeError {
    const source = this.#source.toWellFormed();
    const shown = JSON.stringify(source.length > 60 ? `${source.slice(0, 60)}…` : source);
    return new RangeError(`Cannot use ${this.#field}, the regular expression ${shown}: ${why}`);
  }
}
