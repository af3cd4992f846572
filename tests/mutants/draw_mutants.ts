/**
 * Small faults of a source file, over its syntax tree.
 *
 * In: the text of a TypeScript file. Out: every place where something small may be wrong, with what stands there then:
 * operators, limits, constants, conditions, calls and awaits that are left out, arguments in another order; and the same of
 * CUDA kernels, which are texts. Types, imports, other texts and errors that are thrown are left as they are: what these
 * say is for reviews.
 */

import ts from "typescript";
import { drawKernelMutants } from "./draw_kernel_mutants.ts";
import type { Mutant } from "./mutant.ts";

/** Operators, each with what is easily written for it. */
const OPERATORS = new Map<ts.SyntaxKind, string>([
  [ts.SyntaxKind.LessThanToken, "<="],
  [ts.SyntaxKind.LessThanEqualsToken, "<"],
  [ts.SyntaxKind.GreaterThanToken, ">="],
  [ts.SyntaxKind.GreaterThanEqualsToken, ">"],
  [ts.SyntaxKind.EqualsEqualsEqualsToken, "!=="],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, "==="],
  [ts.SyntaxKind.AmpersandAmpersandToken, "||"],
  [ts.SyntaxKind.BarBarToken, "&&"],
  [ts.SyntaxKind.PlusToken, "-"],
  [ts.SyntaxKind.MinusToken, "+"],
  [ts.SyntaxKind.AsteriskToken, "/"],
  [ts.SyntaxKind.SlashToken, "*"],
  [ts.SyntaxKind.PlusEqualsToken, "="],
  [ts.SyntaxKind.QuestionQuestionEqualsToken, "="],
]);

/** Nodes that are left alone with all that is in them. */
function isLeftAlone(node: ts.Node): boolean {
  return ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node) ||
    ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) ||
    ts.isThrowStatement(node);
}

/** Whether a node is a template without values that holds CUDA C++. */
function isKernelText(node: ts.Node): boolean {
  return ts.isNoSubstitutionTemplateLiteral(node) && /\b__(?:device|global)__\b/.test(node.text);
}

/** Whether a call's first two arguments may stand in any order. */
function isCommutative({ expression }: ts.CallExpression): boolean {
  return /^Math\.(?:max|min|imul|hypot)$/.test(expression.getText());
}

/** All faults of a file, in the order of their places. */
export function drawMutants(path: string, text: string): readonly Mutant[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const mutants: Mutant[] = [];
  const add = (node: ts.Node, replacement: string, kind: string): void =>
    void mutants.push({ start: node.getStart(source), end: node.getEnd(), replacement, kind });
  const negate = (condition: ts.Expression): void =>
    add(condition, `!(${condition.getText(source)})`, "condition");
  const visit = (node: ts.Node): void => {
    if (isLeftAlone(node)) return;
    if (ts.isBinaryExpression(node)) {
      const other = OPERATORS.get(node.operatorToken.kind);
      const ofTexts = other === "-" &&
        [node.left, node.right].some((each) =>
          ts.isStringLiteralLike(each) || ts.isTemplateExpression(each)
        );
      if (other !== undefined && !ofTexts) add(node.operatorToken, other, "operator");
    } else if (ts.isNumericLiteral(node)) {
      add(node, `${Number(node.text) + 1}`, "constant");
    } else if (node.kind === ts.SyntaxKind.TrueKeyword) {
      add(node, "false", "constant");
    } else if (node.kind === ts.SyntaxKind.FalseKeyword) {
      add(node, "true", "constant");
    } else if (ts.isIfStatement(node)) {
      negate(node.expression);
    } else if (ts.isConditionalExpression(node)) {
      negate(node.condition);
    } else if (ts.isAwaitExpression(node)) {
      add(node, node.expression.getText(source), "await left out");
    } else if (isKernelText(node)) {
      const from = node.getStart(source);
      for (const { start, end, ...rest } of drawKernelMutants(node.getText(source))) {
        mutants.push({ start: from + start, end: from + end, ...rest });
      }
    } else if (ts.isCallExpression(node) && node.arguments.length >= 2 && !isCommutative(node)) {
      const [first, second] = node.arguments;
      const end = second.getEnd();
      const swapped = `${second.getText(source)}, ${first.getText(source)}`;
      mutants.push({ start: first.getStart(source), end, replacement: swapped, kind: "arguments" });
    }
    // TypeScript refuses `if (a) ;`.
    if (ts.isExpressionStatement(node)) add(node, "{}", "statement left out");
    ts.forEachChild(node, visit);
  };
  visit(source);
  return mutants.sort((a, b) => a.start - b.start || a.end - b.end);
}
