import assert from "node:assert/strict";
import { isId, listVocabulary, MAX_ID, readVocabulary } from "./vocabulary.ts";

const refuses = (make: () => unknown, state: string): void =>
  assert.throws(make, {
    name: "TypeError",
    message: `Cannot read the tokenizer: tokenizer.json: model.vocab ${state}`,
  });

Deno.test("isId() takes whole numbers from 0 to 16777216", () => {
  assert.equal(MAX_ID, 16_777_216);
  for (const id of [0, 1, 16_777_216]) assert.equal(isId(id), true, String(id));
  for (const value of [-1, 16_777_217, 1.5, NaN, "1", null, undefined, 1n]) {
    assert.equal(isId(value), false, String(value));
  }
});

Deno.test("readVocabulary() gives tokens by id, ids by token, and nothing where an id is left out", () => {
  const { ids, tokens } = readVocabulary({ b: 3, a: 0, "": 1 });
  assert.deepEqual([...ids], [["b", 3], ["a", 0], ["", 1]]);
  assert.deepEqual(tokens, ["a", "", undefined, "b"]);
  assert.deepEqual(readVocabulary({}), { ids: new Map(), tokens: [] });
});

Deno.test("readVocabulary() takes ids up to 65536 above twice its tokens", () => {
  assert.equal(readVocabulary({ a: 65_537 }).tokens.length, 65_538);
  refuses(() => readVocabulary({ a: 65_538 }), 'gives "a" the id 65538, far above its 1 tokens');
  assert.equal(readVocabulary({ a: 65_539, b: 0 }).tokens.length, 65_540);
  refuses(
    () => readVocabulary({ a: 65_540, b: 0 }),
    'gives "a" the id 65540, far above its 2 tokens',
  );
});

Deno.test("readVocabulary() names what is no vocabulary", () => {
  refuses(() => readVocabulary(["a"]), "is array of 1, expected an object");
  refuses(() => readVocabulary({ a: 1, b: 1 }), 'gives the id 1 to "a" and to "b"');
  const range = "expected a whole number from 0 to 16777216";
  refuses(() => readVocabulary({ ab: -0.5 }), `gives "ab" the id -0.5, ${range}`);
  refuses(() => readVocabulary({ ab: "7" }), `gives "ab" the id string "7", ${range}`);
  refuses(() => readVocabulary({ ab: null }), `gives "ab" the id null, ${range}`);
  refuses(
    () => readVocabulary({ "\ud800": 1 }),
    'has the token string "\ufffd", expected Unicode text',
  );
});

Deno.test("listVocabulary() numbers tokens by their place, and finds the last of equal ones", () => {
  assert.deepEqual(listVocabulary(["a", "b", "a"]), {
    ids: new Map([["a", 2], ["b", 1]]),
    tokens: ["a", "b", "a"],
  });
  refuses(() => listVocabulary(["a", 1]), "has the token number 1, expected Unicode text");
  // No list of millions is needed to be counted.
  const many = (length: number): unknown[] => ({ length, map: () => [] }) as unknown as unknown[];
  assert.deepEqual(listVocabulary(many(MAX_ID)), { ids: new Map(), tokens: [] });
  refuses(() => listVocabulary(many(MAX_ID + 1)), "has 16777217 tokens, more than 16777216");
});
