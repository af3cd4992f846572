/** Where a variable's value lies while a template runs. */

import type { Execute, Frame } from "./frame.ts";
import { TEMPLATE_GLOBALS } from "./globals.ts";
import type { Statement } from "./nodes.ts";
import { Symbols } from "./symbols.ts";
import type { Value } from "./value.ts";

/** The variables of one function of the compiled template. */
export class FunctionScope {
  readonly #slots = new Map<string, number>();
  readonly parent: FunctionScope | undefined;
  readonly level: number;

  /** Takes the function around it, and the level of its outermost scope. */
  constructor(parent: FunctionScope | undefined, level: number) {
    this.parent = parent;
    this.level = level;
  }

  /** Number of variables. */
  get size(): number {
    return this.#slots.size;
  }

  /** How many functions out a variable lies, and which one there it is. */
  locate(ref: string): { readonly hops: number; readonly slot: number } {
    const level = Number(/^l_(\d+)_/.exec(ref)![1]);
    if (level < this.level && this.parent !== undefined) {
      const { hops, slot } = this.parent.locate(ref);
      return { hops: hops + 1, slot };
    }
    const known = this.#slots.get(ref);
    if (known !== undefined) return { hops: 0, slot: known };
    const slot = this.#slots.size;
    this.#slots.set(ref, slot);
    return { hops: 0, slot };
  }
}

/** A scope while it is compiled: its names, and the function that it is part of. */
export interface Scope {
  readonly symbols: Symbols;
  readonly fn: FunctionScope;
  /** Whether unknown filters and tests are errors only where they are reached. */
  readonly soft: boolean;
}

/**
 * Compiles the statements of a body to a function that executes them. Compilers of loops and macros
 * take it as an argument: statements contain loops, and loops contain statements.
 */
export type CompileBody = (body: readonly Statement[], scope: Scope) => Execute;

/** A scope in the same function. */
export function innerScope({ symbols, fn }: Scope): Scope {
  return { symbols: new Symbols(symbols), fn, soft: false };
}

/** The same scope in a branch. */
export function softScope(scope: Scope): Scope {
  return { ...scope, soft: true };
}

/** A scope that is a function of its own. */
export function functionScope({ symbols, fn }: Scope): Scope {
  const inner = new Symbols(symbols);
  return { symbols: inner, fn: new FunctionScope(fn, inner.level), soft: false };
}

/** Reads a variable. */
export type Read = (frame: Frame) => Value | undefined;
/** Sets a variable. */
export type Write = (frame: Frame, value: Value | undefined) => void;

/** Reads a variable by its reference. */
export function reader({ fn }: Scope, ref: string): Read {
  const { hops, slot } = fn.locate(ref);
  if (hops === 0) return (frame) => frame.slots[slot];
  if (hops === 1) return (frame) => frame.parent!.slots[slot];
  return (frame) => frameAt(frame, hops).slots[slot];
}

/** Sets a variable by its reference. */
export function writer({ fn }: Scope, ref: string): Write {
  const { hops, slot } = fn.locate(ref);
  if (hops === 0) {
    return (frame, value) => {
      frame.slots[slot] = value;
    };
  }
  return (frame, value) => {
    frameAt(frame, hops).slots[slot] = value;
  };
}

function frameAt(frame: Frame, hops: number): Frame {
  let at = frame;
  for (let i = 0; i < hops; i++) at = at.parent!;
  return at;
}

/** Sets the variables of a scope where it begins, as their loads say. */
export function enterScope(scope: Scope): (frame: Frame) => void {
  const steps: ((frame: Frame) => void)[] = [];
  for (const [ref, load] of scope.symbols.loads) {
    if (load.kind === "parameter") continue;
    const set = writer(scope, ref);
    if (load.kind === "resolve") {
      const { name } = load;
      const shared = TEMPLATE_GLOBALS.get(name);
      steps.push((frame) => {
        const given = frame.context.get(name);
        set(frame, given === undefined ? shared : given);
      });
    } else if (load.kind === "alias") {
      const get = reader(scope, load.target);
      steps.push((frame) => set(frame, get(frame)));
    } else steps.push((frame) => set(frame, undefined));
  }
  return (frame) => {
    frame.budget.step(steps.length / 4);
    for (let i = 0; i < steps.length; i++) steps[i](frame);
  };
}

/** Unsets the variables of a scope where it ends. */
export function leaveScope(scope: Scope): (frame: Frame) => void {
  const steps = Array.from(scope.symbols.loads.keys(), (ref) => writer(scope, ref));
  return (frame) => {
    for (let i = 0; i < steps.length; i++) steps[i](frame, undefined);
  };
}
