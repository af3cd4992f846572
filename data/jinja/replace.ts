/** `replace`. */

import type { Budget } from "./budget.ts";
import { countPoints, splitPoints } from "./code_points.ts";

/** The text with the first `count` occurrences replaced; all where it is negative. */
export function replace(
  budget: Budget,
  text: string,
  old: string,
  by: string,
  count: number,
): string {
  const limit = count < 0 ? Infinity : count;
  budget.text(text.length + old.length);
  if (old === "") return interleave(budget, text, by, limit);
  // Counted before it is built: each occurrence can grow.
  let found = 0;
  for (let at = text.indexOf(old); at !== -1 && found < limit; at = text.indexOf(old, at)) {
    found++;
    at += old.length;
  }
  if (found === 0) return text;
  budget.text(found * by.length);
  budget.step(found);
  if (limit === Infinity) return text.replaceAll(old, () => by);
  let result = "";
  let at = 0;
  for (let i = 0; i < found; i++) {
    const next = text.indexOf(old, at);
    result += text.slice(at, next) + by;
    at = next + old.length;
  }
  return result + text.slice(at);
}

/** An empty text occurs before each character, and at the end. */
function interleave(budget: Budget, text: string, by: string, limit: number): string {
  const times = Math.min(limit, countPoints(text) + 1);
  budget.text(times * by.length);
  budget.step(text.length + times);
  const points = splitPoints(text);
  let result = "";
  for (let i = 0; i < points.length; i++) result += (i < times ? by : "") + points[i];
  return times > points.length ? result + by : result;
}
