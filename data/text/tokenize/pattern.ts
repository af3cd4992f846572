/**
 * Patterns of a tokenizer.json: Oniguruma's syntax, read as a closed world.
 *
 * In: the text of a pattern. Out: its tree, over sets of code points. What is not in this grammar is
 * refused by name, so that no pattern runs with another meaning than in Hugging Face's Rust library.
 */

import { bothCases, escapeCode, parseSet, type PatternCursor, readEscape } from "./pattern_set.ts";

/** A part of a pattern. */
export type PatternNode =
  /** One code point of a set; `source` is the set as a class of JavaScript's `v` mode. */
  | { readonly kind: "set"; readonly source: string }
  | { readonly kind: "sequence"; readonly items: readonly PatternNode[] }
  | { readonly kind: "choice"; readonly options: readonly PatternNode[] }
  | {
    readonly kind: "repeat";
    readonly body: PatternNode;
    readonly min: number;
    readonly max: number;
    readonly mode: "greedy" | "lazy" | "possessive";
  }
  | { readonly kind: "atomic"; readonly body: PatternNode }
  | {
    readonly kind: "look";
    readonly behind: boolean;
    readonly negative: boolean;
    readonly body: PatternNode;
  }
  | { readonly kind: "edge"; readonly edge: Edge };

/** A place between code points. */
export type Edge =
  | "start"
  | "end"
  | "last-line-end"
  | "line-start"
  | "line-end"
  | "word"
  | "inside";

// A published pattern has some hundred characters; the longest, DeepSeek Coder's, has 3,500.
const MAX_LENGTH = 16_384;
const MAX_DEPTH = 32;
const MAX_COUNT = 1000;

/**
 * Reads a pattern.
 *
 * @throws {SyntaxError} on what is malformed, or outside the grammar; the message names the piece
 */
export function parsePattern(text: string): PatternNode {
  if (text.length > MAX_LENGTH) {
    throw new SyntaxError(`it has ${text.length} characters, more than ${MAX_LENGTH}`);
  }
  const cursor: PatternCursor = { text, at: 0, ignoreCase: false, depth: 0 };
  const node = parseChoice(cursor);
  if (cursor.at < text.length) throw new SyntaxError(`it has an unmatched ) at ${cursor.at}`);
  return node;
}

function parseChoice(cursor: PatternCursor): PatternNode {
  if (++cursor.depth > MAX_DEPTH) throw new SyntaxError(`it nests deeper than ${MAX_DEPTH} groups`);
  const options = [parseSequence(cursor)];
  while (cursor.text[cursor.at] === "|") {
    cursor.at++;
    options.push(parseSequence(cursor));
  }
  cursor.depth--;
  return options.length === 1 ? options[0] : { kind: "choice", options };
}

function parseSequence(cursor: PatternCursor): PatternNode {
  const { text } = cursor;
  const items: PatternNode[] = [];
  while (cursor.at < text.length && text[cursor.at] !== "|" && text[cursor.at] !== ")") {
    items.push(parseQuantifiers(cursor, parseAtom(cursor)));
  }
  if (cursor.ignoreCase) refuseLigatures(items);
  return items.length === 1 ? items[0] : { kind: "sequence", items };
}

// Oniguruma lets these pairs match one character too (`ß`, `ﬆ`, `ﬁ`), which no set can say.
const LIGATURES = /^(?:ss|st|ff|fi|fl)$/;

function refuseLigatures(items: readonly PatternNode[]): void {
  const letter = (node?: PatternNode): string => {
    if (node?.kind === "sequence" && node.items.length === 1) return letter(node.items[0]);
    return node?.kind === "set" ? LETTER_OF.get(node) ?? "" : "";
  };
  for (const [index, item] of items.entries()) {
    if (item.kind === "repeat" && /[sf]/.test(letter(item.body))) {
      throw new SyntaxError(`it repeats ${letter(item.body)} in a group (?i:…)`);
    }
    const pair = letter(item) + letter(items[index + 1]);
    if (LIGATURES.test(pair)) throw new SyntaxError(`it has ${pair} in a group (?i:…)`);
  }
}

/** The letters that stand in groups `(?i:…)`, by node. */
const LETTER_OF = new WeakMap<PatternNode, string>();

function parseAtom(cursor: PatternCursor): PatternNode {
  const { text } = cursor;
  const char = String.fromCodePoint(text.codePointAt(cursor.at)!);
  switch (char) {
    case "(":
      return parseGroup(cursor);
    case "[":
      return { kind: "set", source: parseSet(cursor) };
    case ".":
      cursor.at++;
      return { kind: "set", source: "[^\\n]" };
    case "^":
      cursor.at++;
      return { kind: "edge", edge: "line-start" };
    case "$":
      cursor.at++;
      return { kind: "edge", edge: "line-end" };
    case "*":
    case "+":
    case "?":
      throw new SyntaxError(`it has a ${char} after nothing at ${cursor.at}`);
    case "\\": {
      const edge = EDGES[text[cursor.at + 1]];
      if (edge !== undefined) {
        cursor.at += 2;
        return { kind: "edge", edge };
      }
      return character(cursor, readEscape(cursor, false));
    }
    default:
      cursor.at += char.length;
      return character(cursor, char.codePointAt(0)!);
  }
}

