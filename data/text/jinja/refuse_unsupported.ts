/**
 * Refuses a template for what could be rendered otherwise than Python does, before any chat is
 * rendered: methods by the names they are called by, and filters and tests that are named in text.
 */

import { walk } from "./children.ts";
import { UnsupportedError } from "./errors.ts";
import { FILTERS } from "./filters.ts";
import { FLOAT_METHODS, INTEGER_METHODS } from "./number_methods.ts";
import type { CallArguments, Expression, Statement } from "./nodes.ts";
import { STRING_METHODS } from "./string_methods.ts";
import { TESTS } from "./tests.ts";
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

/** Filters that take the name of another, or of a test, as an argument; and where it stands. */
const NAMING: Readonly<Record<string, { readonly table: typeof FILTERS; readonly index: number }>> =
  {
    map: { table: FILTERS, index: 0 },
    select: { table: TESTS, index: 0 },
    reject: { table: TESTS, index: 0 },
    selectattr: { table: TESTS, index: 1 },
    rejectattr: { table: TESTS, index: 1 },
  };

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
    if (node.kind === "Filter" && Object.hasOwn(NAMING, node.name)) {
      const { table, index } = NAMING[node.name];
      const name = textAt(node, index);
      if (name !== undefined && table.get(name) === null) refuse(`the filter ${name}`);
    }
  });
}

function calledName(callee: Expression): string | undefined {
  if (callee.kind === "Getattr") return callee.name;
  if (callee.kind !== "Getitem" || callee.key.kind !== "Const") return undefined;
  return typeof callee.key.value === "string" ? callee.key.value : undefined;
}

function textAt({ args }: CallArguments, index: number): string | undefined {
  const node = args[index];
  return node?.kind === "Const" && typeof node.value === "string" ? node.value : undefined;
}
