import assert from "node:assert/strict";
import { Budget } from "./budget.ts";
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

const LIMIT = { name: "TemplateLimitError" };

Deno.test("Budget gives out exactly its steps and characters, and more for a longer chat", () => {
  for (
    const [input, steps, characters] of [[0, 1_000_000, 16_777_216], [3, 1_000_024, 16_777_312]]
  ) {
    const exact = new Budget(input);
    exact.step(steps - 1);
    exact.step();
    exact.step(0);
    exact.text(characters);
    exact.text(0);
    assert.throws(() => exact.step(), {
      ...LIMIT,
      message: "the template evaluates more steps than any chat needs",
    });
    assert.throws(() => exact.text(1), {
      ...LIMIT,
      message: "the template builds more text than any chat needs",
    });
    assert.throws(() => new Budget(input).step(steps + 1), LIMIT);
    assert.throws(() => new Budget(input).text(characters + 1), LIMIT);
    assert.throws(() => new Budget(input).step(NaN), LIMIT);
    assert.throws(() => new Budget(input).text(Infinity), LIMIT);
  }
});

Deno.test("Budget takes 200 calls in each other and integers of 16384 bits", () => {
  const budget = new Budget(0);
  for (let depth = 0; depth < 200; depth++) budget.enter();
  const message = "the template calls itself more than 200 deep";
  assert.throws(() => budget.enter(), { ...LIMIT, message });
  budget.leave();
  budget.leave();
  budget.enter();
  assert.throws(() => budget.enter(), { ...LIMIT, message });
  budget.integer(16_384);
  for (const bits of [16_384.5, Infinity, NaN]) {
    assert.throws(() => budget.integer(bits), {
      ...LIMIT,
      message: "the template makes an integer of over 16384 bits",
    });
  }
});

/** What nests: written `n` deep, a template does so once more itself. */
const nested = (first: string, more: string, use: string) => (count: number): string =>
  `{% set ns = namespace(a=${first}, b=${first}) %}{% for i in range(${count}) %}` +
  `{% set ns.a = ${more.replaceAll("it", "ns.a")} %}{% set ns.b = ${
    more.replaceAll("it", "ns.b")
  } %}` +
  `{% endfor %}${use.replaceAll("A", "ns.a").replaceAll("B", "ns.b")}`;

/** Templates by how deep they go; 200 is the deepest. */
const DEEP: Readonly<Record<string, (depth: number) => string>> = {
  "a list, printed": nested("1", "[it]", "{{ A }}"),
  "a tuple, printed": nested("1", "(it,)", "{{ A }}"),
  "a dict, printed": nested("1", "{1: it}", "{{ A }}"),
  "a list as JSON": nested("1", "[it]", "{{ A | tojson }}"),
  "a dict as JSON": nested("1", "{1: it}", "{{ A | tojson }}"),
  "lists that are equal": nested("1", "[it]", "{{ A == B }}"),
  "dicts that are equal": nested("1", "{1: it}", "{{ A == B }}"),
  "a list before another": (depth) => nested("1", "[it]", "{{ A < B }}")(depth),
  "a macro": (depth) =>
    `{% macro f(n) %}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(${depth - 1}) }}`,
  "a recursive loop": (depth) =>
    `{% for i in [${depth}] recursive %}{{ loop([i - 1]) if i }}{% endfor %}`,
};

for (const [name, source] of Object.entries(DEEP)) {
  Deno.test(`200 in each other are rendered, and 201 are not: ${name}`, () => {
    new Template(source(200)).render({}, rendering);
    assert.throws(() => new Template(source(201)).render({}, rendering), LIMIT);
  });
}

Deno.test("what is left again does not count: 300 times after one another", () => {
  const source = "{% macro f() %}{{ caller() }}{% endmacro %}{% for i in range(300) %}" +
    "{{ [i] }}{{ (i,) }}{{ {1: i} }}{{ [i] | tojson }}{{ {1: i} | tojson }}{{ [i] == [i + 0.0] }}" +
    "{{ {1: i} == {1: i + 0.0} }}{{ {1: i} == {1: 1.5} }}{{ [i] < [i + 1] }}{{ [i] < [i + 0.0] }}" +
    "{{ {(i,): 1} is mapping }}{% call f() %}{% endcall %}{% endfor %}" +
    "{% for i in range(300) recursive %}{{ loop([]) }}{% endfor %}";
  assert.equal(new Template(source).render({}, rendering).slice(0, 24), '[0](0,){1: 0}[0]{"1": 0}');
});

const METERED = {
  ...{ s: "hello", t: "help!", u: "h\u{1f600}y", l: [1, 2, 3], d: { a: 1, bc: "x" }, n: 5, f: 2.5 },
  ...{ a70: "a".repeat(70), big: "b".repeat(100) },
};

