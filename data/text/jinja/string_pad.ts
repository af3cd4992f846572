/** `ljust`, `rjust`, `center`, `zfill` and `expandtabs`. */

import type { Budget } from "./budget.ts";
import { pointLength } from "./code_points.ts";

/** The text between blanks, or what is given, so that it has a width. */
export function pad(
  budget: Budget,
  text: string,
  width: number,
  fill: string,
  side: "left" | "right" | "center",
): string {
  budget.text(text.length);
  const length = pointLength(text);
  const missing = width - length;
  if (missing <= 0) return text;
  budget.text(missing * fill.length);
  // CPython puts the odd one left where the width is odd.
  const left = side === "right"
    ? 0
    : side === "left"
    ? missing
    : Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

/** The text with zeros after its sign, so that it has a width. */
export function zeroFill(budget: Budget, text: string, width: number): string {
  const sign = /^[+-]/.exec(text)?.[0] ?? "";
  return sign + pad(budget, text.slice(sign.length), width - sign.length, "0", "left");
}

/** The text with blanks in place of tabs, up to the next multiple of a size in the line. */
export function expandTabs(budget: Budget, text: string, size: number): string {
  budget.text(text.length);
  let result = "";
  let column = 0;
  for (const character of text) {
    if (character === "\t") {
      const blanks = size > 0 ? size - column % size : 0;
      budget.text(blanks);
      result += " ".repeat(blanks);
      column += blanks;
    } else {
      result += character;
      column = character === "\n" || character === "\r" ? 0 : column + 1;
    }
  }
  return result;
}
