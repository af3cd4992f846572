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

/** A text of what a grammar lets through, and of what it does not. */
function check(schema: unknown, right: readonly string[], wrong: readonly string[]): void {
  const grammar = schemaGrammar(schema);
  const shown = JSON.stringify(schema);
  for (const text of right) assert.ok(has(grammar, text), `${shown}: ${text}`);
  for (const text of wrong) assert.ok(!has(grammar, text), `${shown}: ${text}`);
}

Deno.test("schemaGrammar() has the values of each type and of several", () => {
  /** A text of each type; an integer is a number too. */
  const texts = {
    object: '{"a": 1}',
    array: '[1, "a"]',
    string: '"a"',
    number: "1.5",
    integer: "2",
    boolean: "true",
    null: "null",
  };
  const all = Object.entries(texts);
  const fits = (type: string, of: string): boolean =>
    type === of || (type === "number" && of === "integer");
  for (const [type] of all) {
    const of = (holds: boolean): string[] =>
      all.filter(([other]) => fits(type, other) === holds).map(([, text]) => text);
    check({ type }, of(true), of(false));
    check({ type: [type] }, of(true), of(false));
  }
  check({ type: ["string", "null"] }, ['"a"', "null"], ["1", "true", "{}", "[]"]);
  check({ type: "boolean" }, ["true", "false"], ["null", "1"]);
  check({}, Object.values(texts), ["", "a"]);
  check(true, Object.values(texts), ["", "a"]);
});

Deno.test("schemaGrammar() knows a type by its keywords", () => {
  const values = ["{}", "[]", '""', "1", "null"];
  const only = (schema: Schema, ...right: readonly string[]): void =>
    check(schema, right, values.filter((each) => !right.includes(each)));
  only({ properties: {} }, "{}");
  only({ required: [] }, "{}");
  only({ additionalProperties: true }, "{}");
  only({ items: true }, "[]");
  only({ minItems: 0 }, "[]");
  only({ maxItems: 3 }, "[]");
  only({ minLength: 0 }, '""');
  only({ maxLength: 3 }, '""');
  only({ items: true, maxLength: 3 }, "[]", '""');
  only({ title: "a", description: "b", default: 1, $comment: "c" }, ...values);
});

Deno.test("schemaGrammar() holds lengths and numbers of items on both sides", () => {
  check({ type: "string", minLength: 1, maxLength: 2 }, ['"a"', '"ab"'], ['""', '"abc"']);
  check({ type: "string", minLength: 2 }, ['"ab"', '"abcdef"'], ['"a"']);
  check({ type: "string", maxLength: 0 }, ['""'], ['"a"']);
  const items = { type: "null" };
  check({ items, minItems: 1, maxItems: 2 }, ["[null]", "[null,null]"], ["[]", "[null,null,null]"]);
  check({ items, minItems: 2, maxItems: 2 }, ["[null,null]"], ["[null]"]);
  check({ items, maxItems: 0 }, ["[]"], ["[null]"]);
  check({ items: false }, ["[]"], ["[1]", "[null]"]);
  check({ items: false, minItems: 0, maxItems: 5 }, ["[]"], ["[1]"]);
});

Deno.test("schemaGrammar() lets further properties come as the schema says", () => {
  const a = { a: { type: "null" } };
  check({ properties: a }, ["{}", '{"a":null}'], ['{"b":1}', '{"a":null,"b":1}']);
  check({ properties: a, additionalProperties: false }, ["{}", '{"a":null}'], ['{"b":1}']);
  check({ properties: a, additionalProperties: true }, ["{}", '{"b":1}', '{"a":null,"b":{}}'], [
    '{"a":1}',
  ]);
  check({ type: "object", additionalProperties: { type: "null" } }, ["{}", '{"b":null}'], [
    '{"b":1}',
  ]);
  check({ type: "object" }, ["{}", '{"b":1}'], ["[]"]);
  check({ type: "object", additionalProperties: false }, ["{}"], ['{"b":1}']);
  // A name that is required and described nowhere.
  check({ required: ["b"] }, ['{"b":1}', '{"b":"x"}'], ["{}", '{"b":1,"c":2}']);
  check({ properties: a, required: ["b", "a", "b"] }, ['{"a":null,"b":1}'], [
    ...["{}", '{"a":null}', '{"b":1}', '{"a":null,"b":1,"b":1}'],
  ]);
  check({ required: ["b"], additionalProperties: { type: "null" } }, [
    '{"b":null}',
    '{"b":null,"c":null}',
  ], ['{"b":1}', "{}"]);
  // Names that every object inherits.
  check({ properties: a, required: ["toString"] }, ['{"toString":1}'], ["{}"]);
});

