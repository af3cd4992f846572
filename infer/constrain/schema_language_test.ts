import assert from "node:assert/strict";
import { draws } from "../../tests/support/random.ts";
import { type Grammar, objectGrammar, SchemaError, schemaGrammar } from "./schema_language.ts";

/** Whether a grammar has a text. */
function has({ languages, root }: Grammar, text: string): boolean {
  let left = root;
  for (const byte of new TextEncoder().encode(text)) left = languages.after(left, byte);
  return left.nullable;
}

/** A text of random bytes among those that may come, ended where it may with some probability. */
function draw({ languages, root }: Grammar, random: () => number): string {
  const bytes: number[] = [];
  let left = root;
  while (!(left.nullable && (left === languages.empty || random() < 0.3))) {
    const next = Array.from({ length: 256 }, (_, byte) => ({
      byte,
      after: languages.after(left, byte),
    })).filter(({ after }) => after !== languages.none);
    assert.ok(next.length > 0, "a dead end");
    // What ends strings and lists is drawn more often, so that texts do not grow for ever.
    const closing = next.filter(({ byte }) => '"]}'.includes(String.fromCharCode(byte)));
    const among = closing.length > 0 && random() < 0.5 ? closing : next;
    const chosen = among[Math.floor(random() * among.length)];
    bytes.push(chosen.byte);
    left = chosen.after;
    assert.ok(bytes.length < 20_000);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
}

type Schema = Record<string, unknown>;
type Holds = (value: never) => boolean;

const PERSON: Schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Person",
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 5 },
    age: { type: "integer" },
    tags: { type: "array", items: { enum: ["a", 'b"', "é"] }, minItems: 1, maxItems: 3 },
    more: { anyOf: [{ type: "null" }, { type: ["number", "boolean"] }] },
  },
  required: ["name", "tags"],
  additionalProperties: false,
};
interface Person {
  readonly name: string;
  readonly age?: number;
  readonly tags: readonly string[];
  readonly more?: unknown;
}
const isPerson = ({ name, age, tags, more, ...rest }: Person): boolean =>
  [...name].length >= 1 && [...name].length <= 5 && (age === undefined || Number.isInteger(age)) &&
  tags.length >= 1 && tags.length <= 3 && tags.every((tag) => ["a", 'b"', "é"].includes(tag)) &&
  (more === undefined || more === null || ["number", "boolean"].includes(typeof more)) &&
  Object.keys(rest).length === 0;

interface Tree {
  readonly value: number;
  readonly children: readonly Tree[];
}
const isTree = ({ value, children }: Tree): boolean =>
  typeof value === "number" && children.every(isTree);

/** Schemas with what their values are, values, and texts of none. */
const CASES: readonly {
  readonly schema: Schema;
  readonly holds: Holds;
  readonly values: readonly unknown[];
  readonly wrong: readonly string[];
}[] = [
  {
    schema: PERSON,
    holds: isPerson as Holds,
    values: [
      { name: "Ann", age: 3, tags: ["a"], more: null },
      { name: "é🛌", tags: ["é", 'b"', "a"] },
      { name: "x", tags: ["a"], more: -1.5e10 },
    ],
    wrong: [
      '{"name": "", "tags": ["a"]}',
      '{"name": "123456", "tags": ["a"]}',
      '{"name": "x"}',
      '{"name": "x", "tags": []}',
      '{"name": "x", "tags": ["a", "a", "a", "a"]}',
      '{"name": "x", "tags": ["c"]}',
      '{"name": "x", "age": 1.5, "tags": ["a"]}',
      '{"name": "x", "tags": ["a"], "more": "no"}',
      '{"name": "x", "tags": ["a"], "other": 1}',
      '{"name": "x", "tags": ["a"],}',
      '{"name": "x" "tags": ["a"]}',
      '{"name": "\\ud800", "tags": ["a"]}',
      '{"name": "\n", "tags": ["a"]}',
      '{"name": "x", "age": 01, "tags": ["a"]}',
      "null",
    ],
  },
  {
    schema: {
      $ref: "#/$defs/tree",
      $defs: {
        tree: {
          type: "object",
          properties: {
            value: { type: "number" },
            children: { type: "array", items: { $ref: "#/$defs/tree" } },
          },
          required: ["value", "children"],
        },
      },
    },
    holds: isTree as Holds,
    values: [{ value: 1, children: [{ value: -0.5, children: [] }, { value: 2, children: [] }] }],
    wrong: ['{"value": 1, "children": [{"value": 2}]}'],
  },
  {
    // A map, beside a property of its own.
    schema: {
      type: "object",
      properties: { n: { type: "boolean" } },
      additionalProperties: { type: "integer" },
    },
    holds:
      ((value: Record<string, unknown>) =>
        Object.entries(value).every(([name, each]) =>
          name === "n" ? typeof each === "boolean" : typeof each === "number"
        )) as Holds,
    values: [{}, { n: true }, { n: false, a: 1, nn: 2, "": 3 }, { 头: 4 }],
    wrong: ['{"n": 1}', '{"a": true}', '{"a": 1, "n": 1}', '{"\\u006e": 1}'],
  },
  {
    schema: { const: { a: [1, "x"] } },
    holds: ((value: unknown) => JSON.stringify(value) === '{"a":[1,"x"]}') as Holds,
    values: [],
    wrong: ['{"a":[1]}', "{}"],
  },
  {
    schema: { enum: [1, "1", null], type: ["string", "null"] },
    holds: ((value: unknown) => value === "1" || value === null) as Holds,
    values: ["1", null],
    wrong: ["1", '"2"'],
  },
];

