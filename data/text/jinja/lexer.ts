/**
 * Jinja's lexer, with the settings of chat templates: trim_blocks and lstrip_blocks.
 *
 * In: a template's source. Out: its tokens, one at a time, so that a template of a mebibyte needs
 * no list of them. It behaves as jinja2.lexer 3.1.6; @huggingface/jinja 0.5.11 knows no `{%+`, no
 * `+%}`, no raw block with its own white space control, and takes other white space away.
 */

import { TemplateSyntaxError } from "./errors.ts";
import { unescapeString } from "./string_literal.ts";
import { OPERATORS, type Token } from "./token.ts";
import { skipSpace, skipSpaceBack, SPACE } from "./whitespace.ts";

const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{N}\p{M}\p{Pc}]+/uy;
const IDENTIFIER = /^[\p{XIDS}_]\p{XIDC}*$/u;
const BLANK = new RegExp(`[${SPACE}]+`, "y");
const RAW_BEGIN = new RegExp(`\\{%[-+]?[${SPACE}]*raw[${SPACE}]*(-?)%\\}`, "y");
const RAW_END = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*([-+]?)%\\}`, "g");
const TAG = /\{[%{#]/g;
const CLOSING: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };

/** The tokens of a template, the last of which is "eof" forever. */
export function createLexer(template: string): () => Token {
  const source = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  let at = 0;
  let line = 1;
  /** End of the tag that is open, if any. */
  let inside: "%}" | "}}" | undefined;
  let lineStarting = true;
  const open: string[] = [];
  const fail = (reason: string): never => {
    throw new TemplateSyntaxError(reason, line);
  };
  const countLines = (text: string): void => {
    for (let i = text.indexOf("\n"); i !== -1; i = text.indexOf("\n", i + 1)) line++;
  };
  const moveTo = (end: number): void => {
    lineStarting = end > at ? source[end - 1] === "\n" : lineStarting;
    countLines(source.slice(at, end));
    at = end;
  };
  /** What white space control leaves of the text before a tag. */
  const before = (text: string, sign: string, isVariable: boolean): string => {
    if (sign === "-") return text.slice(0, skipSpaceBack(text));
    if (sign === "+" || isVariable) return text;
    const start = text.lastIndexOf("\n") + 1;
    const blank = skipSpace(text, start) === text.length;
    return blank && start < text.length && (start > 0 || lineStarting)
      ? text.slice(0, start)
      : text;
  };
  /** Where what a tag's end takes with it ends. */
  const after = (end: number, sign: string): number => {
    if (sign === "-") return skipSpace(source, end);
    return sign !== "+" && source[end] === "\n" ? end + 1 : end;
  };

  /** Text up to a tag, or to the end; the tag is opened. Returns undefined where there is none. */
  const data = (): Token | undefined => {
    const first = line;
    TAG.lastIndex = at;
    const match = TAG.exec(source);
    if (match === null) {
      const text = source.slice(at);
      moveTo(source.length);
      return text === "" ? undefined : { type: "data", text, line: first };
    }
    const { index } = match;
    RAW_BEGIN.lastIndex = index;
    const raw = RAW_BEGIN.exec(source);
    const signAt = source[index + 2];
    const sign = signAt === "-" || signAt === "+" ? signAt : "";
    const text = before(source.slice(at, index), sign, raw === null && match[0] === "{{");
    if (raw !== null) {
      moveTo(raw[1] === "-" ? skipSpace(source, RAW_BEGIN.lastIndex) : RAW_BEGIN.lastIndex);
      pending = rawText();
    } else if (match[0] === "{#") {
      moveTo(index + 2 + sign.length);
      skipComment();
    } else {
      moveTo(index + 2 + sign.length);
      inside = match[0] === "{%" ? "%}" : "}}";
      const type = inside === "%}" ? "block_begin" : "variable_begin";
      pending = { type, text: match[0], line };
    }
    return text === "" ? undefined : { type: "data", text, line: first };
  };
  let pending: Token | undefined;
  const skipComment = (): void => {
    // The first end wins, but a sign that belongs to it must be seen: `{#-#}` is no whole comment.
    const end = source.indexOf("#}", at);
    if (at >= source.length) return; // Jinja lets a tag that nothing follows pass.
    if (end === -1) fail("Missing end of comment tag");
    const sign = end > at ? source[end - 1] : "";
    moveTo(after(end + 2, sign));
  };
  const rawText = (): Token | undefined => {
    const first = line;
    if (at >= source.length) return undefined;
    RAW_END.lastIndex = at;
    const match = RAW_END.exec(source) ?? fail("Missing end of raw directive");
    const text = before(source.slice(at, match.index), match[1], false);
    moveTo(after(RAW_END.lastIndex, match[2]));
    return text === "" ? undefined : { type: "data", text, line: first };
  };

  /** The end of the tag that is open, where it stands here. */
  const tagEnd = (): Token | undefined => {
    if (inside === undefined || open.length > 0) return undefined;
    const signed = source[at] === "-" || (source[at] === "+" && inside === "%}");
    const sign = signed ? source[at] : "";
    if (!source.startsWith(inside, at + sign.length)) return undefined;
    const end = at + sign.length + 2;
    const token: Token = {
      type: inside === "%}" ? "block_end" : "variable_end",
      text: inside,
      line,
    };
    // A variable's end takes no line break with it.
    moveTo(inside === "%}" || sign === "-" ? after(end, sign) : end);
    inside = undefined;
    return token;
  };
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const balance = (operator: string): void => {
    if (operator in CLOSING) open.push(CLOSING[operator]);
    else if (operator === "}" || operator === ")" || operator === "]") {
      const expected = open.pop() ?? fail(`unexpected '${operator}'`);
      if (expected !== operator) fail(`unexpected '${operator}', expected '${expected}'`);
    }
  };
  const string = (quote: string): Token | undefined => {
    let end = at + 1;
    while (end < source.length && source[end] !== quote) end += source[end] === "\\" ? 2 : 1;
    if (end >= source.length) return undefined;
    const text = source.slice(at + 1, end);
    const token: Token = { type: "string", text: unescapeString(text, line), line };
    moveTo(end + 1);
    return token;
  };
  /** The next token inside a tag; undefined at the end of the source. */
  const tagToken = (): Token | undefined => {
    for (;;) {
      const end = tagEnd();
      if (end !== undefined) return end;
      const blank = take(BLANK);
      if (blank === undefined) break;
      moveTo(at + blank.length);
    }
    if (at >= source.length) return undefined;
    for (
      const [type, pattern] of [["float", FLOAT], ["integer", INTEGER], ["name", NAME]] as const
    ) {
      const text = take(pattern);
      if (text === undefined) continue;
      if (type === "name" && !IDENTIFIER.test(text)) {
        fail("Invalid character in identifier");
      }
      const token: Token = { type, text, line };
      moveTo(at + text.length);
      return token;
    }
    const quote = source[at];
    if (quote === "'" || quote === '"') {
      const token = string(quote);
      if (token !== undefined) return token;
    }
    const operator = [source.slice(at, at + 2), source[at]].find((each) => OPERATORS.has(each)) ??
      fail(`unexpected char ${JSON.stringify(source[at])}`);
    balance(operator);
    const token: Token = { type: OPERATORS.get(operator)!, text: operator, line };
    moveTo(at + operator.length);
    return token;
  };

  return (): Token => {
    for (;;) {
      if (pending !== undefined) {
        const token = pending;
        pending = undefined;
        return token;
      }
      if (inside !== undefined) return tagToken() ?? { type: "eof", text: "", line };
      if (at >= source.length) return { type: "eof", text: "", line };
      const token = data();
      if (token !== undefined) return token;
    }
  };
}
