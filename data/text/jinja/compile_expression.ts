/** Compiles expressions to functions: the expression half of jinja2.compiler 3.1.6. */

import { type ArithmeticOperator, binary, negate, plus } from "./arithmetic.ts";
import { type Arguments, callValue, compiledArguments } from "./call.ts";
import { walk } from "./children.ts";
import { MAX_DIGITS } from "./budget.ts";
import { compareValues, contains, equals } from "./compare.ts";
import { PyDict } from "./dict.ts";
import { ENVIRONMENT } from "./environment.ts";
import { PythonError, TemplateSyntaxError, UnsupportedError } from "./errors.ts";
import type { FilterFunction, FilterTable } from "./filter_arguments.ts";
import { PyFloat } from "./float.ts";
import type { Evaluate, Frame } from "./frame.ts";
import { getAttribute, getItem, getSlice, STRING_METHODS } from "./member.ts";
import type { Call, CallArguments, CompareOperator, Expression, Filter, Slice } from "./nodes.ts";
import { toInteger } from "./numbers.ts";
import { textOf } from "./repr.ts";
import { reader, type Scope, softScope } from "./scope.ts";
import { PyList, PyTuple } from "./sequence.ts";
import { truthy } from "./truthy.ts";
import { Undefined, undefinedName } from "./undefined.ts";
import { type Kwargs, PyObject, type Value } from "./value.ts";

/** The function that evaluates an expression. */
export function compileExpression(node: Expression, scope: Scope): Evaluate {
  const compile = (inner: Expression): Evaluate => compileExpression(inner, scope);
  switch (node.kind) {
    case "Const": {
      const value = typeof node.value === "object" && node.value !== null
        ? numberLiteral(node.value.number, node.value.text, node.line)
        : node.value;
      return () => value;
    }
    case "Name":
      return compileName(node.name, scope);
    case "NSRef":
      throw new TemplateSyntaxError("a namespace's attribute where a value belongs", node.line);
    case "Tuple":
    case "List": {
      const items = node.items.map(compile);
      const isTuple = node.kind === "Tuple";
      return (frame) => {
        const values = items.map((item) => item(frame));
        return isTuple ? new PyTuple(values) : new PyList(values);
      };
    }
    case "Dict": {
      const items = node.items.map(({ key, value }) => [compile(key), compile(value)] as const);
      return (frame) => {
        const dict = new PyDict();
        for (const [key, value] of items) dict.set(frame.budget, key(frame), value(frame));
        return dict;
      };
    }
    case "Binary": {
      const [left, right] = [compile(node.left), compile(node.right)];
      if (node.operator === "and") {
        return (frame) => {
          const value = left(frame);
          return truthy(frame.budget, value) ? right(frame) : value;
        };
      }
      if (node.operator === "or") {
        return (frame) => {
          const value = left(frame);
          return truthy(frame.budget, value) ? value : right(frame);
        };
      }
      const operator = OPERATORS[node.operator];
      return (frame) => binary(frame.budget, operator, left(frame), right(frame));
    }
    case "Unary": {
      const value = compile(node.node);
      if (node.operator === "not") return (frame) => !truthy(frame.budget, value(frame));
      return node.operator === "neg"
        ? (frame) => negate(value(frame))
        : (frame) => plus(value(frame));
    }
    case "Concat": {
      const nodes = node.nodes.map(compile);
      return (frame) => {
        let text = "";
        for (let i = 0; i < nodes.length; i++) {
          const part = textOf(frame.budget, nodes[i](frame));
          frame.budget.text(Math.min(text.length, part.length) + 8);
          text += part;
        }
        return text;
      };
    }
    case "Compare":
      return compileCompare(
        compile(node.left),
        node.ops.map(({ operator, right }) => ({
          compare: COMPARE[operator],
          right: compile(right),
        })),
      );
    case "CondExpr": {
      const soft = softScope(scope);
      const test = compileExpression(node.test, soft);
      const then = compileExpression(node.then, soft);
      const { line } = node;
      const otherwise = node.otherwise === undefined
        ? () =>
          new Undefined(
            `the inline if-expression on line ${line} evaluated to false and no else section was defined.`,
          )
        : compileExpression(node.otherwise, soft);
      return (frame) => truthy(frame.budget, test(frame)) ? then(frame) : otherwise(frame);
    }
    case "Getattr": {
      const object = compile(node.node);
      const { name } = node;
      return (frame) => getAttribute(frame.budget, object(frame), name);
    }
    case "Getitem":
      return node.key.kind === "Slice"
        ? compileSlice(node.node, node.key, scope)
        : compileItem(compile(node.node), compile(node.key));
    case "Slice":
      throw new UnsupportedError(`line ${node.line}: a slice beside other indices`);
    case "Call":
      return compileCall(node, scope);
    case "Filter":
      return compileFilter(node, scope, undefined);
    case "Test": {
      const value = compile(node.node);
      const { args, kwargs } = compileArguments(node, scope);
      const test = lookUp("test", ENVIRONMENT.tests, node.name, node.line, scope);
      return (frame) =>
        test(frame.budget, [value(frame), ...args(frame)], kwargs(frame), ENVIRONMENT);
    }
  }
}

const OPERATORS: Readonly<Record<string, ArithmeticOperator>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  floordiv: "//",
  mod: "%",
  pow: "**",
};

type Compare = (frame: Frame, left: Value, right: Value) => boolean;

