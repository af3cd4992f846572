/**
 * A pattern as a regular expression of JavaScript.
 *
 * In: the tree of a pattern. Out: its source for the flag `v`. V8 has neither atomic groups nor
 * possessive quantifiers; a lookahead that keeps what it found, and a reference to it, are the same.
 */

import type { Edge, PatternNode } from "./pattern.ts";
import { WORD_SET } from "./pattern_set.ts";

const EDGES: Readonly<Record<Edge, string>> = {
  "start": "^",
  "end": "$",
  "last-line-end": "(?=\\n?$)",
  "line-start": "(?:^|(?<=\\n))",
  "line-end": "(?=\\n|$)",
  "word": `(?:(?<!${WORD_SET})(?=${WORD_SET})|(?<=${WORD_SET})(?!${WORD_SET}))`,
  "inside": `(?:(?<!${WORD_SET})(?!${WORD_SET})|(?<=${WORD_SET})(?=${WORD_SET}))`,
};

/** The source of a pattern, for `new RegExp(source, "v")`. */
export function patternSource(node: PatternNode): string {
  let groups = 0;
  const atomic = (source: string): string => {
    const name = `a${groups++}`;
    return `(?:(?=(?<${name}>${source}))\\k<${name}>)`;
  };
  const write = (node: PatternNode): string => {
    switch (node.kind) {
      case "set":
        return node.source;
      case "sequence":
        return `(?:${node.items.map(write).join("")})`;
      case "choice":
        return `(?:${node.options.map(write).join("|")})`;
      case "atomic":
        return atomic(write(node.body));
      case "look":
        return `(?${node.behind ? "<" : ""}${node.negative ? "!" : "="}${write(node.body)})`;
      case "edge":
        return EDGES[node.edge];
      case "repeat": {
        const { min, max, mode } = node;
        const count = `{${min},${max === Infinity ? "" : max}}${mode === "lazy" ? "?" : ""}`;
        const body = write(node.body);
        const source = (node.body.kind === "repeat" ? `(?:${body})` : body) + count;
        return mode === "possessive" ? atomic(source) : source;
      }
    }
  };
  return write(node);
}
