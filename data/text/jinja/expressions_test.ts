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

Deno.test("expressions and small templates give Python's text, or an error where it raises one", async () => {
  const { variables, expressions } = await read<{
    readonly variables: Readonly<Record<string, unknown>>;
    readonly expressions: readonly (readonly [string, string | null, string?])[];
  }>("expressions.json");
  const wrong: string[] = [];
  for (const [source, expected, reason] of expressions) {
    const result = attempt(() => new Template(source).render(variables, rendering));
    const got = result instanceof Error ? null : result;
    if (got !== expected) {
      wrong.push(`${source}\n  expected ${expected ?? reason}\n  got      ${result}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(expressions.filter(([, text]) => text !== null).length >= 600);
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
