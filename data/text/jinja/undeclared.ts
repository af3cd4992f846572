/** Which of some names are read before they are set, in the order of the tree. */

import { walk } from "./children.ts";
import type { Node } from "./visit_symbols.ts";

/** Those of the names; a scope's bounds do not count. */
export function readsUndeclared(nodes: readonly Node[], names: readonly string[]): Set<string> {
  const open = new Set(names);
  const found = new Set<string>();
  walk(nodes, (node) => {
    if (node.kind !== "Name") return;
    if (node.ctx === "load" && open.has(node.name)) found.add(node.name);
    else open.delete(node.name);
  });
  return found;
}
