/**
 * Jinja's expressions, by the grammar of jinja2.parser 3.1.6.
 *
 * @huggingface/jinja 0.5.11 has another grammar: `-x ** 2`, `a ~ b + c`, `not a in b`, `a < b < c`,
 * tests with an argument without brackets, tuples without brackets and adjacent strings differ.
 */

import type {
  BinaryOperator,
  Call,
  CallArguments,
  CompareOperator,
  Expression,
  Filter,
  Name,
} from "./nodes.ts";
import { describeToken, type TokenStream } from "./token_stream.ts";
import type { TokenType } from "./token.ts";

const COMPARISONS: readonly TokenType[] = ["eq", "ne", "lt", "lteq", "gt", "gteq"];
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);

/** How {@linkcode parseTuple} reads. */
export interface TupleOptions {
  /** Read names and literals only, as targets are. */
  readonly simplified?: boolean;
  /** Read `a if b else c`. @default true */
  readonly withCondexpr?: boolean;
  /** Inside brackets, where nothing is an empty tuple. */
  readonly explicitParentheses?: boolean;
  /** Read `ns.attribute` as a target. */
  readonly withNamespace?: boolean;
}

/** One expression, or a tuple where commas follow. */
export function parseTuple(stream: TokenStream, options: TupleOptions = {}): Expression {
  const { simplified = false, withCondexpr = true, withNamespace = false } = options;
  let { line } = stream.current;
  const items: Expression[] = [];
  let isTuple = false;
  for (;;) {
    if (items.length > 0) stream.expect("comma");
    if (isTupleEnd(stream)) break;
    items.push(
      simplified ? parsePrimary(stream, withNamespace) : parseExpression(stream, withCondexpr),
    );
    if (!stream.test("comma")) break;
    isTuple = true;
    ({ line } = stream.current);
  }
  if (!isTuple) {
    if (items.length > 0) return items[0];
    if (options.explicitParentheses !== true) {
      stream.fail(`Expected an expression, got '${describeToken(stream.current)}'`);
    }
  }
  return { kind: "Tuple", items, line };
}

/** Jinja means to end a loop's target at `in` too, but never does: `for a, in b` is an error. */
function isTupleEnd({ current: { type } }: TokenStream): boolean {
  return type === "variable_end" || type === "block_end" || type === "rparen";
}

/** Any expression but a tuple without brackets. */
export function parseExpression(stream: TokenStream, withCondexpr = true): Expression {
  return stream.deeper(() => withCondexpr ? parseCondexpr(stream) : parseOr(stream));
}

function parseCondexpr(stream: TokenStream): Expression {
  let { line } = stream.current;
  let node = parseOr(stream);
  for (let count = 1; stream.skipIf("name", "if"); count++) {
    stream.chained(count);
    const test = parseOr(stream);
    const otherwise = stream.skipIf("name", "else")
      ? stream.deeper(() => parseCondexpr(stream))
      : undefined;
    node = { kind: "CondExpr", test, then: node, otherwise, line };
    ({ line } = stream.current);
  }
  return node;
}

/** Operators of one rank, grouped from the left. */
function parseChain(
  stream: TokenStream,
  parse: (stream: TokenStream) => Expression,
  operatorAt: () => BinaryOperator | undefined,
): Expression {
  let { line } = stream.current;
  let left = parse(stream);
  for (let count = 1;; count++) {
    const operator = operatorAt();
    if (operator === undefined) return left;
    stream.chained(count);
    stream.next();
    left = { kind: "Binary", operator, left, right: parse(stream), line };
    ({ line } = stream.current);
  }
}

function parseOr(stream: TokenStream): Expression {
  return parseChain(stream, parseAnd, () => stream.test("name", "or") ? "or" : undefined);
}

function parseAnd(stream: TokenStream): Expression {
  return parseChain(stream, parseNot, () => stream.test("name", "and") ? "and" : undefined);
}

function parseNot(stream: TokenStream): Expression {
  if (!stream.test("name", "not")) return parseCompare(stream);
  const { line } = stream.next();
  const node = stream.deeper(() => parseNot(stream));
  return { kind: "Unary", operator: "not", node, line };
}

function parseCompare(stream: TokenStream): Expression {
  const { line } = stream.current;
  const left = parseSum(stream);
  const ops: { operator: CompareOperator; right: Expression }[] = [];
  for (;;) {
    const { type } = stream.current;
    if (COMPARISONS.includes(type)) {
      stream.next();
      ops.push({ operator: type as CompareOperator, right: parseSum(stream) });
    } else if (stream.skipIf("name", "in")) {
      ops.push({ operator: "in", right: parseSum(stream) });
    } else if (stream.test("name", "not") && isName(stream.look(), "in")) {
      stream.next();
      stream.next();
      ops.push({ operator: "notin", right: parseSum(stream) });
    } else break;
  }
  return ops.length === 0 ? left : { kind: "Compare", left, ops, line };
}

