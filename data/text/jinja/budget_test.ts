import assert from "node:assert/strict";
import { Template } from "./template.ts";

const rendering = { strftime: (format: string): string => format };
const values = { messages: [{ role: "user", content: "hi" }] };
const LOOP = "{% for i in range(99999) %}";
const END = "{% endfor %}";
const doubling = (change: string): string =>
  `{% set ns = namespace(s='x', l=[1], t=(1,)) %}{% for i in range(60) %}${change}{% endfor %}`;

/** Hostile templates, each of which would take minutes or gigabytes. */
const BOMBS: Readonly<Record<string, string>> = {
  "nested loops": LOOP.repeat(4) + END.repeat(4),
  "nested loops that write": `${LOOP.repeat(2)}${"x".repeat(200)}${END.repeat(2)}`,
  "a text times a number": "{{ 'x' * 10 ** 9 }}",
  "a list times a number": "{{ ([1] * 10 ** 9) | length }}",
  "a text that doubles": doubling("{% set ns.s = ns.s + ns.s %}") + "{{ ns.s }}",
  "a text that doubles by ~": doubling("{% set ns.s = ns.s ~ ns.s %}") + "{{ ns.s }}",
  "a text that doubles by join": doubling("{% set ns.s = [ns.s, ns.s] | join %}"),
  "a text that doubles in a block": doubling("{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}"),
  "a list that doubles": doubling("{% set ns.l = ns.l + ns.l %}"),
  "a text that grows by replace": doubling("{% set ns.s = ns.s | replace('x', 'xxxx') %}"),
  "a list of itself, as JSON": doubling("{% set ns.l = [ns.l, ns.l] %}") + "{{ ns.l | tojson }}",
  "a list of itself, printed": doubling("{% set ns.l = [ns.l, ns.l] %}") + "{{ ns.l }}",
  "a tuple of itself as a key": doubling("{% set ns.t = (ns.t, ns.t) %}") + "{{ {ns.t: 1} }}",
  "a width of %": "{{ '%999999999s' % 'x' }}",
  "a width of % from a value": "{{ '%*d' % (10 ** 9, 1) }}",
  "a precision of %": "{{ '%.999999999f' % 1.5 }}",
  "a width of format": "{{ '{:>999999999}'.format('x') }}",
  "a width of a nested format": "{{ '{:{}}'.format('x', 10 ** 9) }}",
  ljust: "{{ 'x'.ljust(10 ** 9) }}",
  center: "{{ 'x' | center(10 ** 9) }}",
  zfill: "{{ 'x'.zfill(10 ** 9) }}",
  expandtabs: "{{ ('\\t' * 1000).expandtabs(10 ** 7) }}",
  indent: "{{ 'a\\nb' | indent(10 ** 9) }}",
  "indent of JSON": "{{ [[1]] | tojson(indent=10 ** 9) }}",
  "a batch that is filled up": "{{ [1] | batch(10 ** 9, 0) | list | length }}",
  "many slices": "{{ [1] | slice(10 ** 9) | list | length }}",
  "a macro that calls itself": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
  "macros that branch":
    "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
  "a loop that calls itself": "{% for a in [1] recursive %}{{ loop([1, 2]) }}{% endfor %}",
  "a call block that calls itself": "{% macro f() %}{{ caller() }}{% endmacro %}" +
    "{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}",
  "a large power": "{{ 9 ** 9 ** 9 ** 9 ** 9 }}",
  "products of large integers":
    `{% set ns = namespace(n=3 ** 9000) %}${LOOP}{% set ns.n = ns.n * ns.n %}${END}`,
  "long texts searched": `{% set s = 'a' * 1000000 %}${LOOP}{% set q = 'b' in s %}${END}`,
  "a search that always nearly finds":
    `{% set s = 'a' * 1000000 %}{% set p = 'a' * 500000 ~ 'b' %}${LOOP}{% set q = p in s %}${END}`,
  "characters one by one": "{% for c in 'x' * 9000000 %}{% endfor %}",
  "escapes": "{{ ('<' * 9000000) | e | length }}",
  "a long list sorted": "{{ (range(99999) | list * 10) | sort | length }}",
  "a generator of generators":
    `{% set ns = namespace(g=[1]) %}${LOOP}{% set ns.g = ns.g | map('string') %}${END}{{ ns.g | list }}`,
  "nothing, over and over": LOOP.repeat(2) + "{% if 0 %}{% endif %}".repeat(2000) + END.repeat(2),
};

for (const [name, source] of Object.entries(BOMBS)) {
  Deno.test(`a template ends at a limit: ${name}`, () => {
    assert.throws(() => new Template(source).render(values, rendering), {
      name: "TemplateLimitError",
    });
  });
}

const MEBIBYTE = 1_000_000;
/** Hostile templates of a mebibyte, and the error that they end in. */
const LARGE: Readonly<Record<string, readonly [string, string]>> = {
  "open brackets": ["{{ " + "(".repeat(MEBIBYTE), "TemplateSyntaxError"],
  "open lists": ["{{ " + "[".repeat(MEBIBYTE), "TemplateSyntaxError"],
  "signs": ["{{ " + "-".repeat(MEBIBYTE) + "1 }}", "TemplateSyntaxError"],
  "sums": ["{{ 1" + "+1".repeat(MEBIBYTE / 2) + " }}", "TemplateSyntaxError"],
  "attributes": ["{{ a" + ".a".repeat(MEBIBYTE / 2) + " }}", "TemplateSyntaxError"],
  "filters": ["{{ a" + "|e".repeat(MEBIBYTE / 2) + " }}", "TemplateSyntaxError"],
  "ifs": ["{% if 1 %}".repeat(MEBIBYTE / 10), "TemplateSyntaxError"],
  "open tags": ["{%".repeat(MEBIBYTE / 2), "TemplateSyntaxError"],
  "open comments": ["{#".repeat(MEBIBYTE / 2), "TemplateSyntaxError"],
  "outputs": ["{{1}}".repeat(MEBIBYTE / 5), "TemplateSyntaxError"],
  "digits": ["{{ " + "1".repeat(MEBIBYTE) + " }}", "TemplateSyntaxError"],
  "names in branches": [
    Array.from({ length: 5000 }, (_, i) => `{% if a %}{% set b${i} = 1 %}{% endif %}`).join(""),
    "TemplateLimitError",
  ],
  "chains in brackets": [
    "{{ " + "(".repeat(70) + "1" + ("+1".repeat(140) + ")").repeat(70) + " }}",
    "TemplateLimitError",
  ],
};

for (const [name, [source, error]] of Object.entries(LARGE)) {
  Deno.test(`a template that is too large is not compiled: ${name}`, () => {
    assert.throws(() => new Template(source).render(values, rendering), { name: error });
  });
}

Deno.test("limits grow with the chat, which is the user's own", () => {
  const template = new Template(
    "{% for m in messages %}{{ m.content | trim | replace('a', 'b') | upper }}{% endfor %}",
  );
  const messages = Array.from({ length: 2000 }, () => ({ content: "a ".repeat(2500) }));
  assert.equal(template.render({ messages }, rendering).length, 2000 * 4999);
});
