/** The tokens that Jinja's lexer makes of a template. */

/** Kinds of tokens; operators by Jinja's own names. */
export type TokenType =
  | "add"
  | "assign"
  | "block_begin"
  | "block_end"
  | "colon"
  | "comma"
  | "data"
  | "div"
  | "dot"
  | "eof"
  | "eq"
  | "float"
  | "floordiv"
  | "gt"
  | "gteq"
  | "integer"
  | "lbrace"
  | "lbracket"
  | "lparen"
  | "lt"
  | "lteq"
  | "mod"
  | "mul"
  | "name"
  | "ne"
  | "pipe"
  | "pow"
  | "rbrace"
  | "rbracket"
  | "rparen"
  | "semicolon"
  | "string"
  | "sub"
  | "tilde"
  | "variable_begin"
  | "variable_end";

/** One token. */
export interface Token {
  readonly type: TokenType;
  /** Text of a name, a string, a number or data; the operator itself otherwise. */
  readonly text: string;
  /** Line, counted from 1. */
  readonly line: number;
}

/** Operators and their tokens; the lexer takes the longest that fits. */
export const OPERATORS: ReadonlyMap<string, TokenType> = new Map<string, TokenType>([
  ["//", "floordiv"],
  ["**", "pow"],
  ["==", "eq"],
  ["!=", "ne"],
  [">=", "gteq"],
  ["<=", "lteq"],
  ["+", "add"],
  ["-", "sub"],
  ["/", "div"],
  ["*", "mul"],
  ["%", "mod"],
  ["~", "tilde"],
  ["[", "lbracket"],
  ["]", "rbracket"],
  ["(", "lparen"],
  [")", "rparen"],
  ["{", "lbrace"],
  ["}", "rbrace"],
  [">", "gt"],
  ["<", "lt"],
  ["=", "assign"],
  [".", "dot"],
  [":", "colon"],
  ["|", "pipe"],
  [",", "comma"],
  [";", "semicolon"],
]);
