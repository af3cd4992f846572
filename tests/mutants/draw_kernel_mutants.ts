/**
 * Small faults of a CUDA kernel's text.
 *
 * In: C++ as it stands in a template of `ort/kernels`. Out: every place where something small may be wrong, with what
 * stands there then: operators, constants, conditions, statements that are left out. Lines for the preprocessor, comments,
 * bounds of launches and what stands behind `HOST_CUDA`, which tests without a GPU don't compile, are left as they are.
 */

import type { Mutant } from "./mutant.ts";

/** What is left alone: its characters become blanks, so that places stay. */
const LEFT_ALONE = /\/\/.*|#ifndef HOST_CUDA[^]*?^#endif|^#.*|__(?:launch_bounds|align)__\(.*?\)/gm;

/** Operators with blanks around them, as no pointer, reference or list of a template's arguments has. */
const OPERATORS = new Map([
  ["<", "<="],
  ["<=", "<"],
  [">", ">="],
  [">=", ">"],
  ["==", "!="],
  ["!=", "=="],
  ["&&", "||"],
  ["||", "&&"],
  ["+", "-"],
  ["-", "+"],
  ["*", "/"],
  ["/", "*"],
  ["%", "/"],
  ["+=", "="],
  ["-=", "="],
]);
const OPERATOR = /(?<= )(?:[<>=!]=|[-+]=|&&|\|\||[-<>+*/%])(?=[ \n])/g;
/** Decimal numbers that are no part of a name. */
const CONSTANT = /(?<![\w.])(\d+(?:\.\d+)?(?:e-?\d+)?)(?=[fu]?(?![\w.]))/g;
/** A call or an assignment that begins a line of its own, behind the end of another statement. */
const STATEMENT =
  /(?<=[;{}]\s*\n)^ +(?:\w[\w.[\] ()*+/%<>-]* [-+*/|&^]?= (?!\{)[^;{}]+|\w+(?:<[^;<>]*>)?\([^;{}]*\));$/gm;
/** A declaration with its value, which is no statement that could be missing. */
const DECLARATION = /^ +(?:const(?:expr)? )?[A-Za-z_]\w*[*&]* [*&]?[A-Za-z_]\w*(?:\[.*?\])* = /;

/** All faults of a kernel's text, in the order of their places. */
export function drawKernelMutants(text: string): readonly Mutant[] {
  const code = text.replace(LEFT_ALONE, (each) => each.replace(/[^\n]/g, " "));
  const mutants: Mutant[] = [];
  const add = (start: number, before: string, replacement: string, kind: string): void =>
    void mutants.push({ start, end: start + before.length, replacement, kind: `kernel ${kind}` });
  for (const { 0: operator, index } of code.matchAll(OPERATOR)) {
    add(index, operator, OPERATORS.get(operator)!, "operator");
  }
  for (const { 0: constant, index } of code.matchAll(CONSTANT)) {
    const isWhole = /^\d+$/.test(constant) && code[index + constant.length] !== "f";
    const other = `${Number(constant) + 1}`;
    add(index, constant, isWhole || other.includes(".") ? other : `${other}.0`, "constant");
  }
  for (const { 0: line, index } of code.matchAll(STATEMENT)) {
    if (DECLARATION.test(line)) continue;
    const blanks = line.length - line.trimStart().length;
    add(index + blanks, line.trimStart(), ";", "statement left out");
  }
  for (const { 0: opening, index } of code.matchAll(/\bif \(/g)) {
    const start = index + opening.length;
    const condition = code.slice(start, closing(code, start));
    add(start, condition, `!(${condition})`, "condition");
  }
  return mutants.sort((a, b) => a.start - b.start || a.end - b.end);
}

/** Where the parenthesis closes that is open at a place. */
function closing(code: string, from: number): number {
  let open = 1;
  let at = from;
  for (; open > 0 && at < code.length; at++) {
    if (code[at] === "(") open++;
    if (code[at] === ")") open--;
  }
  return at - 1;
}