Deno.test("whatever a schema's grammar lets through is JSON that the schema holds for", () => {
  const random = draws(5);
  for (const { schema, holds } of CASES) {
    const grammar = schemaGrammar(schema);
    for (let i = 0; i < 60; i++) {
      const text = draw(grammar, () => random(0, 1));
      assert.ok(holds(JSON.parse(text) as never), text);
    }
  }
});

Deno.test("a schema's values are let through, compact and indented; others are not", () => {
  for (const { schema, values, wrong } of CASES) {
    const grammar = schemaGrammar(schema);
    for (const value of values) {
      for (const indent of [undefined, 2, 4, "\t"]) {
        assert.ok(has(grammar, JSON.stringify(value, null, indent)), JSON.stringify(value));
      }
      assert.ok(has(grammar, `\n${JSON.stringify(value)}`));
    }
    for (const text of wrong) assert.ok(!has(grammar, text), text);
  }
});

Deno.test("a JSON object is any object and nothing else, with no end of white space", () => {
  const grammar = objectGrammar();
  for (
    const text of ["{}", '{"a": [1, {"b": null}, "\\n\\u00e9"], "a": true}', '{ "x": -0.5e+10 }']
  ) {
    assert.ok(has(grammar, text), text);
  }
  for (
    const text of ["[]", "1", '{"a"}', '{"a": }', "{'a': 1}", `{${" ".repeat(100)}`, '{"a": .5}']
  ) {
    assert.ok(!has(grammar, text), text);
  }
  const random = draws(8);
  for (let i = 0; i < 40; i++) {
    const value = JSON.parse(draw(grammar, () => random(0, 1)));
    assert.ok(typeof value === "object" && value !== null && !Array.isArray(value));
  }
});

Deno.test("schemaGrammar() names the keyword that replies cannot be held to", () => {
  const wrong: readonly (readonly [unknown, string, RegExp])[] = [
    [{ type: "string", pattern: "^a" }, "pattern", /cannot be held to/],
    [{ type: "object", properties: { a: { minimum: 0 } } }, "properties.a.minimum", /held/],
    [{ type: "array", items: { oneOf: [{}] } }, "items.oneOf", /held/],
    [{ type: "string", uniqueItems: true }, "uniqueItems", /held/],
    [{ typ: "string" }, "typ", /no such keyword/],
    [{ type: "text" }, "type", /must be one of/],
    [{ type: [] }, "type", /must be one of/],
    [{ enum: [] }, "enum", /no value/],
    [{ enum: ["a"], type: "integer" }, "enum", /no value of the type/],
    [{ anyOf: [] }, "anyOf", /list of schemas/],
    [{ anyOf: [{}], properties: {} }, "properties", /beside anyOf/],
    [{ anyOf: [{}, { type: "x" }] }, "anyOf[1].type", /must be one of/],
    [{ $ref: "other.json" }, "$ref", /inside the schema/],
    [{ $ref: "#/$defs/x" }, "$ref", /not in the schema/],
    [{ $ref: "#" }, "$ref", /refers to itself/],
    [{ anyOf: [{ $ref: "#" }] }, "anyOf[0].$ref", /refers to itself/],
    [{ minItems: 3, maxItems: 2 }, "minItems", /exceeds/],
    [{ maxLength: -1 }, "maxLength", /whole number/],
    [{ required: ["a"], additionalProperties: false }, "required", /no such property/],
    [{ properties: [] }, "properties", /object/],
    [{ items: 5 }, "items", /must be a schema/],
    [false, "", /must be a schema/],
  ];
  for (const [schema, place, message] of wrong) {
    assert.throws(() => schemaGrammar(schema), (error) => {
      assert.ok(error instanceof SchemaError, String(error));
      assert.equal(error.place, place, JSON.stringify(schema));
      assert.match(error.message, message);
      return true;
    });
  }
  // Each refers twice to the next one: as many ways through as 2 to the 24th.
  const ways = Object.fromEntries(
    Array.from({ length: 24 }, (_, i) => [
      `s${i}`,
      { anyOf: [0, 1].map(() => i === 23 ? { type: "null" } : { $ref: `#/$defs/s${i + 1}` }) },
    ]),
  );
  assert.ok(has(schemaGrammar({ $defs: ways, $ref: "#/$defs/s0" }), "null"));
  let deep: Schema = {};
  for (let i = 0; i < 100; i++) deep = { items: deep };
  assert.throws(() => schemaGrammar(deep), /nests more than 64/);
  const many = { anyOf: Array.from({ length: 3000 }, () => ({ type: "null" })) };
  assert.throws(() => schemaGrammar(many), /more than 500 schemas/);
});
