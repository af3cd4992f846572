import assert from "node:assert/strict";
import { GenerationReader } from "./generation_reader.ts";

const LONG = 1 << 20;

function read(value: unknown): GenerationReader {
  return new GenerationReader({ f: value }, { path: "a.json", vocabSize: 10 });
}

interface Case {
  readonly read: (reader: GenerationReader) => unknown;
  /** What is read, and what comes of it. */
  readonly right: readonly (readonly [unknown, unknown])[];
  readonly wrong: readonly unknown[];
  readonly expected: string;
}

/** The same in and out. */
const same = (...values: readonly unknown[]) => values.map((value) => [value, value] as const);

const CASES: Readonly<Record<string, Case>> = {
  number: {
    read: (reader) => reader.number("f"),
    right: same(0, -1.5, 3),
    wrong: ["1", true, [1]],
    expected: "must be a number",
  },
  count: {
    read: (reader) => reader.count("f"),
    right: same(0, 7),
    wrong: [-1, 1.5, 2 ** 53],
    expected: "must be a whole number from 0 up",
  },
  "count from 2": {
    read: (reader) => reader.count("f", 2),
    right: same(2, 3),
    wrong: [1, 0],
    expected: "must be a whole number from 2 up",
  },
  texts: {
    read: (reader) => reader.texts("f", 2),
    right: [["a", ["a"]], [["a", "b"], ["a", "b"]], [[], []]],
    wrong: ["", ["a", ""], ["a", "b", "c"], 5, [5]],
    expected: "must be a text or up to 2, none of them empty",
  },
  ids: {
    read: (reader) => reader.ids("f"),
    right: [[5, [5]], [[0, 10, 99], [0, 10, 99]], [[], []], [
      Array(LONG).fill(1),
      Array(LONG).fill(1),
    ]],
    wrong: [-1, [1, 1.5], "5", Array(LONG + 1).fill(1)],
    expected: "must be token ids",
  },
  "ids in the vocabulary": {
    read: (reader) => reader.ids("f", { inVocabulary: true }),
    right: [[9, [9]], [[0, 9], [0, 9]]],
    wrong: [10, [0, 10], [-1]],
    expected: "must be token ids below 10",
  },
  "one id": {
    read: (reader) => reader.ids("f", { one: true }),
    right: [[99, [99]], [0, [0]]],
    wrong: [[5], -1],
    expected: "must be a token id",
  },
  "one id in the vocabulary": {
    read: (reader) => reader.ids("f", { one: true, inVocabulary: true }),
    right: [[9, [9]]],
    wrong: [10, [5]],
    expected: "must be a token id below 10",
  },
  sequences: {
    read: (reader) => reader.sequences("f"),
    right: same([], [[0]], [[9, 1], [2]]),
    wrong: [5, [5], [[]], [[1], [10]], [[1.5]]],
    expected: "must be lists of token ids below 10",
  },
  biases: {
    read: (reader) => reader.biases("f"),
    right: [
      [[], []],
      [[[[5, 6], -2.5], [[0], 1]], [{ ids: [5, 6], bias: -2.5 }, { ids: [0], bias: 1 }]],
    ],
    wrong: [5, [5], [[[5]]], [[[5], 1, 2]], [[[5], "1"]], [[[], 1]], [[[10], 1]], [[5, 1]]],
    expected: "must be pairs of token ids below 10 and a number, such as [[[5, 6], -2.5]]",
  },
  decay: {
    read: (reader) => reader.decay("f"),
    right: [[[20, 1.05], { start: 20, factor: 1.05 }], [[0, 0.5], { start: 0, factor: 0.5 }]],
    wrong: [5, [20], [20, 1, 2], [-1, 1], [1.5, 1], [20, 0], [20, -1], [20, "1"]],
    expected: "must be a number of tokens and a factor above 0, such as [20, 1.05]",
  },
};

for (const [name, { read: of, right, wrong, expected }] of Object.entries(CASES)) {
  Deno.test(`GenerationReader reads ${name}, or names the file, the field and the value`, () => {
    for (const [value, result] of right) assert.deepEqual(of(read(value)), result);
    for (const value of [undefined, null]) assert.equal(of(read(value)), undefined);
    for (const value of wrong) {
      const shown = JSON.stringify(value).slice(0, 100);
      assert.throws(
        () => of(read(value)),
        new RangeError(`Cannot read a.json: f ${expected}, got ${shown}`),
      );
    }
  });
}

Deno.test("GenerationReader reads switches, which are off where they are missing", () => {
  const values = [true, false, null, undefined].map((value) => read(value).boolean("f"));
  assert.deepEqual(values, [true, false, false, false]);
  assert.throws(
    () => read(1).boolean("f"),
    new RangeError("Cannot read a.json: f must be true or false, got 1"),
  );
});