const EDGES: Readonly<Record<string, Edge>> = {
  A: "start",
  z: "end",
  Z: "last-line-end",
  b: "word",
  B: "inside",
};

/** The set of one character, or of an escape that is a set already. */
function character(cursor: PatternCursor, value: number | string): PatternNode {
  if (typeof value === "string") {
    if (cursor.ignoreCase) throw new SyntaxError("it has a class of characters in a group (?i:…)");
    return { kind: "set", source: value };
  }
  if (!cursor.ignoreCase) return { kind: "set", source: `[${escapeCode(value)}]` };
  const node: PatternNode = { kind: "set", source: `[${bothCases(value)}]` };
  LETTER_OF.set(node, String.fromCodePoint(value).toLowerCase());
  return node;
}

const GROUPS: readonly (readonly [
  string,
  Partial<Record<"look" | "behind" | "negative" | "atomic" | "ignoreCase", true>>,
])[] = [
  ["(?:", {}],
  ["(?i:", { ignoreCase: true }],
  ["(?=", { look: true }],
  ["(?!", { look: true, negative: true }],
  ["(?<=", { look: true, behind: true }],
  ["(?<!", { look: true, behind: true, negative: true }],
  ["(?>", { atomic: true }],
];

function parseGroup(cursor: PatternCursor): PatternNode {
  const { text, at, ignoreCase } = cursor;
  const [head, flags] = GROUPS.find(([each]) => text.startsWith(each, at)) ?? ["(", {}];
  if (head === "(" && text[at + 1] === "?") {
    throw new SyntaxError(`it has the group ${text.slice(at, at + 4)} at ${at}`);
  }
  cursor.at += head.length;
  cursor.ignoreCase ||= flags.ignoreCase === true;
  const body = parseChoice(cursor);
  if (text[cursor.at] !== ")") throw new SyntaxError(`it has an unclosed ( at ${at}`);
  cursor.at++;
  cursor.ignoreCase = ignoreCase;
  if (flags.atomic) return { kind: "atomic", body };
  if (!flags.look) return body.kind === "set" ? { kind: "sequence", items: [body] } : body;
  const { behind = false, negative = false } = flags;
  if (behind && body.kind !== "set") {
    throw new SyntaxError(`it looks behind for more than one character at ${at}`);
  }
  return { kind: "look", behind, negative, body };
}

function parseQuantifiers(cursor: PatternCursor, atom: PatternNode): PatternNode {
  const { text } = cursor;
  let node = atom;
  for (let count = 0;; count++) {
    const char = text[cursor.at];
    const braces = /^\{(?:(\d+)(?:(,)(\d*))?|,(\d+))\}/.exec(text.slice(cursor.at, cursor.at + 16));
    if (char !== "*" && char !== "+" && char !== "?" && braces === null) return node;
    if (count > 0) throw new SyntaxError(`it has a quantifier after a quantifier at ${cursor.at}`);
    if (node.kind === "look" || node.kind === "edge") {
      throw new SyntaxError(`it repeats what has no width at ${cursor.at}`);
    }
    let [min, max] = char === "+" ? [1, Infinity] : [0, char === "?" ? 1 : Infinity];
    if (braces !== null) {
      const [, from, comma, to, upTo] = braces;
      min = Number(from ?? 0);
      max = upTo !== undefined
        ? Number(upTo)
        : comma === undefined
        ? min
        : to
        ? Number(to)
        : Infinity;
      const highest = max === Infinity ? min : max;
      if (highest > MAX_COUNT || max < min) {
        throw new SyntaxError(`it has the quantifier ${braces[0]} at ${cursor.at}`);
      }
    }
    cursor.at += braces?.[0].length ?? 1;
    const next = text[cursor.at];
    // Ruby's syntax: a brace with + repeats greedily what is repeated already, and with ? is optional.
    if (braces !== null && (next === "+" || next === "?")) {
      throw new SyntaxError(`it has the quantifier ${braces[0]}${next} at ${cursor.at}`);
    }
    // Engines differ in when they leave a loop that takes nothing.
    if (isNullable(node)) {
      throw new SyntaxError(`it repeats at ${cursor.at} what may match nothing`);
    }
    const mode = next === "?" ? "lazy" : next === "+" ? "possessive" : "greedy";
    if (mode !== "greedy") cursor.at++;
    node = { kind: "repeat", body: node, min, max, mode };
  }
}

/** Whether a part can match nothing. */
export function isNullable(node: PatternNode): boolean {
  switch (node.kind) {
    case "set":
      return false;
    case "sequence":
      return node.items.every(isNullable);
    case "choice":
      return node.options.some(isNullable);
    case "repeat":
      return node.min === 0 || isNullable(node.body);
    case "atomic":
      return isNullable(node.body);
    case "look":
    case "edge":
      return true;
  }
}
