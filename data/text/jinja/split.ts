/**
 * `split`, `rsplit`, `splitlines`, `partition`.
 *
 * @huggingface/jinja 0.5.11 splits at JavaScript's white space, and has no rsplit, no splitlines.
 */

import type { Budget } from "./budget.ts";
import { valueError } from "./errors.ts";
import { Finder } from "./search.ts";
import { isSpace, skipSpace, skipSpaceBack } from "./whitespace.ts";

/** `text.split(sep, maxsplit)`; at white space without a separator. */
export function split(
  budget: Budget,
  text: string,
  sep: string | undefined,
  maxsplit: number,
): string[] {
  const parts: string[] = [];
  const limit = maxsplit < 0 ? Infinity : maxsplit;
  if (sep === undefined) {
    let at = skipSpace(text);
    while (at < text.length) {
      budget.step();
      if (parts.length >= limit) {
        parts.push(text.slice(at));
        break;
      }
      let end = at;
      while (end < text.length && !isSpace(text.charCodeAt(end))) end++;
      parts.push(text.slice(at, end));
      at = skipSpace(text, end);
    }
    return parts;
  }
  if (sep === "") valueError("empty separator");
  let at = 0;
  const finder = new Finder(budget, sep);
  while (parts.length < limit) {
    const found = finder.first(text, at);
    if (found === -1) break;
    budget.step();
    parts.push(text.slice(at, found));
    at = found + sep.length;
  }
  parts.push(text.slice(at));
  return parts;
}

/** `text.rsplit(sep, maxsplit)`. */
export function rsplit(
  budget: Budget,
  text: string,
  sep: string | undefined,
  maxsplit: number,
): string[] {
  if (maxsplit < 0) return split(budget, text, sep, -1);
  const parts: string[] = [];
  if (sep === undefined) {
    let end = skipSpaceBack(text);
    while (end > 0) {
      budget.step();
      if (parts.length >= maxsplit) {
        parts.push(text.slice(0, end));
        break;
      }
      let start = end;
      while (start > 0 && !isSpace(text.charCodeAt(start - 1))) start--;
      parts.push(text.slice(start, end));
      end = skipSpaceBack(text, start);
    }
    return parts.reverse();
  }
  if (sep === "") valueError("empty separator");
  let end = text.length;
  const finder = new Finder(budget, sep);
  while (parts.length < maxsplit) {
    const found = finder.last(text, end);
    if (found === -1) break;
    budget.step();
    parts.push(text.slice(found + sep.length, end));
    end = found;
  }
  parts.push(text.slice(0, end));
  return parts.reverse();
}

// deno-lint-ignore no-control-regex
const LINE = /[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|$)/g;
// deno-lint-ignore no-control-regex
const LINE_END = /(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])$/;

/** `text.splitlines(keepends)`. */
export function splitLines(budget: Budget, text: string, keepends: boolean): string[] {
  const lines: string[] = [];
  LINE.lastIndex = 0;
  while (LINE.lastIndex < text.length) {
    budget.step();
    const [line] = LINE.exec(text)!;
    lines.push(keepends ? line : line.replace(LINE_END, ""));
  }
  return lines;
}

/** `text.partition(sep)`, or `rpartition` from the end. */
export function partition(
  budget: Budget,
  text: string,
  sep: string,
  fromEnd: boolean,
): [string, string, string] {
  if (sep === "") valueError("empty separator");
  const finder = new Finder(budget, sep);
  const found = fromEnd ? finder.last(text) : finder.first(text);
  if (found === -1) return fromEnd ? ["", "", text] : [text, "", ""];
  return [text.slice(0, found), sep, text.slice(found + sep.length)];
}
