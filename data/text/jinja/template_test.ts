import assert from "node:assert/strict";
import { parsePythonJson } from "../../../internal/json/python_json.ts";
import { Template } from "./template.ts";

// Expected texts are those of Python; expressions_test.ts has many more.
const render = (source: string, values: Readonly<Record<string, unknown>> = {}): string =>
  new Template(source).render(values, { strftime: (format) => format });

Deno.test("JSON numbers that are integers are int, and the rest float", () => {
  const x = [1, 1.5, -0, 1e21, 9007199254740993n, true, null, "a", { b: [] }];
  assert.equal(
    render("{{ x }}", { x }),
    "[1, 1.5, 0, 1000000000000000000000, 9007199254740993, True, None, 'a', {'b': []}]",
  );
});

Deno.test("JSON that was read without loss stays as it is", () => {
  const x = parsePythonJson('{"2": 4.0, "1": 12345678901234567890, "b": [1e-05, NaN]}');
  assert.equal(
    render("{{ x | tojson }}|{{ x['2'] + 1 }}", { x }),
    '{"2": 4.0, "1": 12345678901234567890, "b": [1e-05, NaN]}|5.0',
  );
});

Deno.test("a name that is undefined is not defined, and null is None", () => {
  assert.equal(
    render("{{ a is defined }} {{ b is defined }} {{ b }}", { a: undefined, b: null }),
    "False True None",
  );
  assert.throws(() => render("{{ a.b }}"), { name: "PythonError", message: "'a' is undefined" });
});

Deno.test("values that are no JSON are refused", () => {
  assert.throws(() => render("x", { f: () => 1 }), TypeError);
});

Deno.test("templates cannot change what they are given", () => {
  const messages = [{ role: "user" }];
  for (const call of ["messages.append(1)", "messages[0].update(a=1)", "messages.clear()"]) {
    assert.throws(() => render(`{{ ${call} }}`, { messages }), /unsafe/);
  }
  assert.throws(() => render("{{ messages.__class__.__mro__ }}", { messages }), /unsafe/);
  assert.deepEqual(messages, [{ role: "user" }]);
});

Deno.test("a template can be rendered again, with nothing left of the time before", () => {
  const template = new Template("{% set ns = namespace(n=n) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}");
  const options = { strftime: (format: string): string => format };
  assert.equal(template.render({ n: 1 }, options), "2");
  assert.equal(template.render({ n: 1 }, options), "2");
});

/** What is refused before anything is rendered, by name and line. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["a\n{{ x | pprint }}", "line 2: the filter pprint"],
  ["{% if 0 %}{{ x | random }}{% endif %}", "line 1: the filter random"],
  ["{{ x | map('urlize') | list }}", "line 1: the filter urlize"],
  ["\n\n{{ x.encode('utf-8') }}", "line 3: the method encode"],
  ["{{ x['casefold']() }}", "line 1: the method casefold"],
  ["{{ lipsum() }}", "line 1: the function lipsum"],
  ["{% block a %}{% endblock %}", "line 1: the tag {% block %}"],
  ["{% include 'a' %}", "line 1: the tag {% include %}"],
  ["{% import 'a' as a %}", "line 1: the tag {% import %}"],
  ["{{ '\\N{BULLET}' }}", "line 1: a character by its name, \\N"],
  ["{{ '\\ud83d' }}", "line 1: the escape of a surrogate, \\ud83d"],
  ["{{ 1e999 }}", "line 1: a number that is too large for a float"],
  ["{{ self }}", "the variable self, which stands for a template's blocks"],
];

for (const [source, message] of REFUSED) {
  Deno.test(`a template is refused when it is compiled: ${message}`, () => {
    assert.throws(() => new Template(source), { name: "UnsupportedError", message });
  });
}

Deno.test("texts that hold an address are refused when they are printed", () => {
  assert.throws(() => render("{{ 'a'.upper }}"), { name: "UnsupportedError" });
  assert.throws(() => render("{{ [1] | map('string') }}"), { name: "UnsupportedError" });
});

Deno.test("an integer has up to 4300 digits, as Python reads it", () => {
  const digits = "9".repeat(4300);
  assert.equal(render(`{{ ${digits} == '${digits}' | int }}`), "True");
  assert.equal(render(`{{ ${digits.replace("9", "9_")} }}`), digits);
  assert.throws(() => render(`{{ 1${digits} }}`), {
    name: "TemplateSyntaxError",
    message: "line 1: an integer has more digits than can be converted",
  });
});

Deno.test("a template is refused at the first surrogate and at the last, and not beside them", () => {
  for (const code of ["d800", "dfff"]) {
    assert.throws(() => new Template(`{{ '\\u${code}' }}`), {
      name: "UnsupportedError",
      message: `line 1: the escape of a surrogate, \\u${code}`,
    });
  }
  assert.equal(render("{{ '\\ud7ff\\ue000' }}"), "\ud7ff\ue000");
});

Deno.test("a loop takes one argument and no more, and a key holds no object of its own", () => {
  const fails = (source: string, message: string): void =>
    assert.throws(() => render(source), { name: "PythonError", message });
  fails("{% for i in [1] recursive %}{{ loop([], a=1) }}{% endfor %}", "loop() takes one argument");
  fails("{{ {(namespace(),): 1} }}", "a TemplateNamespace in a tuple as a key");
});
