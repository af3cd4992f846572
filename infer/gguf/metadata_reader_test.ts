import assert from "node:assert/strict";
import type { GgufValue } from "../../gguf/mod.ts";
import { metadataReader } from "./metadata_reader.ts";

type Value = GgufValue["type"];

const list = (of: string, values: readonly unknown[]): GgufValue =>
  ({ type: "array", of, values }) as GgufValue;
const one = (type: Value, value: unknown): GgufValue => ({ type, value }) as GgufValue;

function readerOf(value?: GgufValue): ReturnType<typeof metadataReader> {
  return metadataReader(new Map(value ? [["k", value]] : []), "a.gguf");
}

/** The whole error of a key. */
function fails(read: () => unknown, problem: string): void {
  assert.throws(read, new RangeError(`Cannot import a.gguf: k ${problem}`));
}

const missing = (expected: string): string =>
  `is missing, ${expected} expected; the file is no language model of llama.cpp, or an old one: ` +
  "convert the model again";

Deno.test("metadataReader() tells what there is, and fails with the file and the key", () => {
  const reader = readerOf(one("bool", true));
  assert.deepEqual([reader.has("k"), reader.has("l")], [true, false]);
  fails(() => reader.fail("k", "is odd"), "is odd");
});

Deno.test("metadataReader() reads a text, or else its fallback", () => {
  assert.equal(readerOf(one("string", "a")).text("k"), "a");
  assert.equal(readerOf(one("string", "a")).text("k", "b"), "a");
  assert.equal(readerOf().text("k", "b"), "b");
  assert.equal(readerOf().text("k", ""), "");
  fails(() => readerOf().text("k"), missing("a text"));
  fails(() => readerOf(one("uint32", 5)).text("k", "b"), "is 5 (uint32), a text expected");
  fails(() => readerOf(list("int8", [1, 2])).text("k"), "is a list of 2 of int8, a text expected");
});

Deno.test("metadataReader() reads a whole number of any type, or a list of equal ones", () => {
  for (const type of ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float64"] as const) {
    assert.equal(readerOf(one(type, 7)).whole("k"), 7);
  }
  assert.equal(readerOf(one("uint64", 7n)).whole("k", 3), 7);
  assert.equal(readerOf(one("float32", 7)).whole("k"), 7);
  assert.equal(readerOf(one("uint32", 0)).whole("k"), 0);
  assert.equal(readerOf().whole("k", 3), 3);
  assert.equal(readerOf().whole("k", 0), 0);
  assert.equal(readerOf(list("uint32", [4, 4, 4])).whole("k"), 4);
  assert.equal(readerOf(list("int32", [5])).whole("k"), 5);
  const expected = "a whole number expected";
  fails(() => readerOf().whole("k"), missing("a whole number"));
  fails(() => readerOf(one("int32", -1)).whole("k", 3), `is -1 (int32), ${expected}`);
  fails(() => readerOf(one("float64", 1.5)).whole("k"), `is 1.5 (float64), ${expected}`);
  fails(
    () => readerOf(one("uint64", 2n ** 53n)).whole("k"),
    `is 9007199254740992 (uint64), ${expected}`,
  );
  fails(() => readerOf(one("string", "7")).whole("k"), `is "7" (string), ${expected}`);
  fails(() => readerOf(one("bool", true)).whole("k"), `is true (bool), ${expected}`);
  const differ = (of: string, values: readonly unknown[]): void =>
    fails(
      () => readerOf(list(of, values)).whole("k"),
      `is a list of ${values.length} of ${of}: layers that differ in it are not supported`,
    );
  differ("uint32", [4, 4, 5]);
  differ("uint32", []);
  differ("uint64", [4n, 4n]);
  differ("string", ["4"]);
});

Deno.test("metadataReader() reads a number as it was meant before float32", () => {
  for (const value of [1e-5, 1e-6, 10_000, 1e6, 0.1, 1.2345678, 3, 0, -2.5, 5e5]) {
    assert.equal(readerOf(one("float32", Math.fround(value))).real("k"), value);
  }
  // Nine digits tell all numbers of float32 apart, and eight do not these two.
  const [first, second] = [0x4b000001, 0x3f9e0652].map((bits) =>
    new Float32Array(Uint32Array.of(bits).buffer)[0]
  );
  assert.equal(readerOf(one("float32", first)).real("k"), 8388609);
  assert.equal(Math.fround(readerOf(one("float32", second)).real("k")), second);
  assert.equal(readerOf(one("float64", 0.1234567890123)).real("k"), 0.1234567890123);
  assert.equal(readerOf(one("int32", -3)).real("k"), -3);
  assert.equal(readerOf().real("k", 0), 0);
  assert.equal(readerOf(one("float64", 2)).real("k", 1), 2);
  assert.equal(readerOf(list("float64", [0.5, 0.5])).real("k"), 0.5);
  fails(() => readerOf().real("k"), missing("a number"));
  for (const [value, shown] of [[NaN, "NaN"], [Infinity, "Infinity"]] as const) {
    fails(
      () => readerOf(one("float64", value)).real("k"),
      `is ${shown} (float64), a number expected`,
    );
  }
  fails(() => readerOf(one("string", "a")).real("k", 1), 'is "a" (string), a number expected');
});

Deno.test("metadataReader() reads whether something is so", () => {
  for (const value of [true, false]) {
    assert.equal(readerOf(one("bool", value)).flag("k", !value), value);
    assert.equal(readerOf().flag("k", value), value);
  }
  fails(() => readerOf(one("uint8", 1)).flag("k", true), "is 1 (uint8), true or false expected");
});

Deno.test("metadataReader() reads lists of texts and of numbers", () => {
  assert.deepEqual(readerOf(list("string", ["a", "b"])).texts("k"), ["a", "b"]);
  assert.deepEqual(readerOf(list("string", [])).texts("k"), []);
  fails(() => readerOf().texts("k"), missing("a list of texts"));
  fails(
    () => readerOf(list("bool", [true])).texts("k"),
    "is a list of 1 of bool, a list of texts expected",
  );
  fails(() => readerOf(one("string", "a")).texts("k"), 'is "a" (string), a list of texts expected');
  for (
    const items of ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
  ) {
    assert.deepEqual(readerOf(list(items, [1, 2])).numbers("k"), [1, 2]);
  }
  for (const items of ["string", "bool", "uint64", "int64"]) {
    fails(
      () => readerOf(list(items, [1, 1])).numbers("k"),
      `is a list of 2 of ${items}, a list of numbers expected`,
    );
  }
  fails(() => readerOf().numbers("k"), missing("a list of numbers"));
  fails(() => readerOf(one("uint8", 1)).numbers("k"), "is 1 (uint8), a list of numbers expected");
});

Deno.test("metadataReader() shows 120 characters of a long text", () => {
  fails(
    () => readerOf(one("string", "a".repeat(121))).whole("k"),
    `is "${"a".repeat(120)}" (string), a whole number expected`,
  );
});