/** What a template is charged: steps and characters, the values that it is given among them. */
function charged(source: string): [number, number] {
  const template = new Template(source);
  const { step, text } = Budget.prototype;
  const total: [number, number] = [0, 0];
  Budget.prototype.step = function (count = 1): void {
    total[0] += count;
    step.call(this, count);
  };
  Budget.prototype.text = function (characters): void {
    total[1] += characters;
    text.call(this, characters);
  };
  try {
    template.render(METERED, rendering);
  } finally {
    Object.assign(Budget.prototype, { step, text });
  }
  return total;
}

/**
 * Templates with their steps and characters beyond those of an empty one. A statement takes a step,
 * and one for each node of its expressions; then what these read, search, build and write is added:
 * `{{ s ~ 'ab' }}` takes 1 + 3 and a quarter for the variable that is set up, 8 and 2 + 8 characters
 * for the joins, and 7 for what is written.
 */
const CHARGES: readonly (readonly [string, number, number])[] = [
  ["x", 2, 1],
  ["xyz", 2, 3],
  ["{{ 1 }}", 2, 1],
  ["{{ n }}", 2.25, 1],
  ["{{ s }}", 2.25, 5],
  ["{{ n + 1 }}", 4.25, 1],
  ["{{ s + 'ab' }}", 4.25, 17],
  ["{{ 'ab' + s }}", 4.25, 17],
  ["{{ s ~ 'ab' }}", 4.25, 25],
  ["{{ 'ab' ~ s ~ 1 }}", 5.25, 35],
  ["{{ s == t }}", 5.5, 10],
  ["{{ s == 'hello' }}", 5.25, 9],
  ["{{ s == 'he' }}", 5.25, 5],
  ["{{ s < t }}", 5.5, 9],
  ["{{ s < 'abc' }}", 5.25, 8],
  ["{{ n == 5 }}", 5.25, 4],
  ["{{ n < 6 }}", 5.25, 4],
  ["{{ l == l }}", 5.25, 4],
  ["{{ [1, 2] == [1, 3] }}", 10, 5],
  ["{{ [1, 2] < [1, 3] }}", 11, 4],
  ["{{ 2 in l }}", 7.25, 4],
  ["{{ 'l' in s }}", 4.25, 7.375],
  ["{{ 'zz' in s }}", 4.25, 11.25],
  ["{{ a70 in big }}", 4.5, 965],
  ["{{ a70 ~ 'b' in a70 ~ 'bc' }}", 8.25, 895],
  ["{{ l + [4] }}", 21.25, 12],
  ["{{ l * 2 }}", 28.25, 18],
  ["{{ s * 3 }}", 4.25, 30],
  ["{{ 2 ** 70 }}", 6.1806640625, 22],
  ["{{ 2 ** 200 }}", 7.470947265625, 61],
  ["{{ 2 ** 500 + 2 ** 300 }}", 25.597900390625, 151],
  ["{{ 2 ** 500 * 2 ** 300 }}", 34.211181640625, 241],
  ["{{ 3 ** 130 // 7 }}", 10.3291015625, 62],
  ["{{ 3 ** 130 % 7 }}", 9.390625, 1],
  ["{{ l[1:] }}", 13.25, 6],
  ["{{ l[::2] }}", 13.25, 6],
  ["{{ s[1:3] }}", 6.25, 7],
  ["{{ u[1:2] }}", 6.25, 6],
  ["{{ u[1] }}", 4.25, 6],
  ["{{ s[1] }}", 4.25, 6],
  ["{{ s[::2] }}", 13.25, 8],
  ["{{ u|length }}", 4.25, 5],
  ["{{ s|length }}", 4.25, 6],
  ["{{ l|length }}", 4.25, 1],
  ["{{ d }}", 14.25, 29],
  ["{{ d.a }}", 3.25, 2],
  ["{{ d['bc'] }}", 4.25, 3],
  ["{{ d.keys()|list }}", 17.25, 18],
  ["{{ d.items()|list }}", 29.25, 33],
  ["{{ d|items|list }}", 26.25, 33],
  ["{{ d.copy() }}", 19.25, 32],
  ["{{ l.copy() }}", 17.25, 9],
  ["{{ {1: 2, (1, 'a'): 3} }}", 28, 27],
  ["{{ range(3)|list }}", 19.25, 9],
  ["{{ range(3)|reverse|list }}", 21.25, 9],
  ["{{ l|reverse|list }}", 18.25, 9],
  ["{{ s|reverse }}", 9.25, 5],
  ["{{ s|list }}", 29.25, 40],
  ["{{ s|last }}", 10.25, 1],
  ["{{ u|last }}", 9.25, 1],
  ["{{ l|join(', ') }}", 8.25, 16],
  ["{{ ', '.join(['ab', 'c']) }}", 10, 14],
  ["{{ s.upper() }}", 5.25, 15],
  ["{{ u.upper() }}", 5.25, 72],
  ["{{ s|upper }}", 5.25, 15],
  ["{{ s.title() }}", 10.25, 10],
  ["{{ 'a\u03a3'.title() }}", 13, 4],
  ["{{ s|title }}", 6.75, 5],
  ["{{ s.swapcase() }}", 10.25, 10],
  ["{{ s.istitle() }}", 10.25, 10],
  ["{{ s.isalpha() }}", 5.25, 14],
  ["{{ s.startswith('he') }}", 7.25, 11],
  ["{{ s.endswith(('xy', 'abc')) }}", 10.25, 15],
  ["{{ s.find('l') }}", 6.25, 9.375],
  ["{{ s.rfind('l') }}", 6.25, 8.25],
  ["{{ s.find('zz') }}", 6.25, 13.25],
  ["{{ s.rfind('zz') }}", 6.25, 13.25],
  ["{{ s.rfind('l', 0, 3) }}", 8.25, 7.125],
  ["{{ s.count('l') }}", 8.25, 11.625],
  ["{{ s.replace('l', 'xyz') }}", 9.25, 31.625],
  ["{{ s.replace('l', 'xyz', 1) }}", 9.25, 25.5],
  ["{{ s.replace('', '--') }}", 18.25, 39],
  ["{{ s.replace('', '--', 2) }}", 15.25, 23],
  ["{{ s.split('l') }}", 17.25, 34.625],
  ["{{ s.split('l', 1) }}", 14.25, 28.375],
  ["{{ s.rsplit('l', 1) }}", 14.25, 27.25],
  ["{{ 'a b c'.split() }}", 17, 29],
  ["{{ 'a b c'.split(none, 1) }}", 15, 25],
  ["{{ 'a b c'.rsplit(none, 1) }}", 15, 25],
  ["{{ 'a\nb'.splitlines() }}", 13, 19],
  ["{{ s.partition('l') }}", 15.25, 36.375],
  ["{{ s.rpartition('l') }}", 15.25, 35.25],
  ["{{ s.center(9) }}", 6.25, 23],
  ["{{ s.ljust(8, '*') }}", 7.25, 21],
  ["{{ s.rjust(8) }}", 6.25, 21],
  ["{{ s.zfill(8) }}", 6.25, 21],
  ["{{ '\ta'.expandtabs() }}", 5, 21],
  ["{{ s.strip('h') }}", 6.25, 9],
  ["{{ s.removeprefix('h') }}", 6.25, 9],
  ["{{ s|e }}", 4.25, 10],
  ["{{ '<a>'|e }}", 5, 22],
  ["{{ s|safe }}", 4.25, 5],
  ["{{ (s|safe) + '<' }}", 6.75, 27],
  ["{{ '<' + (s|safe) }}", 6.75, 27],
  ["{{ (s|safe)|upper }}", 7.25, 15],
  ["{{ (s|safe)|list }}", 31.25, 40],
  ["{{ (s|safe) == s }}", 7.25, 9],
  ["{{ (s|safe) < t }}", 7.5, 9],
  ["{{ s|indent }}", 5.25, 15],
  ["{{ 'a\nb\n\nc'|indent(2) }}", 9, 23],
  ["{{ s|wordcount }}", 6.75, 6],
  ["{{ 'a b'|urlencode }}", 10, 5],
  ["{{ s|truncate(4, true, '', 0) }}", 11.25, 22],
  ["{{ s|center(9) }}", 6.25, 23],
  ["{{ s|trim }}", 5.25, 10],
  ["{{ s|replace('l', 'xyz') }}", 8.25, 26.625],
  ["{{ s|capitalize }}", 5.25, 15],
  ["{{ l|tojson }}", 16.25, 13],
  ["{{ d|tojson }}", 13.25, 31],
  ["{{ l|tojson(indent=2) }}", 17.25, 30],
  ["{{ 'a\"\n'|tojson }}", 8, 24],
  ["{{ '\u00e9'|tojson(true) }}", 8.5, 17],
  ["{{ '%s' % s }}", 5.25, 17],
  ["{{ '%5s|%d' % (s, 7) }}", 8.25, 30],
  ["{{ '%.3d' % 7 }}", 5, 19],
  ["{{ '%.2f' % f }}", 25.25, 340],
  ["{{ '%5.1f' % f }}", 25.25, 347],
  ["{{ '%a' % '\u00e9' }}", 8.5, 33],
  ["{{ '{}'.format(s) }}", 7.25, 12],
  ["{{ '{:7}'.format(s) }}", 8.25, 32],
  ["{{ '{:^8.3}'.format(s) }}", 8.25, 39],
  ["{{ '{:.2f}'.format(f) }}", 28.25, 342],
  ["{{ '{}-{}'.format(s, n) }}", 9.5, 18],
  ["{{ f }}", 2.25, 3],
  ["{{ f|round(1) }}", 25.25, 3],
  ["{{ f|round }}", 24.25, 3],
  ["{{ '12'|int }}", 4.5, 2],
  ["{{ '1.5'|float }}", 4.75, 3],
  ["{{ 'x'|int }}", 4.25, 1],
  ["{{ [s] }}", 6.25, 16],
  ["{{ ['a\n'] }}", 6.5, 13],
  ["{{ ['\u0001'] }}", 6.5, 15],
  ["{{ [[1], [2]] }}", 18, 10],
  ["{{ [1.5] }}", 6, 5],
  ["{{ l|sort }}", 22.25, 9],
  ["{{ ['b', 'A']|sort }}", 17, 20],
  ["{{ ['b', 'A']|min }}", 9, 4],
  ["{{ l|sum }}", 7.25, 1],
  ["{{ l|unique|list }}", 18.25, 9],
  ["{{ [s, t]|unique|list }}", 16.5, 52],
  ["{{ l|batch(2)|list }}", 32.25, 13],
  ["{{ l|batch(2, 0)|list }}", 38.25, 16],
  ["{{ l|slice(2)|list }}", 33.25, 13],
  ["{{ l|map('string')|list }}", 19.25, 24],
  ["{{ l|select('odd')|list }}", 19.25, 6],
  ["{{ [d]|map(attribute='a')|list }}", 12.25, 4],
  ["{{ strftime_now('%Y') }}", 5.25, 62],
  ["{{ n if true else s }}", 5.5, 1],
  ["{{ n and s }}", 4.5, 5],
  ["{{ not n }}", 3.25, 5],
  ["{{ -n }}", 3.25, 2],
  ["{{ n is odd }}", 4.25, 4],
  ["{{ n is defined }}", 3.25, 4],
  ["{{ range(2, 9, 3) }}", 7.25, 14],
  ["{{ [1, 2, 3].index(2) }}", 10, 1],
  ["{{ [1, 2, 3].count(2) }}", 11, 1],
  ["{{ dict(a=1, b=2) }}", 20.25, 24],
  ["{{ namespace(a=1) }}", 12.25, 24],
  ["{% set a = 1 %}", 3.25, 0],
  ["{% set a = s + t %}{{ a }}", 7.75, 23],
  ["{% set a %}xy{% endset %}", 4.25, 2],
  ["{% if 1 %}x{% endif %}", 5, 1],
  ["{% if 0 %}x{% elif 0 %}y{% else %}zz{% endif %}", 6, 2],
  ["{% for i in l %}{% endfor %}", 9.25, 0],
  ["{% for i in l %}{{ i }}{% endfor %}", 15.25, 3],
  ["{% for i in l if i > 1 %}{{ i }}{% endfor %}", 19.5, 2],
  ["{% for i in l %}{{ loop.index }}{% endfor %}", 18.25, 3],
  ["{% for i in l recursive %}{{ i }}{% endfor %}", 16.75, 6],
  ["{% for i in [l] recursive %}{{ loop(i) if i is iterable else i }}{% endfor %}", 48.25, 9],
  ["{% for c in s %}{% endfor %}", 18.25, 0],
  ["{% with a = 1 %}{{ a }}{% endwith %}", 5, 1],
  ["{% filter upper %}ab{% endfilter %}", 6, 8],
  ["{% macro f(a, b=1) %}{{ a }}{% endmacro %}{{ f(1) }}", 14.75, 2],
  ["{% macro f() %}{{ caller() }}{% endmacro %}{% call f() %}xy{% endcall %}", 13.5, 6],
  ["{% generation %}xy{% endgeneration %}", 4, 4],
  ["{% if 1 %}{% set q = 1 %}{% set r = 2 %}{% endif %}{{ q }}", 11.5, 1],
  ["{% for i in l %}{% set q = i %}{% set r = 1 %}{{ q }}{% endfor %}", 34.75, 3],
];

Deno.test("every construct is charged for what it reads, builds and writes", () => {
  const [steps, characters] = charged("");
  // The two items of `d`, and their keys.
  assert.deepEqual([steps, characters], [2, 3]);
  const wrong = CHARGES.flatMap(([source, ...expected]) => {
    const [mine, theirs] = charged(source);
    const actual = [mine - steps, theirs - characters];
    return actual[0] === expected[0] && actual[1] === expected[1]
      ? []
      : [`${source}: ${actual} and not ${expected}`];
  });
  assert.deepEqual(wrong, []);
});
