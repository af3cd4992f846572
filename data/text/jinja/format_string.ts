/** `str.format`, as the sandbox does it: fields may read attributes and items that are safe. */

import type { Budget } from "./budget.ts";
import { PythonError, valueError } from "./errors.ts";
import { formatValue } from "./format_spec.ts";
import type { Method } from "./method.ts";
import { asciiText } from "./percent_format.ts";
import { reprOf, textOf } from "./repr.ts";
import type { Args, Kwargs, Value } from "./value.ts";

/** How a template reads members of values. */
export interface Members {
  /** `object.name`. */
  readonly getAttribute: (budget: Budget, object: Value, name: string) => Value;
  /** `object[key]`. */
  readonly getItem: (budget: Budget, object: Value, key: Value) => Value;
}

/** What a call formats with. */
class Formatter {
  #next = 0;
  #isManual: boolean | undefined;
  readonly members: Members;
  readonly budget: Budget;
  readonly args: Args;
  readonly kwargs: Kwargs;

  constructor(members: Members, budget: Budget, args: Args, kwargs: Kwargs) {
    this.members = members;
    this.budget = budget;
    this.args = args;
    this.kwargs = kwargs;
  }

  format(template: string, depth: number): string {
    if (depth < 0) valueError("Max string recursion exceeded");
    let result = "";
    let at = 0;
    while (at < template.length) {
      this.budget.step();
      const found = nextBrace(template, at);
      result += template.slice(at, found);
      if (found === template.length) break;
      const brace = template[found];
      if (template[found + 1] === brace) {
        result += brace;
        at = found + 2;
        continue;
      }
      if (brace === "}") valueError("Single '}' encountered in format string");
      const field = readField(template, found + 1);
      const piece = this.field(field, depth);
      this.budget.text(piece.length);
      result += piece;
      at = field.end + 1;
    }
    return result;
  }

  field({ name, conversion, spec }: Field, depth: number): string {
    let value = this.lookUp(name);
    if (conversion === "r") value = reprOf(this.budget, value);
    else if (conversion === "s") value = textOf(this.budget, value);
    else if (conversion === "a") value = asciiText(this.budget, reprOf(this.budget, value));
    else if (conversion !== undefined) valueError(`Unknown conversion specifier ${conversion}`);
    return formatValue(this.budget, value, this.format(spec, depth - 1));
  }

  lookUp(name: string): Value {
    const first = /^[^.[]*/.exec(name)![0];
    let value = this.#first(first, name);
    let at = first.length;
    while (at < name.length) {
      if (name[at] === ".") {
        const attribute = /^[^.[]*/.exec(name.slice(at + 1))![0];
        if (attribute === "") valueError("Empty attribute in format string");
        value = this.members.getAttribute(this.budget, value, attribute);
        at += 1 + attribute.length;
      } else if (name[at] === "[") {
        const end = name.indexOf("]", at);
        if (end === -1) valueError("Missing ']' in format string");
        const key = name.slice(at + 1, end);
        if (key === "") valueError("Empty attribute in format string");
        value = this.members.getItem(this.budget, value, /^\d+$/.test(key) ? Number(key) : key);
        at = end + 1;
      } else valueError("Only '.' or '[' may follow ']' in format field specifier");
    }
    return value;
  }

  /** An argument; only a field that is nothing but its name is held to one way of numbering. */
  #first(name: string, field: string): Value {
    const isNumber = /^\d+$/.test(name);
    const isAutomatic = field === "";
    if (isAutomatic || isNumber && field === name) {
      if (this.#isManual === isAutomatic) {
        valueError("cannot switch between manual and automatic field numbering");
      }
      this.#isManual = isNumber;
    }
    if (isAutomatic || isNumber) {
      const index = isNumber ? Number(name) : this.#next++;
      const value = this.args[index];
      if (value === undefined) {
        throw new PythonError("IndexError", "Replacement index out of range for positional args");
      }
      return value;
    }
    const value = this.kwargs.get(name);
    if (value === undefined) throw new PythonError("KeyError", `'${name}'`);
    return value;
  }
}

function nextBrace(text: string, start: number): number {
  let at = start;
  while (at < text.length && text[at] !== "{" && text[at] !== "}") at++;
  return at;
}

/** A replacement field. */
interface Field {
  readonly name: string;
  readonly conversion: string | undefined;
  readonly spec: string;
  /** Offset of the brace that closes it. */
  readonly end: number;
}

/** Reads the field that begins behind a brace. In brackets of its name all characters are plain. */
function readField(text: string, start: number): Field {
  let at = start;
  let inBrackets = false;
  for (; at < text.length; at++) {
    const character = text[at];
    if (character === "[") inBrackets = true;
    else if (character === "]") inBrackets = false;
    else if (inBrackets) continue;
    else if (character === "{") valueError("unexpected '{' in field name");
    else if ("}:!".includes(character)) break;
  }
  const name = text.slice(start, at);
  let conversion: string | undefined;
  if (text[at] === "!") {
    conversion = text[at + 1] ??
      valueError("end of string while looking for conversion specifier");
    at += 2;
    if (at < text.length && !"}:".includes(text[at])) {
      valueError("expected ':' after conversion specifier");
    }
  }
  if (text[at] === "}") return { name, conversion, spec: "", end: at };
  let depth = 1;
  for (let end = at + 1; end < text.length; end++) {
    if (text[end] === "{") depth++;
    else if (text[end] === "}" && --depth === 0) {
      return { name, conversion, spec: text.slice(at + 1, end), end };
    }
  }
  return valueError("expected '}' before end of string");
}

/** `text.format(*args, **kwargs)`, whose fields read members as a template does. */
export function formatMethod(members: Members): Method<string> {
  return (budget, text, args, kwargs) => {
    budget.text(text.length);
    return new Formatter(members, budget, args, kwargs).format(text, 2);
  };
}
