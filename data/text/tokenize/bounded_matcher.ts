/**
 * A matcher for patterns that nobody has vouched for: it counts its steps, and stops.
 *
 * In: the tree of a pattern. Out: its matches in a text, as a backtracking engine finds them.
 * JavaScript's own engine can take longer than the universe on `(?:\p{L}+)+\d` and 40 letters, and
 * nothing can stop it.
 */

import type { Edge, PatternNode } from "./pattern.ts";
import { WORD_SET } from "./pattern_set.ts";

/** More work than the budget of a text allows. */
export class PatternBudgetError extends RangeError {
  override name = "PatternBudgetError";
}

// A step takes some 25 ns: a quarter of a second for a text, and a second more for a megabyte.
const STEPS = 10_000_000;
const STEPS_PER_CHARACTER = 40;

/** Gives the end of a match that starts at a place, or -1. */
type Step = (at: number) => number;

/** Finds all matches of a pattern: `[start, end, start, end, …]`. */
export function boundedMatcher(root: PatternNode): (text: string) => number[] {
  let text = "";
  let left = 0;
  const spend = (): void => {
    if (--left < 0) throw new PatternBudgetError("more steps than its budget");
  };
  const accept: Step = (at) => at;
  const widthAt = (at: number): number => (text.codePointAt(at)! > 0xffff ? 2 : 1);

  const compile = (node: PatternNode, next: Step): Step => {
    switch (node.kind) {
      case "set": {
        const has = membership(node.source);
        return (at) => {
          spend();
          return at < text.length && has(text.codePointAt(at)!) ? next(at + widthAt(at)) : -1;
        };
      }
      case "sequence":
        return node.items.reduceRight((after: Step, item) => compile(item, after), next);
      case "choice": {
        const options = node.options.map((option) => compile(option, next));
        return (at) => {
          for (const option of options) {
            spend();
            const end = option(at);
            if (end !== -1) return end;
          }
          return -1;
        };
      }
      case "atomic": {
        const body = compile(node.body, accept);
        return (at) => {
          const end = body(at);
          return end === -1 ? -1 : next(end);
        };
      }
      case "look": {
        const body = compile(node.body, accept);
        return (at) => {
          spend();
          const from = node.behind ? before(text, at) : at;
          return (from !== -1 && body(from) !== -1) === node.negative ? -1 : next(at);
        };
      }
      case "edge":
        return (at) => isEdge(node.edge, text, at) ? next(at) : -1;
      case "repeat":
        if (node.mode !== "possessive") return compileRepeat(node, next);
        return compile({ kind: "atomic", body: { ...node, mode: "greedy" } }, next);
    }
  };

  const compileRepeat = (
    { body, min, max, mode }: PatternNode & { readonly kind: "repeat" },
    next: Step,
  ): Step => {
    if (body.kind === "set" && mode === "greedy") {
      const has = membership(body.source);
      return (at) => {
        let end = at;
        let count = 0;
        while (count < max && end < text.length && has(text.codePointAt(end)!)) {
          spend();
          end += widthAt(end);
          count++;
        }
        for (; count >= min; count--) {
          spend();
          const found = next(end);
          if (found !== -1) return found;
          end = before(text, end);
        }
        return -1;
      };
    }
    let count = 0;
    const withCount = (wanted: number, step: Step, at: number): number => {
      const was = count;
      count = wanted;
      const end = step(at);
      count = was;
      return end;
    };
    const again: Step = compile(body, (at) => turn(at));
    const more: Step = (at) => withCount(count + 1, again, at);
    // What follows may come back into this very loop, one level up.
    const leave: Step = (at) => withCount(0, next, at);
    const turn: Step = (at) => {
      spend();
      if (count < min) return more(at);
      if (mode === "lazy") {
        const end = leave(at);
        return end !== -1 || count >= max ? end : more(at);
      }
      const end = count < max ? more(at) : -1;
      return end !== -1 ? end : leave(at);
    };
    return (at) => withCount(0, turn, at);
  };

  const match = compile(root, accept);
  return (input) => {
    text = input;
    left = STEPS + STEPS_PER_CHARACTER * input.length;
    const found: number[] = [];
    for (let at = 0; at < input.length;) {
      const end = matchAt(match, at);
      if (end > at) found.push(at, end);
      at = end > at ? end : at + widthAt(at);
    }
    return found;
  };
}

function matchAt(match: Step, at: number): number {
  try {
    return match(at);
  } catch (cause) {
    // A repeated group calls itself once a turn.
    if (cause instanceof RangeError && !(cause instanceof PatternBudgetError)) {
      throw new PatternBudgetError("more levels than the stack has", { cause });
    }
    throw cause;
  }
}

function before(text: string, at: number): number {
  if (at === 0) return -1;
  const unit = text.charCodeAt(at - 1);
  return unit >= 0xdc00 && unit <= 0xdfff ? at - 2 : at - 1;
}

/** Whether a code point is in a set. */
function membership(source: string): (code: number) => boolean {
  const set = new RegExp(`^${source}$`, "v");
  const known: (boolean | undefined)[] = [];
  return (code) => {
    // Beyond the first planes a text seldom repeats itself, and the table would grow.
    if (code > 0xffff) return set.test(String.fromCodePoint(code));
    return known[code] ??= set.test(String.fromCodePoint(code));
  };
}

const isWord = membership(WORD_SET);

function isEdge(edge: Edge, text: string, at: number): boolean {
  const atEnd = at === text.length;
  switch (edge) {
    case "start":
      return at === 0;
    case "end":
      return atEnd;
    case "last-line-end":
      return atEnd || (text[at] === "\n" && at + 1 === text.length);
    case "line-start":
      return at === 0 || text[at - 1] === "\n";
    case "line-end":
      return atEnd || text[at] === "\n";
    case "word":
    case "inside": {
      const previous = before(text, at);
      const crosses = (previous !== -1 && isWord(text.codePointAt(previous)!)) !==
        (!atEnd && isWord(text.codePointAt(at)!));
      return crosses === (edge === "word");
    }
  }
}
