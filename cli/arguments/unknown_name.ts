/** What to say of a flag, or of a key of a file, that a command does not have. */

import type { Command } from "commander";
import { otherName } from "./other_names.ts";

/** Edits by which a name may differ from what was meant, at most, and as a part of its length. */
const MOST_EDITS = 3;
const EDITED = 0.4;

/**
 * What was meant by a name: what it is here, where other trainers have it, or else the nearest.
 *
 * @param name in kebab-case, without dashes before it
 * @param show writes a name as its place has it: a flag or a key
 */
export function explainName(
  name: string,
  command: Command,
  show: (name: string) => string,
): string | undefined {
  const names = command.options.filter((option) => !option.negate).map((option) => option.name());
  const other = otherName(name);
  if (other !== undefined && "answer" in other) return other.answer;
  if (other !== undefined) {
    const task = names.includes(other.same) ? "" : ", of deno task train:lora";
    return `it is ${show(other.same)} here${task}`;
  }
  const [nearest] = names.map((each) => ({ each, edits: countEdits(name, each) }))
    .filter(({ edits }) => edits <= Math.min(MOST_EDITS, name.length * EDITED))
    .sort((a, b) => a.edits - b.edits);
  return nearest && `did you mean ${show(nearest.each)}?`;
}

/** Levenshtein's distance. */
function countEdits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      next.push(Math.min(next[j] + 1, row[j + 1] + 1, row[j] + Number(letter !== to[j])));
    }
    row = next;
  }
  return row[to.length];
}
