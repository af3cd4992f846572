/** Flags that are on or off, as HfArgumentParser has them. In: a flag's name. Out: an option. */

import { InvalidArgumentError, Option } from "commander";

const TRUE = ["true", "yes", "t", "y", "1"];
const FALSE = ["false", "no", "f", "n", "0"];

/** `--flag`, `--flag true` or `--flag false`. */
export function toggle(flag: string, description: string): Option {
  return new Option(`${flag} [bool]`, description).argParser(parseToggle);
}

/** Whether an option is one of these. */
export function isToggle(option: Option): boolean {
  return option.parseArg === parseToggle as Option["parseArg"];
}

function parseToggle(text: string): boolean {
  const word = text.toLowerCase();
  if (TRUE.includes(word)) return true;
  if (FALSE.includes(word)) return false;
  throw new InvalidArgumentError("It must be true or false, or be left out for true.");
}
