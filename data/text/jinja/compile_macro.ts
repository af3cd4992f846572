/** Compiles macros and the bodies of call blocks. */

import { compileExpression } from "./compile_expression.ts";
import { TemplateSyntaxError } from "./errors.ts";
import { type Evaluate, type Frame, innerFrame } from "./frame.ts";
import { PyMacro } from "./macro.ts";
import type { CallBlock, Macro } from "./nodes.ts";
import {
  type CompileBody,
  enterScope,
  functionScope,
  reader,
  type Scope,
  writer,
} from "./scope.ts";
import { readsUndeclared } from "./undeclared.ts";
import { Undefined } from "./undefined.ts";
import { visitSymbols } from "./visit_symbols.ts";

/** The function that makes the macro where its tag is reached. */
export function compileMacro(
  node: Macro | CallBlock,
  name: string | undefined,
  outer: Scope,
  compileBody: CompileBody,
): (frame: Frame) => PyMacro {
  const scope = functionScope(outer);
  const { symbols } = scope;
  const { params, defaults, body } = node;
  visitSymbols(symbols, [...params, ...defaults, ...body]);
  const names = params.map((param) => param.name);
  const refs = names.map((each) => symbols.ref(each));
  const special = readsUndeclared(body, ["caller", "kwargs", "varargs"]);
  const readsCaller = special.has("caller");
  const callerIndex = names.indexOf("caller");
  if (readsCaller && callerIndex !== -1 && callerIndex < names.length - defaults.length) {
    throw new TemplateSyntaxError(
      'When defining macros or call blocks the special "caller" argument must be omitted or be given a default.',
      node.line,
    );
  }
  if (readsCaller && callerIndex === -1) refs.push(symbols.declareParameter("caller"));
  const catchKwargs = special.has("kwargs") && !names.includes("kwargs");
  if (catchKwargs) refs.push(symbols.declareParameter("kwargs"));
  const catchVarargs = special.has("varargs") && !names.includes("varargs");
  if (catchVarargs) refs.push(symbols.declareParameter("varargs"));
  const setters = refs.map((ref) => writer(scope, ref));
  const enter = enterScope(scope);
  const fill = names.map((each, i) => {
    const value = defaults[i - names.length + defaults.length];
    const evaluate: Evaluate = value === undefined
      ? () => new Undefined(`parameter '${each}' was not provided`)
      : compileExpression(value, scope);
    const read = reader(scope, refs[i]);
    const set = setters[i];
    return (frame: Frame): void => {
      if (read(frame) === undefined) set(frame, evaluate(frame));
    };
  });
  const execute = compileBody(body, scope);
  const shape = { name, names, catchKwargs, catchVarargs, readsCaller };
  return (frame) =>
    new PyMacro(shape, (values) => {
      const { budget } = frame;
      const inner = innerFrame(frame, scope.fn.size);
      budget.enter();
      setters.forEach((set, i) => set(inner, values[i]));
      enter(inner);
      for (const parameter of fill) parameter(inner);
      execute(inner);
      budget.leave();
      return inner.out;
    });
}
