/** Compiles statements to functions: the statement half of jinja2.compiler 3.1.6. */

import { childrenOf, walk } from "./children.ts";
import { compileCall, compileExpression, compileFilter } from "./compile_expression.ts";
import { compileFor } from "./compile_for.ts";
import { compileMacro } from "./compile_macro.ts";
import { compileTarget, namespacesOf } from "./compile_target.ts";
import { typeError } from "./errors.ts";
import { BREAK, CONTINUE, type Evaluate, type Execute, NEXT, type Signal, write } from "./frame.ts";
import type { CallBlock, Expression, If, Statement, TemplateData } from "./nodes.ts";
import { textOf } from "./repr.ts";
import { enterScope, innerScope, leaveScope, type Scope, softScope, writer } from "./scope.ts";
import { truthy } from "./truthy.ts";
import { visitFilterBlock, visitSymbols } from "./visit_symbols.ts";
import { asString, NO_KWARGS, typeName, type Value } from "./value.ts";

/** The function that executes statements one after the other. */
export function compileBody(body: readonly Statement[], scope: Scope): Execute {
  const statements = body.map((node) => charged(node, compileStatement(node, scope)));
  if (statements.length === 1) return statements[0];
  return (frame) => {
    for (let i = 0; i < statements.length; i++) {
      const signal = statements[i](frame);
      if (signal !== NEXT) return signal;
    }
    return NEXT;
  };
}

/** Charges a statement for its expressions, so that none is too long to be counted. */
function charged(node: Statement, execute: Execute): Execute {
  let size = 1;
  const own = childrenOf(node).filter((child) => !STATEMENTS.has(child.kind));
  walk(own, () => size++);
  return (frame) => {
    frame.budget.step(size);
    return execute(frame);
  };
}

const STATEMENTS: ReadonlySet<string> = new Set(
  ("Output For If Macro CallBlock Assign AssignBlock FilterBlock With Break Continue").split(" "),
);

function compileStatement(node: Statement, scope: Scope): Execute {
  switch (node.kind) {
    case "Output":
      return compileOutput(node.nodes, scope);
    case "For":
      return compileFor(node, scope, compileBody);
    case "If":
      return compileIf(node, scope);
    case "Macro": {
      const make = compileMacro(node, node.name, scope, compileBody);
      const set = writer(scope, scope.symbols.ref(node.name));
      return (frame) => {
        set(frame, make(frame));
        return NEXT;
      };
    }
    case "CallBlock":
      return compileCallBlock(node, scope);
    case "Assign": {
      const check = namespacesOf(node.target, scope);
      const value = compileExpression(node.node, scope);
      const assign = compileTarget(node.target, scope);
      return (frame) => {
        check(frame);
        assign(frame, value(frame));
        return NEXT;
      };
    }
    case "AssignBlock": {
      const inner = innerScope(scope);
      visitSymbols(inner.symbols, node.body);
      const enter = enterScope(inner);
      const body = compileBody(node.body, inner);
      const captured = { text: "" };
      const take: Evaluate = () => captured.text;
      const value = node.filter === undefined ? take : compileFilter(node.filter, inner, take);
      const assign = compileTarget(node.target, scope);
      const leave = leaveScope(inner);
      return (frame) => {
        enter(frame);
        const { signal, text } = capture(body, frame);
        if (signal !== NEXT) return signal;
        captured.text = text;
        assign(frame, value(frame));
        leave(frame);
        return NEXT;
      };
    }
    case "FilterBlock": {
      const inner = innerScope(scope);
      visitFilterBlock(inner.symbols, node.body, node.filter);
      const enter = enterScope(inner);
      const body = compileBody(node.body, inner);
      const captured = { text: "" };
      const filter = compileFilter(node.filter, inner, () => captured.text);
      const leave = leaveScope(inner);
      return (frame) => {
        enter(frame);
        const { signal, text } = capture(body, frame);
        if (signal !== NEXT) return signal;
        captured.text = text;
        write(frame, joined(filter(frame)));
        leave(frame);
        return NEXT;
      };
    }
    case "With": {
      const inner = innerScope(scope);
      visitSymbols(inner.symbols, [...node.targets, ...node.body]);
      const enter = enterScope(inner);
      const values = node.values.map((value) => compileExpression(value, scope));
      const targets = node.targets.map((target) => compileTarget(target, inner));
      const body = compileBody(node.body, inner);
      const leave = leaveScope(inner);
      return (frame) => {
        enter(frame);
        targets.forEach((assign, i) => assign(frame, values[i](frame)));
        const signal = body(frame);
        if (signal === NEXT) leave(frame);
        return signal;
      };
    }
    case "Break":
      return () => BREAK;
    case "Continue":
      return () => CONTINUE;
  }
}

function compileOutput(nodes: readonly (Expression | TemplateData)[], scope: Scope): Execute {
  const parts = nodes.map((node): Execute => {
    if (node.kind === "TemplateData") {
      const { text } = node;
      return (frame) => {
        write(frame, text);
        return NEXT;
      };
    }
    const evaluate = compileExpression(node, scope);
    return (frame) => {
      write(frame, textOf(frame.budget, evaluate(frame)));
      return NEXT;
    };
  });
  return (frame) => {
    for (let i = 0; i < parts.length; i++) parts[i](frame);
    return NEXT;
  };
}

function compileIf(node: If, scope: Scope): Execute {
  const soft = softScope(scope);
  const branches = [node, ...node.elif].map(({ test, body }) => ({
    test: compileExpression(test, soft),
    body: compileBody(body, soft),
  }));
  const otherwise = compileBody(node.otherwise, soft);
  return (frame) => {
    for (let i = 0; i < branches.length; i++) {
      frame.budget.step();
      if (truthy(frame.budget, branches[i].test(frame))) return branches[i].body(frame);
    }
    return otherwise(frame);
  };
}

function compileCallBlock(node: CallBlock, scope: Scope): Execute {
  const make = compileMacro(node, undefined, scope, compileBody);
  const call: Evaluate = node.call === undefined
    ? (frame) => make(frame).call(frame.budget, [], NO_KWARGS)
    : compileCall(node.call, scope, make);
  return (frame) => {
    write(frame, joined(call(frame)));
    return NEXT;
  };
}

/** What a tag writes as it is: Jinja joins it with other texts, which Python refuses for other values. */
function joined(value: Value): string {
  return asString(value) ?? typeError(`expected str instance, ${typeName(value)} found`);
}

/** Executes statements, and gives the text that they write. */
function capture(
  body: Execute,
  frame: Parameters<Execute>[0],
): { readonly signal: Signal; readonly text: string } {
  const before = frame.out;
  frame.out = "";
  const signal = body(frame);
  const text = frame.out;
  frame.out = before;
  return { signal, text };
}
