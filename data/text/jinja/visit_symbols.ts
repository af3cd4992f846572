/** Enters the names that statements and expressions use into a scope, in Jinja's order. */

import { childrenOf } from "./children.ts";
import type { Expression, Filter, If, Statement, TemplateData } from "./nodes.ts";
import type { Symbols } from "./symbols.ts";

/** Any node of the tree. */
export type Node = Statement | Expression | TemplateData;

/** Enters the names of nodes that stand in a scope; bodies with scopes of their own are left out. */
export function visitSymbols(symbols: Symbols, nodes: readonly Node[]): void {
  for (const node of nodes) visit(symbols, node);
}

/** Enters a target's names as parameters. */
export function declareTarget(symbols: Symbols, target: Expression): void {
  if (target.kind === "Name") symbols.declareParameter(target.name);
  else if (target.kind === "Tuple") {
    for (const item of target.items) {
      declareTarget(symbols, item);
    }
  } else visit(symbols, target);
}

function visit(symbols: Symbols, node: Node): void {
  switch (node.kind) {
    case "Name":
      if (node.ctx === "load") symbols.load(node.name);
      else if (node.ctx === "store") symbols.store(node.name);
      else symbols.declareParameter(node.name);
      return;
    case "NSRef":
      return symbols.load(node.name);
    case "If":
      return visitIf(symbols, node);
    case "Macro":
      return symbols.store(node.name);
    case "Assign":
      visit(symbols, node.node);
      return visit(symbols, node.target);
    case "For":
      return visit(symbols, node.iter);
    case "CallBlock":
      if (node.call !== undefined) visit(symbols, node.call);
      return;
    case "FilterBlock":
      return visit(symbols, node.filter);
    case "With":
      return visitSymbols(symbols, node.values);
    case "AssignBlock":
      return visit(symbols, node.target);
    default:
      return visitSymbols(symbols, childrenOf(node));
  }
}

function visitIf(symbols: Symbols, node: If): void {
  visit(symbols, node.test);
  const branches = [node.body, node.elif, node.otherwise].map((nodes) => {
    const branch = symbols.copy();
    visitSymbols(branch, nodes);
    return branch;
  });
  symbols.branchUpdate(branches);
}

/** The names of a filter block's own scope. */
export function visitFilterBlock(
  symbols: Symbols,
  body: readonly Statement[],
  filter: Filter,
): void {
  visitSymbols(symbols, body);
  visit(symbols, filter);
}
