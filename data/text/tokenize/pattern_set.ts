/**
 * Sets of code points in a pattern: escapes such as `\p{L}` and classes such as `[^\r\n]`.
 *
 * In: where reading stands. Out: the same set as a class of JavaScript's `v` mode, which knows nested
 * classes and intersections as Oniguruma does.
 */

/** Where reading stands. */
export interface PatternCursor {
  readonly text: string;
  at: number;
  /** Whether a group `(?i:…)` is open. */
  ignoreCase: boolean;
  depth: number;
}

/** Oniguruma's `\w`: in a class it is Unicode's definition; by itself it has six numbers more. */
const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]";
/** The set `\w` outside of classes. */
export const WORD_SET = `[${WORD}\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}]`;

const SETS: Readonly<Record<string, string>> = {
  s: "[\\p{White_Space}]",
  S: "[^\\p{White_Space}]",
  d: "[\\p{Nd}]",
  D: "[^\\p{Nd}]",
  h: "[0-9A-Fa-f]",
  H: "[^0-9A-Fa-f]",
};

const CONTROLS: Readonly<Record<string, number>> = {
  t: 9,
  n: 10,
  v: 11,
  f: 12,
  r: 13,
  a: 7,
  e: 27,
};

/** Properties of which Oniguruma 6.9.10 and V8 have the same code points, as was counted. */
const PROPERTIES = new Map(
  ("L N M P S Z C Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf " +
    "Co Cn Alphabetic White_Space Uppercase Lowercase").split(" ").map((name) =>
      [name, `\\p{${name}}`] as const
    ).concat(
      ("Han Hiragana Katakana Hangul Latin Greek Cyrillic Arabic Hebrew Thai Devanagari Bengali Armenian " +
        "Georgian Ethiopic Khmer Lao Myanmar Tibetan Tamil Telugu Kannada Malayalam Gujarati Gurmukhi " +
        "Sinhala Mongolian Bopomofo Common Inherited").split(" ").map((name) =>
          [name, `\\p{Script=${name}}`] as const
        ),
    ),
);

/** A code point as JavaScript's `v` mode takes it anywhere. */
export function escapeCode(code: number): string {
  return `\\u{${code.toString(16)}}`;
}

/** A letter of ASCII in both cases, with the long s and the Kelvin sign, as Oniguruma folds them. */
export function bothCases(code: number): string {
  const char = String.fromCodePoint(code);
  if (code > 0x7f) throw new SyntaxError(`it has ${JSON.stringify(char)} in a group (?i:…)`);
  const lower = char.toLowerCase();
  const others = lower === "s" ? "\\u{17f}" : lower === "k" ? "\\u{212a}" : "";
  return [...new Set([lower, char.toUpperCase()])].map((each) => escapeCode(each.codePointAt(0)!))
    .join("") + others;
}

/**
 * Reads an escape.
 *
 * @returns a code point, or a set
 */
export function readEscape(cursor: PatternCursor, inClass: boolean): number | string {
  const { text, at } = cursor;
  const rest = text.slice(at, at + 40);
  const property = /^\\([pP])\{(\^?)([^}]*)\}/.exec(rest);
  if (property !== null) {
    const [whole, letter, caret, name] = property;
    const known = PROPERTIES.get(name);
    if (known === undefined) throw new SyntaxError(`it has the property ${whole} at ${at}`);
    cursor.at += whole.length;
    return (letter === "P") !== (caret === "^") ? `[^${known}]` : `[${known}]`;
  }
  const hex = /^\\(?:x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4}))/.exec(rest);
  if (hex !== null) {
    const code = parseInt(hex[1] ?? hex[2] ?? hex[3], 16);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      throw new SyntaxError(`it has the character ${hex[0]} at ${at}`);
    }
    cursor.at += hex[0].length;
    return code;
  }
  const code = text.codePointAt(at + 1);
  if (code === undefined) throw new SyntaxError("it ends with a backslash");
  const char = String.fromCodePoint(code);
  cursor.at += 1 + char.length;
  if (char === "w") return inClass ? WORD : WORD_SET;
  if (char === "W") return inClass ? `[^${WORD}]` : `[^${WORD_SET}]`;
  if (Object.hasOwn(SETS, char)) return SETS[char];
  if (Object.hasOwn(CONTROLS, char)) return CONTROLS[char];
  if (/[0-9A-Za-z]/.test(char)) throw new SyntaxError(`it has the escape \\${char} at ${at}`);
  return code;
}

/** Reads a class, from its `[` to its `]`. */
export function parseSet(cursor: PatternCursor): string {
  const { text, at: start } = cursor;
  if (++cursor.depth > 32) throw new SyntaxError("it nests deeper than 32 groups");
  if (text.startsWith("[:", start)) throw new SyntaxError(`it has a POSIX class at ${start}`);
  cursor.at++;
  const negated = text[cursor.at] === "^";
  if (negated) cursor.at++;
  const operands: string[] = [];
  let parts = "";
  for (let first = true;; first = false) {
    if (cursor.at >= text.length) throw new SyntaxError(`it has an unclosed [ at ${start}`);
    if (text[cursor.at] === "]" && !first) break;
    if (text.startsWith("&&", cursor.at)) {
      if (parts === "") throw new SyntaxError(`it has && after nothing at ${cursor.at}`);
      operands.push(parts);
      parts = "";
      cursor.at += 2;
      continue;
    }
    parts += parseMember(cursor);
  }
  if (parts === "") throw new SyntaxError(`it has an empty class at ${start}`);
  cursor.at++;
  cursor.depth--;
  operands.push(parts);
  const set = operands.length === 1 ? parts : operands.map((each) => `[${each}]`).join("&&");
  return `[${negated ? "^" : ""}${set}]`;
}

/** One member of a class: a character, a range, or a set. */
function parseMember(cursor: PatternCursor): string {
  const { text, at } = cursor;
  if (text[at] === "[") return parseSet(cursor);
  const from = readMember(cursor);
  const ranged = text[cursor.at] === "-" && text[cursor.at + 1] !== "]" &&
    !text.startsWith("-&&", cursor.at);
  if (typeof from === "string") {
    if (ranged) throw new SyntaxError(`it has a range from a set at ${at}`);
    if (cursor.ignoreCase) throw new SyntaxError("it has a class of characters in a group (?i:…)");
    return from;
  }
  if (!ranged) return cursor.ignoreCase ? bothCases(from) : escapeCode(from);
  cursor.at++;
  if (text[cursor.at] === "[") throw new SyntaxError(`it has a range to a set at ${at}`);
  const to = readMember(cursor);
  if (typeof to === "string" || to < from) {
    throw new SyntaxError(`it has a range at ${at} that is none`);
  }
  if (!cursor.ignoreCase) return `${escapeCode(from)}-${escapeCode(to)}`;
  return Array.from({ length: to - from + 1 }, (_, index) => bothCases(from + index)).join("");
}

function readMember(cursor: PatternCursor): number | string {
  if (cursor.text[cursor.at] === "\\") return readEscape(cursor, true);
  const code = cursor.text.codePointAt(cursor.at)!;
  cursor.at += code > 0xffff ? 2 : 1;
  return code;
}
