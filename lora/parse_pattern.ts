/**
 * The parts of a regular expression of Python's `re`. In: its text. Out: a tree, or an error that says
 * what is wrong or not supported: what would depend on the order in which matches are tried
 * (backreferences, conditions, atomic groups, possessive quantifiers), and verbose patterns.
 */

/** A part of a pattern. */
export type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "character"; readonly holds: (character: string) => boolean }
  | { readonly kind: "assertion"; readonly holds: (text: string, at: number) => boolean }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly Part[] }
  | { readonly kind: "repeat"; readonly part: Part; readonly least: number; readonly most: number }
  | {
    readonly kind: "look";
    readonly part: Part;
    /** How many characters before the position it begins. @default ahead of it */
    readonly behind?: number;
    readonly negative: boolean;
  };

/** Regular expressions that list all modules of a large model by their full names have some 20,000. */
const MAX_LENGTH = 1 << 16;
/** Groups inside of groups, so that no stack is used up. */
const MAX_DEPTH = 50;

type Holds = (character: string) => boolean;

const digit: Holds = (c) => c >= "0" && c <= "9";
const space: Holds = (c) => /[ \t\n\r\f\v]/.test(c);
const word: Holds = (c) => /\w/.test(c);
const not = (holds: Holds): Holds => (c) => !holds(c);

const CLASSES: Readonly<Record<string, Holds>> = {
  ...{ d: digit, s: space, w: word },
  ...{ D: not(digit), S: not(space), W: not(word) },
};
const CONTROLS: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "\\": "\\" },
};

const atEdge = (text: string, at: number): boolean =>
  (at > 0 && word(text[at - 1])) !== (at < text.length && word(text[at]));
const ASSERTIONS: Readonly<Record<string, (text: string, at: number) => boolean>> = {
  A: (_, at) => at === 0,
  Z: (text, at) => at === text.length,
  b: atEdge,
  B: (text, at) => !atEdge(text, at),
};

/**
 * Parses a pattern.
 *
 * @param flags whether it may begin with flags such as `(?i)`, which only a whole pattern may
 * @throws {RangeError} where Python refuses it too, or it has what is not supported
 */
export function parsePattern(
  source: string,
  { flags = true }: { readonly flags?: boolean } = {},
): Part {
  if (source.length > MAX_LENGTH) {
    throw new RangeError(`it has ${source.length} characters, more than ${MAX_LENGTH}`);
  }
  return new Parser(source, flags).whole();
}

class Parser {
  readonly #source: string;
  #at = 0;
  #depth = 0;
  #ignoreCase = false;

  constructor(source: string, flags: boolean) {
    this.#source = source;
    while (flags && /^\(\?[a-zA-Z]+\)/.test(source.slice(this.#at))) {
      this.#at += 2;
      this.#ignoreCase = this.#flags(this.#ignoreCase);
      this.#at++;
    }
  }

  whole(): Part {
    const part = this.#choice();
    if (this.#at < this.#source.length) this.#fail("an unbalanced parenthesis");
    return part;
  }

  #fail(what: string, at: number = this.#at): never {
    throw new RangeError(`it has ${what} at character ${at + 1}`);
  }

  #unsupported(what: string, at: number = this.#at): never {
    throw new RangeError(
      `it has ${what} at character ${
        at + 1
      }, which ortune does not support; write it without, or ` +
        "list the names of the modules",
    );
  }

  get #next(): string | undefined {
    return this.#source[this.#at];
  }

