import assert from "node:assert/strict";
import { Template } from "./template.ts";

const NESTED = "line 1: nesting is deeper than 150";
const CHAINED = "line 1: more than 150 operators are chained";

/** Templates by how many of a thing they hold: the most that is taken, and the error of one more. */
const LIMITS: Readonly<Record<string, [(count: number) => string, number, string]>> = {
  "sums": [(n) => `{{ 1${"+1".repeat(n)} }}`, 150, CHAINED],
  "products": [(n) => `{{ 1${"*1".repeat(n)} }}`, 150, CHAINED],
  "powers": [(n) => `{{ 1${"**1".repeat(n)} }}`, 150, CHAINED],
  "or": [(n) => `{{ 1${" or 1".repeat(n)} }}`, 150, CHAINED],
  "and": [(n) => `{{ 1${" and 1".repeat(n)} }}`, 150, CHAINED],
  "if": [(n) => `{{ 1${" if 1".repeat(n)} }}`, 150, CHAINED],
  "attributes": [(n) => `{{ a${".a".repeat(n)} }}`, 150, CHAINED],
  "items": [(n) => `{{ a${"[0]".repeat(n)} }}`, 150, CHAINED],
  "calls": [(n) => `{{ a${"()".repeat(n)} }}`, 150, CHAINED],
  "filters": [(n) => `{{ a${"|e".repeat(n)} }}`, 150, CHAINED],
  "filters of a block": [(n) => `{% filter e${"|e".repeat(n - 1)} %}{% endfilter %}`, 150, CHAINED],
  "filters and tests": [(n) => `{{ a${"|e is string".repeat(n)} }}`, 75, CHAINED],
  // The expression itself is one, and what stands in brackets is two.
  "brackets": [(n) => `{{ ${"(".repeat(n)}1${")".repeat(n)} }}`, 74, NESTED],
  "lists": [(n) => `{{ ${"[".repeat(n)}1${"]".repeat(n)} }}`, 149, NESTED],
  "not": [(n) => `{{ ${"not ".repeat(n)}1 }}`, 149, NESTED],
  "signs": [(n) => `{{ ${"-".repeat(n)}1 }}`, 149, NESTED],
  "else": [(n) => `{{ ${"1 if 0 else ".repeat(n)}1 }}`, 149, NESTED],
  "statements": [(n) => `${"{% if 1 %}".repeat(n)}${"{% endif %}".repeat(n)}`, 149, NESTED],
};

for (const [name, [source, most, message]] of Object.entries(LIMITS)) {
  Deno.test(`a template takes ${most}, and not one more: ${name}`, () => {
    const limited = { name: "TemplateSyntaxError", message };
    new Template(source(most));
    assert.throws(() => new Template(source(most + 1)), limited);
    // What is closed does not count.
    new Template(source(most) + source(most));
  });
}

Deno.test("a template takes 100000 tokens, and not one more", () => {
  const most = `x${"{{1}}".repeat(33_333)}`;
  new Template(most);
  assert.throws(() => new Template(`${most}y`), {
    name: "TemplateSyntaxError",
    message: "line 1: the template has more than 100000 tokens",
  });
});

Deno.test("a template that sets many names in many branches is refused", () => {
  // A branch copies the names so far: three of each `if`, and its own once more on the way back.
  const branches = (count: number): string =>
    Array.from({ length: count }, (_, i) => `{% if a %}{% set b${i} = 1 %}{% endif %}`).join("");
  new Template(branches(200));
  assert.throws(() => new Template(branches(500)), {
    name: "TemplateLimitError",
    message: "the template sets more names in more branches than any chat needs",
  });
});