Deno.test("schemaGrammar() has the values of an enum that are of its type", () => {
  const values = [1, 1.5, "a", true, null, [1], { a: 1 }];
  const of: Readonly<Record<string, readonly string[]>> = {
    integer: ["1"],
    number: ["1", "1.5"],
    string: ['"a"'],
    boolean: ["true"],
    null: ["null"],
    array: ["[1]"],
    object: ['{"a":1}'],
  };
  const texts = values.map((each) => JSON.stringify(each));
  check({ enum: values }, texts, ["2", '"b"']);
  for (const [type, right] of Object.entries(of)) {
    check({ enum: values, type }, right, texts.filter((each) => !right.includes(each)));
  }
  check({ const: 0 }, ["0"], ["1"]);
  check({ const: null }, ["null"], ["0"]);
  check({ const: "a", type: ["string", "null"] }, ['"a"'], ["null"]);
});

Deno.test("schemaGrammar() follows references to the schema, through it, and to names with slashes", () => {
  check(
    {
      $defs: { "a/b~c d": { type: "null" } },
      type: "array",
      items: { $ref: "#/$defs/a~1b~0c%20d" },
    },
    ["[]", "[null,null]"],
    ["[1]"],
  );
  check({ type: "array", items: { $ref: "#" } }, ["[]", "[[],[[]]]"], ["[1]", "[[1]]"]);
  check(
    {
      definitions: { n: { type: "null" }, m: { $ref: "#/definitions/n" } },
      properties: { a: { $ref: "#/definitions/m" }, b: { $ref: "#/definitions/m" } },
    },
    ['{"a":null,"b":null}', "{}"],
    ['{"a":1}'],
  );
  // A list is a way on, so that this has values.
  check(
    { $ref: "#/$defs/x", $defs: { x: { anyOf: [{ type: "null" }, { items: { $ref: "#" } }] } } },
    ["null", "[null,[]]"],
    ["1"],
  );
});

