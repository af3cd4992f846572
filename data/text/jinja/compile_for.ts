/** Compiles loops. */

import { childrenOf, walk } from "./children.ts";
import { compileExpression } from "./compile_expression.ts";
import { compileTarget } from "./compile_target.ts";
import { TemplateSyntaxError } from "./errors.ts";
import {
  BREAK,
  type Evaluate,
  type Execute,
  type Frame,
  innerFrame,
  NEXT,
  type Signal,
  write,
} from "./frame.ts";
import { PyGenerator } from "./py_generator.ts";
import { iterate } from "./iterate.ts";
import { iterateIf, LoopContext, type RenderLoop } from "./loop_context.ts";
import type { For } from "./nodes.ts";
import {
  type CompileBody,
  enterScope,
  functionScope,
  innerScope,
  leaveScope,
  type Scope,
  writer,
} from "./scope.ts";
import { truthy } from "./truthy.ts";
import { readsUndeclared } from "./undeclared.ts";
import type { Value } from "./value.ts";
import { declareTarget, visitSymbols } from "./visit_symbols.ts";

/** The function that executes a loop. */
export function compileFor(node: For, scope: Scope, compileBody: CompileBody): Execute {
  refuseLoopTargets(node);
  const items = compileExpression(node.iter, scope);
  const filtered = compileTest(node, scope);
  const loopScope = node.recursive ? functionScope(scope) : innerScope(scope);
  const rounds = compileRounds(node, loopScope, compileBody);
  if (!node.recursive) return (frame) => rounds(frame, filtered(frame, items(frame)), undefined, 0);
  return (frame) => {
    const render: RenderLoop = (value, depth) => {
      const inner = innerFrame(frame, loopScope.fn.size);
      rounds(inner, filtered(frame, value), render, depth);
      return inner.out;
    };
    write(frame, render(items(frame), 0));
    return NEXT;
  };
}

type Rounds = (
  frame: Frame,
  items: Value,
  render: RenderLoop | undefined,
  depth: number,
) => Signal;

function compileRounds(node: For, scope: Scope, compileBody: CompileBody): Rounds {
  const extended = node.recursive || readsUndeclared(node.body, ["loop"]).has("loop");
  const setLoop = extended ? writer(scope, scope.symbols.declareParameter("loop")) : undefined;
  declareTarget(scope.symbols, node.target);
  visitSymbols(scope.symbols, node.body);
  const assign = compileTarget(node.target, scope);
  const enter = enterScope(scope);
  const body = compileBody(node.body, scope);
  const leave = leaveScope(scope);
  const otherwise = compileElse(node, scope, compileBody);
  return (frame, items, render, depth) => {
    const loop = setLoop && new LoopContext(frame.budget, items, render, depth);
    const iterator = loop ?? iterate(frame.budget, items);
    setLoop?.(frame, undefined);
    let empty = true;
    for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
      frame.budget.step();
      assign(frame, item);
      setLoop?.(frame, loop);
      enter(frame);
      const signal = body(frame);
      if (signal === BREAK) break;
      // As Jinja does: a round that `continue` or `break` ends is none for `else`.
      if (signal === NEXT) empty = false;
    }
    leave(frame);
    return empty ? otherwise(frame) : NEXT;
  };
}

function compileElse(node: For, loopScope: Scope, compileBody: CompileBody): Execute {
  if (node.otherwise.length === 0) return () => NEXT;
  const { parent } = loopScope.symbols;
  const scope = innerScope({ ...loopScope, symbols: parent! });
  visitSymbols(scope.symbols, node.otherwise);
  const enter = enterScope(scope);
  const body = compileBody(node.otherwise, scope);
  const leave = leaveScope(scope);
  return (frame) => {
    enter(frame);
    const signal = body(frame);
    if (signal === NEXT) leave(frame);
    return signal;
  };
}

/** The items that the loop's `if` lets pass; it sees variables of its own. */
function compileTest(node: For, outer: Scope): (frame: Frame, items: Value) => Value {
  if (node.test === undefined) return (_frame, items) => items;
  const scope = functionScope(outer);
  declareTarget(scope.symbols, node.target);
  visitSymbols(scope.symbols, [node.test]);
  const enter = enterScope(scope);
  const assign = compileTarget(node.target, scope);
  const test: Evaluate = compileExpression(node.test, scope);
  return (frame, items) => {
    const { budget } = frame;
    const inner = innerFrame(frame, scope.fn.size);
    let entered = false;
    return new PyGenerator(iterateIf(budget, items, (item) => {
      if (!entered) enter(inner);
      entered = true;
      assign(inner, item);
      return truthy(budget, test(inner)) ? item : undefined;
    }));
  };
}

function refuseLoopTargets(node: For): void {
  walk(childrenOf(node), (each) => {
    if (each.kind === "Name" && each.ctx === "store" && each.name === "loop") {
      throw new TemplateSyntaxError(
        "Can't assign to special loop variable in for-loop target",
        each.line,
      );
    }
  });
}
