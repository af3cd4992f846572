import assert from "node:assert/strict";
import { countTokens, makeWorkload, rowLengths } from "./workload.ts";

const options = {
  seed: 42,
  vocabulary: 151936,
  maxLength: 2048,
  four: 250,
  large: 2,
  largeTokens: 32768,
};

Deno.test("makeWorkload() draws prompts of about 60 and replies of about 500 tokens, with a tail", () => {
  const rows = makeWorkload(options).four.flat();
  const mean = (values: number[]) => values.reduce((sum, each) => sum + each, 0) / values.length;
  const replies = rows.map(({ ids, prompt }) => ids.length - prompt);
  const prompt = mean(rows.map((row) => row.prompt));
  assert.ok(prompt > 55 && prompt < 65, `prompts of ${prompt} tokens in the mean`);
  assert.ok(mean(replies) > 470 && mean(replies) < 530, `replies of ${mean(replies)} tokens`);
  assert.ok(Math.max(...replies) > 1500, `the longest reply has ${Math.max(...replies)} tokens`);
  assert.ok(rows.every(({ ids }) => ids.length <= 2048));
  assert.ok(rows.every(({ ids }) => ids.every((id) => id >= 0 && id < 151936)));
});

Deno.test("makeWorkload() makes the same rows of the same seed, and fills large updates", () => {
  const few = { ...options, four: 3 };
  assert.deepEqual(makeWorkload(few), makeWorkload(few));
  assert.notDeepEqual(makeWorkload(few), makeWorkload({ ...few, seed: 43 }));
  for (const rows of makeWorkload(few).large) {
    assert.ok(countTokens(rows) >= 32768 && countTokens(rows.slice(0, -1)) < 32768);
  }
});

Deno.test("rowLengths() cuts at maxLength and shrinks with it", () => {
  assert.deepEqual(rowLengths([0, 9], 2048), { prompt: 56, reply: 1992 });
  assert.deepEqual(rowLengths([0, 9], 256), { prompt: 7, reply: 249 });
});