function isName(token: { readonly type: TokenType; readonly text: string }, name: string): boolean {
  return token.type === "name" && token.text === name;
}

function among<T extends BinaryOperator & TokenType>(
  stream: TokenStream,
  operators: readonly T[],
): T | undefined {
  return operators.find((each) => each === stream.current.type);
}

function parseSum(stream: TokenStream): Expression {
  return parseChain(stream, parseConcat, () => among(stream, ["add", "sub"]));
}

function parseConcat(stream: TokenStream): Expression {
  const { line } = stream.current;
  const nodes = [parseProduct(stream)];
  while (stream.skipIf("tilde")) nodes.push(parseProduct(stream));
  return nodes.length === 1 ? nodes[0] : { kind: "Concat", nodes, line };
}

function parseProduct(stream: TokenStream): Expression {
  return parseChain(stream, parsePow, () => among(stream, ["mul", "div", "floordiv", "mod"]));
}

function parsePow(stream: TokenStream): Expression {
  return parseChain(stream, parseUnary, () => among(stream, ["pow"]));
}

function parseUnary(stream: TokenStream, withFilter: unknown = true): Expression {
  const { type, line } = stream.current;
  let node: Expression;
  if (type === "sub" || type === "add") {
    stream.next();
    const inner = stream.deeper(() => parseUnary(stream, false));
    node = { kind: "Unary", operator: type === "sub" ? "neg" : "pos", node: inner, line };
  } else node = parsePrimary(stream);
  node = parsePostfix(stream, node);
  return withFilter === false ? node : parseFilterExpression(stream, node);
}

/** A name or a literal. */
function parsePrimary(stream: TokenStream, withNamespace = false): Expression {
  const { type, text, line } = stream.current;
  switch (type) {
    case "name": {
      stream.next();
      const value = CONSTANTS.get(text);
      if (value !== undefined) return { kind: "Const", value, line };
      if (withNamespace && stream.skipIf("dot")) {
        return { kind: "NSRef", name: text, attribute: stream.expect("name").text, line };
      }
      return { kind: "Name", name: text, ctx: "load", line };
    }
    case "string": {
      let value = "";
      while (stream.test("string")) value += stream.next().text;
      return { kind: "Const", value, line };
    }
    case "integer":
    case "float":
      stream.next();
      return { kind: "Const", value: { number: type, text }, line };
    case "lparen": {
      stream.next();
      const node = stream.deeper(() => parseTuple(stream, { explicitParentheses: true }));
      stream.expect("rparen");
      return node;
    }
    case "lbracket":
      return parseList(stream);
    case "lbrace":
      return parseDict(stream);
    default:
      return stream.fail(`unexpected '${describeToken(stream.current)}'`, line);
  }
}

function parseList(stream: TokenStream): Expression {
  const { line } = stream.expect("lbracket");
  const items: Expression[] = [];
  while (!stream.test("rbracket")) {
    if (items.length > 0) stream.expect("comma");
    if (stream.test("rbracket")) break;
    items.push(parseExpression(stream));
  }
  stream.expect("rbracket");
  return { kind: "List", items, line };
}

function parseDict(stream: TokenStream): Expression {
  const { line } = stream.expect("lbrace");
  const items: { key: Expression; value: Expression }[] = [];
  while (!stream.test("rbrace")) {
    if (items.length > 0) stream.expect("comma");
    if (stream.test("rbrace")) break;
    const key = parseExpression(stream);
    stream.expect("colon");
    items.push({ key, value: parseExpression(stream) });
  }
  stream.expect("rbrace");
  return { kind: "Dict", items, line };
}

function parsePostfix(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (let count = 1;; count++) {
    if (stream.test("dot") || stream.test("lbracket")) node = parseSubscript(stream, node);
    else if (stream.test("lparen")) node = parseCall(stream, node);
    else return node;
    stream.chained(count);
  }
}

function parseFilterExpression(stream: TokenStream, start: Expression): Expression {
  let node = start;
  for (let count = 1;; count++) {
    if (stream.test("pipe")) node = parseFilter(stream, node) ?? node;
    else if (stream.test("name", "is")) node = parseTest(stream, node);
    else if (stream.test("lparen")) node = parseCall(stream, node);
    else return node;
    stream.chained(count);
  }
}

function parseSubscript(stream: TokenStream, node: Expression): Expression {
  const { type, line } = stream.next();
  if (type === "dot") {
    const token = stream.next();
    if (token.type === "name") return { kind: "Getattr", node, name: token.text, line };
    if (token.type !== "integer") stream.fail("expected name or number", token.line);
    const value = { number: "integer", text: token.text } as const;
    return { kind: "Getitem", node, key: { kind: "Const", value, line: token.line }, line };
  }
  const items: Expression[] = [];
  while (!stream.test("rbracket")) {
    if (items.length > 0) stream.expect("comma");
    items.push(parseSubscribed(stream));
  }
  stream.expect("rbracket");
  const key: Expression = items.length === 1 ? items[0] : { kind: "Tuple", items, line };
  return { kind: "Getitem", node, key, line };
}