Deno.test("schemaGrammar() tells the whole error", () => {
  const held = "replies cannot be held to it; leave it out, or check it in the reply";
  const types =
    "must be one of object, array, string, number, integer, boolean, null, or a list of them";
  const inside = "must be a reference inside the schema, such as #/$defs/item";
  const count = "must be a whole number from 0";
  const cases: readonly (readonly [unknown, string, string])[] = [
    [null, "", "must be a schema: an object, or true"],
    [{ items: { items: 1 } }, "items.items", "must be a schema: an object, or true"],
    [{ anyOf: [true, 1] }, "anyOf[1]", "must be a schema: an object, or true"],
    [{ additionalProperties: 1 }, "additionalProperties", "must be a schema: an object, or true"],
    [{ properties: { a: 1 } }, "properties.a", "must be a schema: an object, or true"],
    [{ minimum: 0, maximum: 1 }, "minimum", `minimum is 0: ${held}`],
    [{ nullable: true }, "nullable", `nullable is true: ${held}`],
    [{ a: 1, b: 2 }, "a", "a, b: no such keyword is known"],
    [{ enum: [1], properties: {} }, "properties", "cannot be held to beside enum; leave one out"],
    [{ const: 1, minLength: 0 }, "minLength", "cannot be held to beside const; leave one out"],
    [{ $ref: "#", anyOf: [] }, "anyOf", "cannot be held to beside $ref; leave one out"],
    [{ $ref: "#/$defs/a", items: true }, "items", "cannot be held to beside $ref; leave one out"],
    [{ anyOf: {} }, "anyOf", "must be a list of schemas"],
    [{ anyOf: [{}], type: "null" }, "anyOf", "cannot be held to beside type; leave one out"],
    [{ enum: "a" }, "enum", "must be a list of up to 1000 values"],
    [{ enum: ["a"], type: "null" }, "enum", "has no value of the type"],
    [{ const: 1, type: "null" }, "const", "has no value of the type"],
    [{ enum: [1], type: "x" }, "enum.type", types],
    [{ type: ["null", "x"] }, "type", types],
    [{ type: 1 }, "type", types],
    [{ $ref: 1 }, "$ref", inside],
    [{ $ref: "#a" }, "$ref", inside],
    [{ $ref: "#/a/b" }, "$ref", "#/a/b is not in the schema"],
    [{ $ref: "#/toString" }, "$ref", "#/toString is not in the schema"],
    [{ items: false, minItems: 1 }, "items", "leaves no value for minItems"],
    [{ minItems: 0.5 }, "minItems", count],
    [{ maxItems: "1" }, "maxItems", count],
    [{ minLength: -1 }, "minLength", count],
    [{ maxLength: null }, "", ""],
    [{ minLength: 3, maxLength: 2 }, "minLength", "3 exceeds maxLength 2"],
    [{ required: "a" }, "required", "must be a list of names"],
    [{ required: ["a", 1] }, "required", "must be a list of names"],
    [{ type: "object", properties: [] }, "properties", "must be an object"],
    [
      { properties: { a: {} }, required: ["a", "b", "c"], additionalProperties: false },
      "required",
      "b, c: no such property may be",
    ],
  ];
  for (const [schema, place, message] of cases) {
    if (message === "") {
      schemaGrammar(schema);
      continue;
    }
    assert.throws(
      () => schemaGrammar(schema),
      (error) => {
        assert.ok(error instanceof SchemaError);
        assert.deepEqual([error.name, error.place, error.message], ["SchemaError", place, message]);
        return true;
      },
      JSON.stringify(schema),
    );
  }
});

Deno.test("schemaGrammar() takes up to 500 schemas, 64 deep, and 1000 values", () => {
  const ways: readonly (readonly [string, (inner: Schema) => Schema])[] = [
    ["items", (items) => ({ items })],
    ["additionalProperties", (additionalProperties) => ({ additionalProperties })],
    ["properties.a", (a) => ({ properties: { a } })],
    ["anyOf[0]", (first) => ({ anyOf: [first] })],
  ];
  const fails = (schema: Schema, place: string, message: string): void =>
    assert.throws(() => schemaGrammar(schema), { name: "SchemaError", place, message });
  for (const [name, around] of ways) {
    const nested = (depth: number): Schema => {
      let schema: Schema = { type: "null" };
      for (let i = 0; i < depth; i++) schema = around(schema);
      return schema;
    };
    schemaGrammar(nested(64));
    fails(nested(65), Array(65).fill(name).join("."), "nests more than 64 deep");
  }
  const any = (count: number): Schema => ({ anyOf: Array(count).fill({ type: "null" }) });
  check(any(499), ["null"], []);
  fails(any(500), "anyOf[499]", "is one of more than 500 schemas");
  const values = (count: number): Schema => ({ enum: Array.from({ length: count }, (_, i) => i) });
  check(values(1000), ["0", "999"], ["1000"]);
  fails(values(1001), "enum", "must be a list of up to 1000 values");
  // References that only lead to others: each is a schema within the one before.
  const chain = (length: number): Schema => ({
    $ref: "#/$defs/0",
    $defs: Object.fromEntries(
      Array.from({ length }, (_, i) => [
        i,
        i + 1 < length ? { $ref: `#/$defs/${i + 1}` } : { type: "null" },
      ]),
    ),
  });
  check(chain(64), ["null"], ["1"]);
  fails(chain(65), "#/$defs/64", "nests more than 64 deep");
  // One more, and that is seen before any of them is read.
  fails(chain(66), "$ref", "nests more than 64 deep");
});
