/**
 * Short texts that cost much: what a model from a stranger may bring. In: choices. Out: a template, or
 * a pattern of a tokenizer.
 */

import type { Random } from "./random.ts";

/** A template whose loops, texts or lists grow beyond any use. */
export function templateBomb(random: Random): string {
  const count = random.pick(["999", "99999", "1000000", "1000000000"]);
  const depth = 2 + random.below(3);
  const body = random.pick([
    "x",
    "{{ i }}",
    "{% set a = a ~ a %}",
    "{% set ns.x = ns.x + ns.x %}",
    "{{ messages|tojson }}",
    "",
  ]);
  const loops = `{% for i in range(${count}) %}`.repeat(depth) + body +
    "{% endfor %}".repeat(depth);
  return random.pick([
    `{% set a = "xx" %}{% set ns = namespace(x="xx") %}${loops}`,
    `{% set a = [1] %}{% set ns = namespace(x=[1]) %}${loops}`,
    `{{ range(${count})|list|length }}`,
    `{{ ("x" * ${count})|length }}`,
    `{% set a = "xxxxxxxx" %}` + `{% set a = a.replace("x", a) %}`.repeat(4 + random.below(8)) +
    "{{ a }}",
    `{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}`,
  ]);
}

/** A pattern whose matching takes time that grows beyond any power of the text's length. */
export function patternBomb(random: Random): string {
  const unit = random.pick(["a", "\\p{L}", "\\w", ".", "[a-z]", "\\s", "(?:a|b)"]);
  const inner = random.pick([
    `${unit}+`,
    `${unit}*`,
    `${unit}{1,}`,
    `${unit}|${unit}`,
    `${unit}?${unit}`,
  ]);
  const outer = random.pick(["+", "*", "{2,}", "{1,50}"]);
  const wrapped = random.pick([`(?:${inner})`, `(${inner})`, `(?:(?:${inner}))`]);
  return wrapped + outer + random.pick(["\\d", "$x", "[0-9]", "(?=#)", "\\1"]);
}
