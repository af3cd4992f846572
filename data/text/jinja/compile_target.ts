/** Compiles what stands left of an assignment, or between `for` and `in`. */

import { walk } from "./children.ts";
import { PythonError, TemplateSyntaxError, valueError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { iterate } from "./iterate.ts";
import { PyNamespace } from "./namespace.ts";
import type { Expression } from "./nodes.ts";
import { type Read, reader, type Scope, writer } from "./scope.ts";
import type { Value } from "./value.ts";

/** Sets a target. */
export type Assign = (frame: Frame, value: Value) => void;

/** The function that sets a target. */
export function compileTarget(node: Expression, scope: Scope): Assign {
  if (node.kind === "Name") return writer(scope, scope.symbols.ref(node.name));
  if (node.kind === "NSRef") {
    const read = reader(scope, scope.symbols.ref(node.name));
    const { attribute } = node;
    return (frame, value) => asNamespace(read, frame).set(frame.budget, attribute, value);
  }
  if (node.kind !== "Tuple") throw new TemplateSyntaxError("can't assign to it", node.line);
  const targets = node.items.map((item) => compileTarget(item, scope));
  return (frame, value) => {
    const iterator = iterate(frame.budget, value);
    const values: Value[] = [];
    for (let item = iterator.next(); item !== undefined; item = iterator.next()) {
      values.push(item);
      if (values.length > targets.length) {
        valueError(`too many values to unpack (expected ${targets.length})`);
      }
    }
    if (values.length < targets.length) {
      valueError(`not enough values to unpack (expected ${targets.length}, got ${values.length})`);
    }
    targets.forEach((assign, i) => assign(frame, values[i]));
  };
}

/** Checks the namespaces of a target, which Jinja does before it evaluates the value. */
export function namespacesOf(target: Expression, scope: Scope): (frame: Frame) => void {
  const reads: Read[] = [];
  walk([target], (node) => {
    if (node.kind === "NSRef") reads.push(reader(scope, scope.symbols.ref(node.name)));
  });
  return (frame) => {
    for (const read of reads) asNamespace(read, frame);
  };
}

function asNamespace(read: Read, frame: Frame): PyNamespace {
  const value = read(frame);
  if (value instanceof PyNamespace) return value;
  throw new PythonError(
    "TemplateRuntimeError",
    "cannot assign attribute on non-namespace object",
  );
}
