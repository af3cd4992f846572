/**
 * Patterns of paths, as fsspec and Hugging Face's data sets have them.
 *
 * In: a pattern: `*` and `?` stay within a folder, `**` as a whole part goes through any number of
 * them, `[…]` is a set of characters, `[!…]` any other. Out: a function that tells whether a path
 * matches. Patterns come from strangers, so matching takes time that grows with the pattern's length
 * times the path's, whatever they are.
 *
 * @module
 */

/** One character, any number of them within a part, or any number of whole parts. */
type Step =
  | { readonly kind: "one"; readonly is: (character: string) => boolean }
  | { readonly kind: "many" }
  | { readonly kind: "folders" };

const SET = /^\[([!^]?)(\]?[^\]]*)\]/;

/** Whether a text has characters that a pattern gives a meaning. */
export function isGlob(text: string): boolean {
  return /[*?]|\[.+\]/.test(text);
}

/**
 * Compiles a pattern.
 *
 * @example
 * ```ts
 * import { compileGlob } from "./glob_pattern.ts";
 * import assert from "node:assert/strict";
 *
 * const matches = compileGlob("data/train-[0-9]*.parquet");
 * assert.ok(matches("data/train-00000-of-00002.parquet"));
 * assert.ok(!matches("data/old/train-0.parquet"));
 * assert.ok(compileGlob("**" + "/train/*")("a/b/train/rows.json"));
 * ```
 */
export function compileGlob(pattern: string): (path: string) => boolean {
  const steps = parse(pattern);
  return (path) => {
    let states = reach(steps, new Set([0]), true);
    for (const character of path) {
      const next = new Set<number>();
      for (const state of states) {
        const step = steps[state];
        if (step === undefined) continue;
        if (step.kind === "folders") {
          next.add(state);
        } else if (step.kind === "many") {
          if (character !== "/") next.add(state);
        } else if (step.is(character)) next.add(state + 1);
      }
      states = reach(steps, next, character === "/");
      if (states.size === 0) return false;
    }
    return states.has(steps.length);
  };
}

/** All states that are reached without a character; folders end only where a part does. */
function reach(steps: readonly Step[], states: Set<number>, atPart: boolean): Set<number> {
  for (const state of states) {
    const kind = steps[state]?.kind;
    const isLast = state === steps.length - 1;
    if (kind === "many" || kind === "folders" && (atPart || isLast)) states.add(state + 1);
  }
  return states;
}

function parse(pattern: string): readonly Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < pattern.length;) {
    const rest = pattern.slice(at);
    const atPart = at === 0 || pattern[at - 1] === "/";
    if (atPart && /^\*\*(?:\/|$)/.test(rest)) {
      steps.push({ kind: "folders" });
      at += rest[2] === "/" ? 3 : 2;
      continue;
    }
    const set = SET.exec(rest);
    if (rest[0] === "*") {
      if (steps.at(-1)?.kind !== "many") steps.push({ kind: "many" });
      at++;
    } else if (set !== null) {
      const has = parseSet(set[2]);
      const negated = set[1] !== "";
      steps.push({ kind: "one", is: (each) => each !== "/" && has(each) !== negated });
      at += set[0].length;
    } else {
      const character = String.fromCodePoint(rest.codePointAt(0)!);
      const is = character === "?"
        ? (each: string) => each !== "/"
        : (each: string) => each === character;
      steps.push({ kind: "one", is });
      at += character.length;
    }
  }
  return steps;
}

/** Characters and ranges of a set. */
function parseSet(text: string): (character: string) => boolean {
  const characters = [...text];
  const ranges: (readonly [string, string])[] = [];
  for (let i = 0; i < characters.length; i++) {
    const isRange = characters[i + 1] === "-" && i + 2 < characters.length;
    ranges.push([characters[i], characters[isRange ? i + 2 : i]]);
    if (isRange) i += 2;
  }
  return (each) => ranges.some(([from, to]) => from <= each && each <= to);
}
