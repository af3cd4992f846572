/** A parser of port flags. In: the flag's text. Out: a port, or commander's error. */

import { InvalidArgumentError } from "commander";

/** A port; 0 for any free one. */
export function port(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) < 65536) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 0 to 65535.");
}