  #take(text: string): boolean {
    const found = this.#source.startsWith(text, this.#at);
    if (found) this.#at += text.length;
    return found;
  }

  #choice(): Part {
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    return parts.length === 1 ? parts[0] : { kind: "choice", parts };
  }

  #sequence(): Part {
    const parts: Part[] = [];
    while (this.#comments() !== undefined && this.#next !== "|" && this.#next !== ")") {
      const begin = this.#at;
      const repeated = this.#quantified(this.#atom(), begin);
      const before = parts.at(-1);
      if (repeated.kind === "text" && before?.kind === "text") {
        parts[parts.length - 1] = { kind: "text", text: before.text + repeated.text };
      } else parts.push(repeated);
    }
    return parts.length === 1 ? parts[0] : { kind: "sequence", parts };
  }

  /** Passes comments over, which may stand before a quantifier too; the character behind them. */
  #comments(): string | undefined {
    for (let begin = this.#at; this.#take("(?#"); begin = this.#at) {
      const end = this.#source.indexOf(")", this.#at);
      if (end < 0) this.#fail("a comment without an end", begin);
      this.#at = end + 1;
    }
    return this.#next;
  }

  /** The part with the quantifier behind it; whether it is lazy makes no difference to whole names. */
  #quantified(part: Part, begin: number): Part {
    this.#comments();
    const range = this.#range();
    if (!range) return part;
    if (part.kind === "assertion") this.#fail("nothing to repeat", begin);
    const [least, most] = range;
    if (most < least) this.#fail("a range whose end is below its start", begin);
    if (this.#next === "+") this.#unsupported("a possessive quantifier");
    this.#take("?");
    const at = this.#at;
    if (this.#range()) this.#fail("a quantifier after a quantifier", at);
    return { kind: "repeat", part, least, most };
  }

  #range(): readonly [least: number, most: number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    const found = /^\{(\d*)(?:(,)(\d*))?\}/.exec(this.#source.slice(this.#at, this.#at + 40));
    if (!found || found[0] === "{}") return undefined;
    this.#at += found[0].length;
    const [, low, comma, high] = found;
    const least = low === "" ? 0 : Number(low);
    const end = comma === undefined ? low : high;
    return [least, end === "" ? Infinity : Number(end)];
  }

  #atom(): Part {
    const character = this.#source[this.#at];
    if (character === "(") return this.#group();
    if (character === "[") return this.#set();
    if (character === "\\") return this.#escape();
    if ("*+?".includes(character) || character === "{" && this.#isRange()) {
      this.#fail("nothing to repeat");
    }
    this.#at++;
    if (character === ".") return { kind: "character", holds: (c) => c !== "\n" };
    if (character === "^") return { kind: "assertion", holds: (_, at) => at === 0 };
    if (character === "$") {
      return {
        kind: "assertion",
        holds: (text, at) => at === text.length || at === text.length - 1 && text[at] === "\n",
      };
    }
    return this.#literal(character);
  }

  #isRange(): boolean {
    const at = this.#at;
    const range = this.#range();
    this.#at = at;
    return range !== undefined;
  }

  #literal(character: string): Part {
    if (!this.#ignoreCase) return { kind: "text", text: character };
    return { kind: "character", holds: this.#folded((c) => c === character, character) };
  }

  /** With `(?i)` what holds for either case. */
  #folded(holds: Holds, written = ""): Holds {
    if (!this.#ignoreCase) return holds;
    // Python folds some letters beyond ASCII onto those in it.
    if (/[^\0-\x7f]/.test(written)) this.#unsupported("a letter beyond ASCII in any case");
    return (c) => holds(c.toLowerCase()) || holds(c.toUpperCase());
  }

  #group(): Part {
    const begin = this.#at++;
    const outer = this.#ignoreCase;
    let look: { readonly behind: boolean; readonly negative: boolean } | undefined;
    if (this.#take("?")) {
      if (this.#take("=")) look = { behind: false, negative: false };
      else if (this.#take("!")) look = { behind: false, negative: true };
      else if (this.#take("<=")) look = { behind: true, negative: false };
      else if (this.#take("<!")) look = { behind: true, negative: true };
      else if (this.#take("P<")) this.#name(begin);
      else if (this.#take("P=")) this.#unsupported("a backreference", begin);
      else if (this.#take("(")) this.#unsupported("a condition", begin);
      else if (this.#take(">")) this.#unsupported("an atomic group", begin);
      else if (!this.#take(":")) {
        this.#ignoreCase = this.#flags(outer);
        if (!this.#take(":")) this.#fail("flags that are not at its start", begin);
      }
    }
    if (++this.#depth > MAX_DEPTH) this.#unsupported(`more than ${MAX_DEPTH} groups in a group`);
    const part = this.#choice();
    this.#depth--;
    if (!this.#take(")")) this.#fail("a parenthesis without an end", begin);
    this.#ignoreCase = outer;
    if (!look) return { kind: "sequence", parts: [part] };
    if (!look.behind) return { kind: "look", part, negative: look.negative };
    const [least, most] = widths(part);
    if (least !== most) this.#fail("a lookbehind of no fixed width", begin);
    return { kind: "look", part, negative: look.negative, behind: least };
  }

  readonly #names = new Set<string>();

  #name(begin: number): void {
    const found = /^([\p{L}_][\p{L}\p{N}_]*)>/u.exec(this.#source.slice(this.#at));
    if (!found || this.#names.has(found[1])) this.#fail("a bad or repeated group name", begin);
    this.#names.add(found[1]);
    this.#at += found[0].length;
  }

  /** Flags up to what ends them; only `i` and `-i` change how names match, which are one line of ASCII. */
  #flags(outer: boolean): boolean {
    const begin = this.#at;
    const on = this.#letters();
    const turnsOff = this.#take("-");
    const off = turnsOff ? this.#letters() : "";
    if ((turnsOff ? off : on) === "") this.#fail("a group without a kind", begin);
    for (const flag of on + off) {
      if (!"imsxau".includes(flag)) this.#fail(`an unknown extension "(?${flag}"`, begin);
    }
    if (on.includes("x")) this.#unsupported("the flag x", begin);
    for (const flag of off) {
      if (on.includes(flag)) this.#fail(`the flag ${flag} both on and off`, begin);
      if ("au".includes(flag)) this.#fail(`the flag ${flag} off, which is always on`, begin);
    }
    if (on.includes("a") && on.includes("u")) this.#fail("both flags a and u", begin);
    return on.includes("i") || outer && !off.includes("i");
  }

  #letters(): string {
    const [letters] = /^[a-zA-Z]*/.exec(this.#source.slice(this.#at))!;
    this.#at += letters.length;
    return letters;
  }

  #escape(): Part {
    const begin = this.#at++;
    const character = this.#next;
    if (character === undefined) this.#fail("a backslash at its end", begin);
    if (Object.hasOwn(CLASSES, character)) {
      this.#at++;
      return { kind: "character", holds: CLASSES[character] };
    }
    if (Object.hasOwn(ASSERTIONS, character)) {
      this.#at++;
      return { kind: "assertion", holds: ASSERTIONS[character] };
    }
    const octal = this.#octal();
    if (octal !== undefined) return this.#literal(octal);
    if (/[1-9]/.test(character)) this.#unsupported("a backreference", begin);
    return this.#literal(this.#escaped(begin));
  }

  /** The character that an escape stands for. */
  #escaped(begin: number): string {
    const rest = this.#source.slice(this.#at, this.#at + 9);
    const code = /^(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|0([0-7]{0,2}))/.exec(rest);
    if (code) {
      this.#at += code[0].length;
      const [, two, four, octal] = code;
      return String.fromCharCode(
        octal === undefined ? parseInt(two ?? four, 16) : parseInt(octal || "0", 8),
      );
    }
    const character = rest[0];
    if (character === undefined) this.#fail("a backslash at its end", begin);
    this.#at++;
    if (Object.hasOwn(CONTROLS, character)) return CONTROLS[character];
    if (/[A-Za-z0-9]/.test(character)) this.#fail(`a bad escape "\\${character}"`, begin);
    return character;
  }

  #set(): Part {
    const begin = this.#at++;
    const negative = this.#take("^");
    const members: Holds[] = [];
    for (let first = true; first || this.#next !== "]"; first = false) {
      const low = this.#member(begin);
      const range = this.#next === "-" && this.#source[this.#at + 1] !== "]";
      if (!range) {
        members.push(this.#holdsMember(low));
        continue;
      }
      this.#at++;
      const high = this.#member(begin);
      if (typeof low !== "string" || typeof high !== "string" || high < low) {
        this.#fail("a bad range of characters", begin);
      }
      members.push(this.#folded((c) => c >= low && c <= high, low + high));
    }
    this.#at++;
    const holds: Holds = (c) => members.some((each) => each(c)) !== negative;
    return { kind: "character", holds };
  }

  #member(begin: number): string | Holds {
    const character = this.#next;
    if (character === undefined) this.#fail("a set without an end", begin);
    this.#at++;
    if (character !== "\\") return character;
    const escaped = this.#next;
    if (escaped === undefined) this.#fail("a set without an end", begin);
    if (Object.hasOwn(CLASSES, escaped)) {
      this.#at++;
      return CLASSES[escaped];
    }
    return this.#octal() ?? this.#escaped(this.#at - 1);
  }

  /** The character of three octal digits. */
  #octal(): string | undefined {
    const digits = /^[0-3][0-7]{2}/.exec(this.#source.slice(this.#at, this.#at + 3));
    if (!digits) return undefined;
    this.#at += 3;
    return String.fromCharCode(parseInt(digits[0], 8));
  }

  #holdsMember(member: string | Holds): Holds {
    return typeof member === "string" ? this.#folded((c) => c === member, member) : member;
  }
}

/** How few and how many characters a part takes. */
function widths(part: Part): readonly [least: number, most: number] {
  switch (part.kind) {
    case "text":
      return [part.text.length, part.text.length];
    case "character":
      return [1, 1];
    case "assertion":
    case "look":
      return [0, 0];
    case "repeat": {
      const [least, most] = widths(part.part);
      return [least * part.least, most === 0 || part.most === 0 ? 0 : most * part.most];
    }
    case "sequence": {
      const each = part.parts.map(widths);
      return [each.reduce((sum, [a]) => sum + a, 0), each.reduce((sum, [, b]) => sum + b, 0)];
    }
    case "choice": {
      const each = part.parts.map(widths);
      return [Math.min(...each.map(([a]) => a)), Math.max(...each.map(([, b]) => b))];
    }
  }
}
