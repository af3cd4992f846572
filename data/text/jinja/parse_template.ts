/**
 * Jinja's statements: a port of the statement half of jinja2.parser 3.1.6, with loop controls and
 * the `generation` tag of transformers.
 */

import { UnsupportedError } from "./errors.ts";
import type { Expression, If, Name, Signature, Statement, TemplateData } from "./nodes.ts";
import {
  parseExpression,
  parseFilter,
  parseTuple,
  toTarget,
  type TupleOptions,
} from "./parse_expression.ts";
import { TokenStream } from "./token_stream.ts";

/** Tags that Jinja knows and that mean nothing in a template without others beside it. */
const UNSUPPORTED_TAGS = ["block", "extends", "include", "import", "from", "autoescape"];

/** Reads a template. Throws a TemplateSyntaxError with the line. */
export function parseTemplate(source: string): readonly Statement[] {
  const stream = new TokenStream(source);
  const body = parseBody(stream, { ends: [], inLoop: false });
  if (!stream.test("eof")) stream.fail("internal parsing error");
  return body;
}

/** Where a body stands. */
interface Place {
  /** Names of the tags that end it. */
  readonly ends: readonly string[];
  /** Whether `break` and `continue` have a loop to act on. */
  readonly inLoop: boolean;
}

function parseBody(stream: TokenStream, place: Place): Statement[] {
  const body: Statement[] = [];
  let data: (Expression | TemplateData)[] = [];
  const flush = (): void => {
    if (data.length > 0) body.push({ kind: "Output", nodes: data, line: data[0].line });
    data = [];
  };
  for (;;) {
    const { type, text, line } = stream.current;
    if (type === "data") {
      stream.next();
      data.push({ kind: "TemplateData", text, line });
    } else if (type === "variable_begin") {
      stream.next();
      data.push(parseTuple(stream));
      stream.expect("variable_end");
    } else if (type === "block_begin") {
      flush();
      stream.next();
      if (stream.testNames(place.ends)) return body;
      body.push(stream.deeper(() => parseStatement(stream, place)));
      stream.expect("block_end");
    } else {
      if (place.ends.length > 0) {
        stream.fail(
          `Unexpected end of template. Jinja was looking for ${place.ends.join(" or ")}.`,
        );
      }
      flush();
      return body;
    }
  }
}

/** The body of a tag up to one of `ends`, which stays current. */
function parseBlock(stream: TokenStream, ends: readonly string[], inLoop: boolean): Statement[] {
  stream.skipIf("colon");
  stream.expect("block_end");
  return parseBody(stream, { ends, inLoop });
}

/** The body of a tag up to its end, which is gone past. */
function parseWhole(stream: TokenStream, end: string, inLoop: boolean): Statement[] {
  const body = parseBlock(stream, [end], inLoop);
  stream.next();
  return body;
}

function parseStatement(stream: TokenStream, { ends, inLoop }: Place): Statement {
  const { type, text: tag, line } = stream.current;
  if (type !== "name") stream.fail("tag name expected");
  if (UNSUPPORTED_TAGS.includes(tag)) {
    throw new UnsupportedError(`line ${line}: the tag {% ${tag} %}`);
  }
  const parse = STATEMENTS[tag];
  if (parse !== undefined && Object.hasOwn(STATEMENTS, tag)) {
    stream.next();
    return parse(stream, line, inLoop);
  }
  return stream.fail(
    `Encountered unknown tag '${tag}'.` +
      (ends.length > 0 ? ` Jinja was looking for ${ends.join(" or ")}.` : ""),
  );
}

/** Reads the rest of a tag; `inLoop` is of the place where it stands. */
type StatementParser = (stream: TokenStream, line: number, inLoop: boolean) => Statement;

