/** The nodes directly below a node, in the order in which Jinja visits them. */

import type { CallArguments, Expression, Statement, TemplateData } from "./nodes.ts";

type Node = Statement | Expression | TemplateData;

const given = (...nodes: readonly (Node | undefined)[]): Node[] =>
  nodes.filter((node) => node !== undefined);

const inCall = ({ args, kwargs, dynArgs, dynKwargs }: CallArguments): Node[] => [
  ...args,
  ...kwargs.map(({ value }) => value),
  ...given(dynArgs, dynKwargs),
];

/** All of them, targets and bodies too. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case "TemplateData":
    case "Const":
    case "Name":
    case "NSRef":
    case "Break":
    case "Continue":
      return [];
    case "Tuple":
    case "List":
      return node.items;
    case "Dict":
      return node.items.flatMap(({ key, value }) => [key, value]);
    case "Binary":
      return [node.left, node.right];
    case "Unary":
      return [node.node];
    case "Concat":
    case "Output":
      return node.nodes;
    case "Compare":
      return [node.left, ...node.ops.map(({ right }) => right)];
    case "CondExpr":
      return given(node.test, node.then, node.otherwise);
    case "Getattr":
      return [node.node];
    case "Getitem":
      return [node.node, node.key];
    case "Slice":
      return given(node.start, node.stop, node.step);
    case "Call":
    case "Test":
    case "Filter":
      return [...given(node.node), ...inCall(node)];
    case "For":
      return [
        ...given(node.target, node.iter),
        ...node.body,
        ...node.otherwise,
        ...given(node.test),
      ];
    case "If":
      return [node.test, ...node.body, ...node.elif, ...node.otherwise];
    case "Macro":
      return [...node.params, ...node.defaults, ...node.body];
    case "CallBlock":
      return [...given(node.call), ...node.params, ...node.defaults, ...node.body];
    case "Assign":
      return [node.target, node.node];
    case "AssignBlock":
      return [...given(node.target, node.filter), ...node.body];
    case "FilterBlock":
      return [...node.body, node.filter];
    case "With":
      return [...node.targets, ...node.values, ...node.body];
  }
}

/** Calls a function for a node and for all below it; a stack of its own, as chains nest deeply. */
export function walk(nodes: readonly Node[], call: (node: Node) => void): void {
  const stack = [...nodes].reverse();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    call(node);
    const children = childrenOf(node);
    for (let i = children.length - 1; i >= 0; i--) stack.push(children[i]);
  }
}
