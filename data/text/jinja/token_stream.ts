/**
 * Tokens with a look ahead, and the limits of a parser that recurses.
 */

import { TemplateSyntaxError } from "./errors.ts";
import { createLexer } from "./lexer.ts";
import { OPERATORS, type Token, type TokenType } from "./token.ts";

/** Tokens accepted: the largest templates in use have some 5000; a tree takes memory. */
const MAX_TOKENS = 100_000;
/**
 * Deepest nesting, of brackets and of statements together. Jinja's own compiler gives up at some 70
 * brackets, 100 operators or 98 statements.
 */
const MAX_DEPTH = 150;

/** The tokens of a template. */
export class TokenStream {
  /** The token that is to be read next. */
  current: Token;
  readonly #next: () => Token;
  #ahead: Token | undefined;
  #count = 0;
  #depth = 0;

  /** Reads the template's first token. */
  constructor(source: string) {
    this.#next = createLexer(source);
    this.current = this.#next();
  }

  /** The token that was current; the one after it becomes it. */
  next(): Token {
    const token = this.current;
    if (++this.#count > MAX_TOKENS) this.fail(`the template has more than ${MAX_TOKENS} tokens`);
    this.current = this.#ahead ?? this.#next();
    this.#ahead = undefined;
    return token;
  }

  /** The token after the current one. */
  look(): Token {
    return this.#ahead ??= this.#next();
  }

  /** Whether the current token is of a type, and a name that is given. */
  test(type: TokenType, name?: string): boolean {
    return this.current.type === type && (name === undefined || this.current.text === name);
  }

  /** Whether the current token is one of these names. */
  testNames(names: readonly string[]): boolean {
    return this.current.type === "name" && names.includes(this.current.text);
  }

  /** Goes past the current token if it is of a type, and a name that is given. */
  skipIf(type: TokenType, name?: string): boolean {
    const found = this.test(type, name);
    if (found) this.next();
    return found;
  }

  /** The current token, which must be of a type, and a name that is given. */
  expect(type: TokenType, name?: string): Token {
    if (this.test(type, name)) return this.next();
    const wanted = name ?? describeType(type);
    if (this.current.type === "eof") {
      return this.fail(`unexpected end of template, expected '${wanted}'.`);
    }
    return this.fail(`expected token '${wanted}', got '${describeToken(this.current)}'`);
  }

  /** Runs a part of the parser, one level deeper. */
  deeper<T>(parse: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.fail(`nesting is deeper than ${MAX_DEPTH}`);
    const result = parse();
    this.#depth--;
    return result;
  }

  /** Counts the operators of one chain, which nest in the tree. */
  chained(length: number): void {
    if (length > MAX_DEPTH) this.fail(`more than ${MAX_DEPTH} operators are chained`);
  }

  /** Throws, by default at the current line. */
  fail(reason: string, line = this.current.line): never {
    throw new TemplateSyntaxError(reason, line);
  }
}

const TYPE_NAMES: Partial<Readonly<Record<TokenType, string>>> = {
  block_begin: "begin of statement block",
  block_end: "end of statement block",
  variable_begin: "begin of print statement",
  variable_end: "end of print statement",
  data: "template data / text",
  eof: "end of template",
};

/** A token as messages name it. */
export function describeToken({ type, text }: Token): string {
  return TYPE_NAMES[type] ??
    (type === "string" || type === "integer" || type === "float" ? type : text);
}

function describeType(type: TokenType): string {
  const [operator] = [...OPERATORS].find(([, each]) => each === type) ?? [];
  return TYPE_NAMES[type] ?? operator ?? type;
}