const COMPARE: Readonly<Record<CompareOperator, Compare>> = {
  eq: ({ budget }, a, b) => equals(budget, a, b),
  ne: ({ budget }, a, b) => !equals(budget, a, b),
  lt: ({ budget }, a, b) => compareValues(budget, a, b, "<") < 0,
  lteq: ({ budget }, a, b) => compareValues(budget, a, b, "<=") <= 0,
  gt: ({ budget }, a, b) => compareValues(budget, a, b, ">") > 0,
  gteq: ({ budget }, a, b) => compareValues(budget, a, b, ">=") >= 0,
  in: ({ budget }, a, b) => contains(budget, b, a),
  notin: ({ budget }, a, b) => !contains(budget, b, a),
};

function compileCompare(
  first: Evaluate,
  ops: readonly { readonly compare: Compare; readonly right: Evaluate }[],
): Evaluate {
  if (ops.length === 1) {
    const [{ compare, right }] = ops;
    return (frame) => compare(frame, first(frame), right(frame));
  }
  return (frame) => {
    let left = first(frame);
    for (const { compare, right } of ops) {
      const value = right(frame);
      if (!compare(frame, left, value)) return false;
      left = value;
    }
    return true;
  };
}

function compileName(name: string, scope: Scope): Evaluate {
  const read = reader(scope, scope.symbols.ref(name));
  return (frame) => {
    const value = read(frame);
    return value === undefined ? undefinedName(name) : value;
  };
}

function compileItem(object: Evaluate, key: Evaluate): Evaluate {
  return (frame) => getItem(frame.budget, object(frame), key(frame));
}

function compileSlice(node: Expression, { start, stop, step }: Slice, scope: Scope): Evaluate {
  const object = compileExpression(node, scope);
  const part = (inner: Expression | undefined): Evaluate =>
    inner === undefined ? () => null : compileExpression(inner, scope);
  const [from, to, by] = [part(start), part(stop), part(step)];
  let isConstant = true;
  walk([node], ({ kind }) => {
    if (kind === "Name") isConstant = false;
  });
  const { line } = node;
  return (frame) => {
    const value = object(frame);
    // Jinja gives nothing for it where it can do so before rendering, and refuses it otherwise.
    if (isConstant && !isSliced(value)) {
      throw new UnsupportedError(`line ${line}: a slice of a value that has none`);
    }
    return getSlice(frame.budget, value, from(frame), to(frame), by(frame));
  };
}

function isSliced(value: Value): boolean {
  return typeof value === "string" ||
    (value instanceof PyObject && value.subscriptable && !(value instanceof PyDict));
}

function compileArguments(
  { args, kwargs, dynArgs, dynKwargs }: CallArguments,
  scope: Scope,
): Arguments {
  const optional = (node: Expression | undefined): Evaluate | undefined =>
    node === undefined ? undefined : compileExpression(node, scope);
  return compiledArguments(
    args.map((arg) => compileExpression(arg, scope)),
    kwargs.map(({ key, value }) => [key, compileExpression(value, scope)] as const),
    optional(dynArgs),
    optional(dynKwargs),
  );
}

/** Compiles a call; `caller` gives the body of a call block. */
export function compileCall(node: Call, scope: Scope, caller?: Evaluate): Evaluate {
  const { args, kwargs: own } = compileArguments(node, scope);
  const kwargs = caller === undefined
    ? own
    : (frame: Frame): Kwargs => new Map([...own(frame), ["caller", caller(frame)]]);
  if (node.node.kind === "Getattr") {
    const object = compileExpression(node.node.node, scope);
    const { name } = node.node;
    const method = STRING_METHODS.get(name);
    if (method) {
      // Most calls are of a text's methods, and need no object that holds them.
      return (frame) => {
        const self = object(frame);
        if (typeof self === "string") {
          frame.budget.step();
          return method(frame.budget, self, args(frame), kwargs(frame));
        }
        const callee = getAttribute(frame.budget, self, name);
        return callValue(frame.budget, callee, args(frame), kwargs(frame));
      };
    }
  }
  const callee = compileExpression(node.node, scope);
  return (frame) => callValue(frame.budget, callee(frame), args(frame), kwargs(frame));
}

/** Compiles a filter; `body` gives the text of a block. */
export function compileFilter(node: Filter, scope: Scope, body: Evaluate | undefined): Evaluate {
  const value = node.node === undefined
    ? body!
    : node.node.kind === "Filter" && body !== undefined
    ? compileFilter(node.node, scope, body)
    : compileExpression(node.node, scope);
  const { args, kwargs } = compileArguments(node, scope);
  const filter = lookUp("filter", ENVIRONMENT.filters, node.name, node.line, scope);
  return (frame) => {
    frame.budget.step();
    return filter(frame.budget, [value(frame), ...args(frame)], kwargs(frame), ENVIRONMENT);
  };
}

/** A filter or a test by its name; null where Jinja has one that is not rendered here. */
function lookUp(
  kind: "filter" | "test",
  table: FilterTable,
  name: string,
  line: number,
  scope: Scope,
): FilterFunction {
  const known = table.get(name);
  if (known) return known;
  if (known === null) throw new UnsupportedError(`line ${line}: the ${kind} ${name}`);
  if (!scope.soft) throw new TemplateSyntaxError(`No ${kind} named '${name}'.`, line);
  return () => {
    throw new PythonError("TemplateRuntimeError", `No ${kind} named '${name}' found.`);
  };
}

/** The number that a token stands for. */
function numberLiteral(kind: "integer" | "float", text: string, line: number): Value {
  const digits = text.replaceAll("_", "");
  if (kind === "integer") {
    if (digits.length > MAX_DIGITS) {
      throw new TemplateSyntaxError("an integer has more digits than can be converted", line);
    }
    return toInteger(BigInt(digits));
  }
  const value = Number(digits);
  // Jinja writes it into Python code as `inf`, a name that is not defined there.
  if (!Number.isFinite(value)) {
    throw new UnsupportedError(`line ${line}: a number that is too large for a float`);
  }
  return new PyFloat(value);
}
