/**
 * Chat templates beside transformers: published templates with many chats. Expressions and small
 * templates are compared in `data/text/jinja/expressions_test.ts`.
 * `tests/fixtures/jinja/make.py` made the expected texts.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Template } from "../data/text/jinja/template.ts";
import { attempt, rendering } from "./support/jinja_rendering.ts";

const fixtures = new URL("./fixtures/jinja/", import.meta.url);

interface Renderings {
  readonly options: readonly Readonly<Record<string, unknown>>[];
  /** For each chat and option the digest of the text, null for an error, or digest and text. */
  readonly rows: readonly (readonly (string | null | readonly [string, string])[])[];
}

async function read<T>(name: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(new URL(name, fixtures)));
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
