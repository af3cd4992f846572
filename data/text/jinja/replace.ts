/** `replace`. */

import type { Budget } from "./budget.ts";
import { countPoints, splitPoints } from "./code_points.ts";
import { Finder } from "./search.ts";

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
  // Found before anything is built: each occurrence can grow.
  const finder = new Finder(budget, old);
  const found: number[] = [];
  for (let at = finder.first(text); at !== -1 && found.length < limit;) {
    budget.step();
    budget.text(by.length);
    found.push(at);
    at = finder.first(text, at + old.length);
  }
  if (found.length === 0) return text;
  let result = "";
  let at = 0;
  for (const next of found) {
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
