/**
 * Chat templates beside transformers: published templates with many chats, and expressions.
 * `tests/fixtures/jinja/make.py` made the expected texts.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Template } from "../data/text/jinja/template.ts";
import { strftime } from "../data/text/strftime.ts";

const fixtures = new URL("./fixtures/jinja/", import.meta.url);

interface Renderings {
  readonly options: readonly Readonly<Record<string, unknown>>[];
  /** For each chat and option the digest of the text, null for an error, or digest and text. */
  readonly rows: readonly (readonly (string | null | readonly [string, string])[])[];
}

async function read<T>(name: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(new URL(name, fixtures)));
}

const now = new Date(2026, 10, 21, 9, 5, 3);
const rendering = { strftime: (format: string): string => strftime(now, format) };

/** The text, or the error as a value. */
function attempt(render: () => string): string | Error {
  try {
    return render();
  } catch (error) {
    assert.ok(error instanceof Error);
    const known = [
      "PythonError",
      "TemplateSyntaxError",
      "UnsupportedError",
      "TemplateLimitError",
    ];
    if (!known.includes(error.name)) throw error;
    return error;
  }
}

const digest = (text: string): string =>
  createHash("sha256").update(text).digest("hex").slice(0, 12);

const chats = await read<readonly Readonly<Record<string, unknown>>[]>("conversations.json");
const renderings = await read<Readonly<Record<string, Renderings>>>("renderings.json");

for (const [name, { options, rows }] of Object.entries(renderings)) {
  Deno.test(`the template ${name} renders ${rows.length} chats as transformers does`, async () => {
    const source = await Deno.readTextFile(new URL(`templates/${name}.jinja`, fixtures));
    const template = new Template(source);
    let texts = 0;
    assert.equal(rows.length, chats.length);
    rows.forEach((row, number) => {
      row.forEach((expected, column) => {
        const values = {
          ...chats[number],
          documents: null,
          bos_token: "<s>",
          eos_token: "</s>",
          ...options[column],
        };
        const result = attempt(() => template.render(values, rendering));
        const place = `make.py ${name} ${number} ${column} prints what is expected; got `;
        if (expected === null) {
          assert.ok(result instanceof Error, `an error expected: ${place}${result}`);
          return;
        }
        texts++;
        assert.ok(!(result instanceof Error), `${place}${result}`);
        const [hash, text] = typeof expected === "string" ? [expected] : expected;
        if (text !== undefined) assert.equal(result, text, place);
        assert.equal(digest(result), hash, place + JSON.stringify(result));
      });
    });
    assert.ok(texts >= 40, `only ${texts} texts were compared`);
  });
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
