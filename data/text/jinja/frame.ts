/** What a compiled template runs on. */

import type { Budget } from "./budget.ts";
import type { Value } from "./value.ts";

/** The names that a template is given, besides the functions that all have. */
export type Context = ReadonlyMap<string, Value>;

/** The variables of one running function: the template, a macro, a recursive loop. */
export interface Frame {
  /** Values of the variables; undefined where one is not set. */
  readonly slots: (Value | undefined)[];
  /** The frame in which the function was made. */
  readonly parent: Frame | undefined;
  readonly budget: Budget;
  readonly context: Context;
  /** Text written so far. */
  out: string;
}

/** A compiled expression. */
export type Evaluate = (frame: Frame) => Value;
/** What a statement ends with: the next one, or the end of a loop or of its round. */
export type Signal = 0 | 1 | 2;
/** The next statement follows. */
export const NEXT = 0;
/** The loop ends. */
export const BREAK = 1;
/** The loop's next round follows. */
export const CONTINUE = 2;
/** A compiled statement. */
export type Execute = (frame: Frame) => Signal;

/** Writes text. */
export function write(frame: Frame, text: string): void {
  frame.budget.text(text.length);
  frame.out += text;
}

/** A frame of a function with so many variables, made in another. */
export function innerFrame(parent: Frame, size: number): Frame {
  const { budget, context } = parent;
  budget.step(1 + size / 4);
  const slots = new Array<Value | undefined>(size).fill(undefined);
  return { slots, parent, budget, context, out: "" };
}