function parseSubscribed(stream: TokenStream): Expression {
  const { line } = stream.current;
  const part = (): Expression | undefined =>
    stream.test("colon") || stream.test("rbracket") || stream.test("comma")
      ? undefined
      : parseExpression(stream);
  const start = stream.test("colon") ? undefined : parseExpression(stream);
  if (!stream.skipIf("colon")) return start ?? stream.fail("expected an index");
  const stop = part();
  const step = stream.skipIf("colon") ? part() : undefined;
  return { kind: "Slice", start, stop, step, line };
}

function parseCallArguments(stream: TokenStream): CallArguments {
  const { line } = stream.expect("lparen");
  const args: Expression[] = [];
  const kwargs: { key: string; value: Expression }[] = [];
  const keys = new Set<string>();
  let dynArgs: Expression | undefined;
  let dynKwargs: Expression | undefined;
  const ensure = (valid: boolean): void => {
    if (!valid) stream.fail("invalid syntax for function call expression", line);
  };
  for (let first = true; !stream.test("rparen"); first = false) {
    if (!first) {
      stream.expect("comma");
      if (stream.test("rparen")) break;
    }
    if (stream.test("mul")) {
      ensure(dynArgs === undefined && dynKwargs === undefined);
      stream.next();
      dynArgs = parseExpression(stream);
    } else if (stream.test("pow")) {
      ensure(dynKwargs === undefined);
      stream.next();
      dynKwargs = parseExpression(stream);
    } else if (stream.test("name") && stream.look().type === "assign") {
      ensure(dynKwargs === undefined);
      const { text: key } = stream.next();
      stream.next();
      if (keys.has(key)) stream.fail(`keyword argument repeated: ${key}`);
      keys.add(key);
      kwargs.push({ key, value: parseExpression(stream) });
    } else {
      ensure(dynArgs === undefined && dynKwargs === undefined && kwargs.length === 0);
      args.push(parseExpression(stream));
    }
  }
  stream.expect("rparen");
  return { args, kwargs, dynArgs, dynKwargs };
}

const NO_ARGUMENTS: CallArguments = { args: [], kwargs: [] };

function parseCall(stream: TokenStream, node: Expression): Call {
  const { line } = stream.current;
  return { kind: "Call", node, ...parseCallArguments(stream), line };
}

function parseDottedName(stream: TokenStream): { readonly name: string; readonly line: number } {
  const { text, line } = stream.expect("name");
  let name = text;
  while (stream.skipIf("dot")) name += `.${stream.expect("name").text}`;
  return { name, line };
}

/** `|filter`s after a value; without a value they are those of a block. */
export function parseFilter(
  stream: TokenStream,
  start: Expression | undefined,
  startInline = false,
): Filter | undefined {
  let node: Filter | undefined;
  for (let count = 1; (startInline && count === 1) || stream.test("pipe"); count++) {
    stream.chained(count);
    if (!startInline || count > 1) stream.next();
    const { name, line } = parseDottedName(stream);
    const call = stream.test("lparen") ? parseCallArguments(stream) : NO_ARGUMENTS;
    node = { kind: "Filter", node: node ?? start, name, ...call, line };
  }
  return node;
}

const ARGUMENT_STARTS: readonly TokenType[] = [
  "name",
  "string",
  "integer",
  "float",
  "lbracket",
  "lbrace",
];

function parseTest(stream: TokenStream, node: Expression): Expression {
  const { line } = stream.next();
  const negated = stream.skipIf("name", "not");
  const { name } = parseDottedName(stream);
  let call = NO_ARGUMENTS;
  if (stream.test("lparen")) call = parseCallArguments(stream);
  else if (
    ARGUMENT_STARTS.includes(stream.current.type) && !stream.testNames(["else", "or", "and"])
  ) {
    if (stream.test("name", "is")) stream.fail("You cannot chain multiple tests with is");
    call = { args: [parsePostfix(stream, parsePrimary(stream))], kwargs: [] };
  }
  const test: Expression = { kind: "Test", node, name, ...call, line };
  return negated ? { kind: "Unary", operator: "not", node: test, line } : test;
}

/** Makes a target of what was read as an expression, or refuses it. */
export function toTarget(stream: TokenStream, node: Expression, ctx: Name["ctx"]): Expression {
  if (node.kind === "Name") node.ctx = ctx;
  else if (node.kind === "Tuple") { for (const item of node.items) toTarget(stream, item, ctx); }
  else if (node.kind !== "NSRef") {
    stream.fail(`can't assign to '${node.kind.toLowerCase()}'`, node.line);
  }
  return node;
}
