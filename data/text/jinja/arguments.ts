/** Binding of arguments to a function's parameters, as Python does it. */

import { typeError } from "./errors.ts";
import type { Args, Kwargs, Value } from "./value.ts";

/**
 * A function that gives the value of each parameter, undefined where none was passed.
 *
 * `signature` is Python's, defaults left out: `"width, fillchar?, /"`. A name with `?` may be left
 * out; those before `/` are by position only.
 */
export function parameters(
  name: string,
  signature: string,
): (args: Args, kwargs: Kwargs) => (Value | undefined)[] {
  const words = signature.split(", ").filter((word) => word !== "");
  const slash = words.indexOf("/");
  const plain = words.filter((word) => word !== "/");
  const names = plain.map((word) => word.replace("?", ""));
  const required = plain.map((word) => !word.endsWith("?"));
  return (args, kwargs) => {
    if (args.length > names.length) {
      typeError(`${name}() takes at most ${names.length} arguments (${args.length} given)`);
    }
    const values: (Value | undefined)[] = args.slice();
    while (values.length < names.length) values.push(undefined);
    for (const [key, value] of kwargs) {
      const index = names.indexOf(key);
      if (index === -1 || index < slash) {
        typeError(`${name}() got an unexpected keyword argument '${key}'`);
      }
      if (values[index] !== undefined) typeError(`${name}() got multiple values for '${key}'`);
      values[index] = value;
    }
    for (let i = 0; i < names.length; i++) {
      if (required[i] && values[i] === undefined) {
        typeError(`${name}() missing a required argument: '${names[i]}'`);
      }
    }
    return values;
  };
}