const STATEMENTS: Readonly<Record<string, StatementParser>> = {
  set(stream, line, inLoop) {
    const target = parseTarget(stream, { withNamespace: true });
    if (stream.skipIf("assign")) return { kind: "Assign", target, node: parseTuple(stream), line };
    const filter = parseFilter(stream, undefined);
    return {
      kind: "AssignBlock",
      target,
      filter,
      body: parseWhole(stream, "endset", inLoop),
      line,
    };
  },
  for(stream, line, inLoop) {
    const target = parseTarget(stream, {});
    stream.expect("name", "in");
    const iter = parseTuple(stream, { withCondexpr: false });
    const test = stream.skipIf("name", "if") ? parseExpression(stream) : undefined;
    const recursive = stream.skipIf("name", "recursive");
    const body = parseBlock(stream, ["endfor", "else"], true);
    // The else of a recursive loop stands in a function of its own.
    const otherwise = stream.next().text === "endfor"
      ? []
      : parseWhole(stream, "endfor", inLoop && !recursive);
    return { kind: "For", target, iter, test, recursive, body, otherwise, line };
  },
  if(stream, line, inLoop) {
    const ends = ["elif", "else", "endif"];
    const branch = (at: number): If => {
      const test = parseTuple(stream, { withCondexpr: false });
      const body = parseBlock(stream, ends, inLoop);
      return { kind: "If", test, body, elif: [], otherwise: [], line: at };
    };
    const first = branch(line);
    const elif: If[] = [];
    let end = stream.next();
    while (end.text === "elif") {
      elif.push(branch(end.line));
      end = stream.next();
    }
    const otherwise = end.text === "else" ? parseWhole(stream, "endif", inLoop) : [];
    return { ...first, elif, otherwise };
  },
  with(stream, line, inLoop) {
    const targets: Expression[] = [];
    const values: Expression[] = [];
    while (!stream.test("block_end")) {
      if (targets.length > 0) stream.expect("comma");
      targets.push(toTarget(stream, parseTarget(stream, {}), "param"));
      stream.expect("assign");
      values.push(parseExpression(stream));
    }
    return { kind: "With", targets, values, body: parseWhole(stream, "endwith", inLoop), line };
  },
  macro(stream, line) {
    const { name } = parseName(stream, "store");
    const signature = parseSignature(stream);
    return { kind: "Macro", name, ...signature, body: parseWhole(stream, "endmacro", false), line };
  },
  call(stream, line) {
    const signature = stream.test("lparen") ? parseSignature(stream) : { params: [], defaults: [] };
    const call = parseExpression(stream);
    if (call.kind !== "Call") return stream.fail("expected call", line);
    return {
      kind: "CallBlock",
      call,
      ...signature,
      body: parseWhole(stream, "endcall", false),
      line,
    };
  },
  generation(stream, line) {
    const body = parseWhole(stream, "endgeneration", false);
    return { kind: "CallBlock", params: [], defaults: [], body, line };
  },
  filter(stream, line, inLoop) {
    const filter = parseFilter(stream, undefined, true) ?? stream.fail("expected a filter", line);
    return { kind: "FilterBlock", filter, body: parseWhole(stream, "endfilter", inLoop), line };
  },
  print(stream, line) {
    const nodes: Expression[] = [];
    while (!stream.test("block_end")) {
      if (nodes.length > 0) stream.expect("comma");
      nodes.push(parseExpression(stream));
    }
    return { kind: "Output", nodes, line };
  },
  break: (stream, line, inLoop) => loopControl(stream, line, inLoop, "Break"),
  continue: (stream, line, inLoop) => loopControl(stream, line, inLoop, "Continue"),
};

function loopControl(
  stream: TokenStream,
  line: number,
  inLoop: boolean,
  kind: "Break" | "Continue",
): Statement {
  if (!inLoop) stream.fail(`'${kind.toLowerCase()}' outside loop`, line);
  return { kind, line };
}

function parseTarget(stream: TokenStream, options: TupleOptions): Expression {
  return toTarget(stream, parseTuple(stream, { ...options, simplified: true }), "store");
}

function parseName(stream: TokenStream, ctx: Name["ctx"]): Name {
  const { text, line } = stream.expect("name");
  if (["true", "false", "none", "True", "False", "None"].includes(text)) {
    stream.fail("can't assign to 'name'", line);
  }
  return { kind: "Name", name: text, ctx, line };
}

function parseSignature(stream: TokenStream): Signature {
  const params: Name[] = [];
  const names = new Set<string>();
  const defaults: Expression[] = [];
  stream.expect("lparen");
  while (!stream.test("rparen")) {
    if (params.length > 0) stream.expect("comma");
    const param = parseName(stream, "param");
    if (names.has(param.name)) {
      stream.fail(`duplicate argument '${param.name}' in function definition`, param.line);
    }
    names.add(param.name);
    if (stream.skipIf("assign")) defaults.push(parseExpression(stream));
    else if (defaults.length > 0) stream.fail("non-default argument follows default argument");
    params.push(param);
  }
  stream.expect("rparen");
  return { params, defaults };
}
