/**
 * Refuses a template for what could be rendered otherwise than Python does, before any chat is
 * rendered: methods by the names they are called by, and filters and tests that are named in text.
 */

import { walk } from "./children.ts";
import { ENVIRONMENT } from "./environment.ts";
import { UnsupportedError } from "./errors.ts";
import { FLOAT_METHODS } from "./float.ts";
import { INTEGER_METHODS } from "./integer_methods.ts";
import { STRING_METHODS } from "./member.ts";
import type { CallArguments, Expression, Statement } from "./nodes.ts";
import { readsUndeclared } from "./undeclared.ts";

/** Methods of Python's values that are not rendered here. */
const UNSUPPORTED_METHODS: ReadonlySet<string> = new Set([
  ...withoutMethod(STRING_METHODS),
  ...withoutMethod(INTEGER_METHODS),
  ...withoutMethod(FLOAT_METHODS),
]);

function withoutMethod(methods: ReadonlyMap<string, unknown>): string[] {
  return [...methods].filter(([, method]) => method === null).map(([name]) => name);
}

/** @throws {UnsupportedError} which names the line and what stands there */
export function refuseUnsupported(body: readonly Statement[]): void {
  if (readsUndeclared(body, ["self"]).has("self")) {
    throw new UnsupportedError("the variable self, which stands for a template's blocks");
  }
  walk(body, (node) => {
    const refuse = (what: string): never => {
      throw new UnsupportedError(`line ${node.line}: ${what}`);
    };
    if (node.kind === "Call") {
      const name = calledName(node.node);
      if (name !== undefined && UNSUPPORTED_METHODS.has(name)) refuse(`the method ${name}`);
      if (node.node.kind === "Name" && node.node.name === "lipsum") refuse("the function lipsum");
    }
    // A filter that another one takes by its name; all tests are rendered.
    if (node.kind === "Filter" && node.name === "map") {
      const name = firstText(node);
      if (name !== undefined && ENVIRONMENT.filters.get(name) === null) {
        refuse(`the filter ${name}`);
      }
    }
  });
}

function calledName(callee: Expression): string | undefined {
  if (callee.kind === "Getattr") return callee.name;
  if (callee.kind !== "Getitem" || callee.key.kind !== "Const") return undefined;
  return typeof callee.key.value === "string" ? callee.key.value : undefined;
}

function firstText({ args: [node] }: CallArguments): string | undefined {
  return node?.kind === "Const" && typeof node.value === "string" ? node.value : undefined;
}
