/**
 * Expressions and small templates beside Jinja2; `tests/fixtures/jinja/README.md` says what made the
 * expected texts.
 */

import assert from "node:assert/strict";
import { attempt, rendering } from "../../../tests/support/jinja_rendering.ts";
import { Template } from "./template.ts";

async function read<T>(name: string): Promise<T> {
  const path = new URL(`../../../tests/fixtures/jinja/${name}`, import.meta.url);
  return JSON.parse(await Deno.readTextFile(path));
}

/** The text, or the error as Python would name it. */
function outcome(result: string | Error): string {
  if (!(result instanceof Error)) return result;
  const { kind, name } = result as Error & { readonly kind?: string };
  return `${kind ?? name}: ${result.message}`;
}

Deno.test("expressions and small templates give Python's text, or its error", async () => {
  const { variables, expressions } = await read<{
    readonly variables: Readonly<Record<string, unknown>>;
    readonly expressions: readonly (readonly [string, string | null, string?])[];
  }>("expressions.json");
  const own = new Map(
    Object.entries(await read<Readonly<Record<string, string>>>("own_errors.json")),
  );
  const wrong: string[] = [];
  for (const [source, text, reason] of expressions) {
    const expected = own.get(source) ?? text ?? reason!;
    const result = attempt(() => new Template(source).render(variables, rendering));
    const isError = text === null || own.has(source);
    if (outcome(result) !== expected || result instanceof Error !== isError) {
      wrong.push(`${source}\n  expected ${expected}\n  got      ${outcome(result)}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.equal(expressions.filter(([, text]) => text !== null).length, 2471);
  // Each is of an expression, and says otherwise than Python.
  const sources = new Map(expressions.map(([source, text, reason]) => [source, text ?? reason]));
  for (const [source, message] of own) {
    assert.ok(sources.has(source) && sources.get(source) !== message, source);
  }
});

Deno.test("str.format and % with texts drawn from all of their syntax give Python's text, or an error", async () => {
  const { arguments: given, formats, percents } = await read<{
    readonly arguments: string;
    readonly formats: readonly (readonly [string, string | null])[];
    readonly percents: readonly (readonly [string, string, string | null])[];
  }>("random_formats.json");
  const same = (template: Template, t: string, expected: string | null): void => {
    const found = attempt(() => template.render({ t, inf: Infinity, nan: NaN }, rendering));
    assert.equal(found instanceof Error ? null : found, expected, `${t}: ${found}`);
  };
  const format = new Template(`{{ t.format(${given}) }}`);
  for (const [text, expected] of formats) same(format, text, expected);
  for (const [text, values, expected] of percents) {
    same(new Template(`{{ t % ${values} }}`), text, expected);
  }
  assert.deepEqual([formats.length, percents.length], [600, 600]);
});

Deno.test("expressions drawn from operators, filters, tests and methods give Jinja's text, or an error", async () => {
  const rows = await read<readonly (readonly [string, string | null])[]>("random_expressions.json");
  assert.equal(rows.length, 1500);
  let refused = 0;
  for (const [source, expected] of rows) {
    const found = attempt(() => new Template(source).render({}, rendering));
    if (expected !== null && found instanceof Error && found.name === "UnsupportedError") refused++;
    else assert.equal(found instanceof Error ? null : found, expected, `${source}: ${found}`);
  }
  // Slices that Jinja takes in constants alone, methods of rare use, powers that are complex numbers.
  assert.ok(refused <= 46, `${refused}`);
});
